/** What an entry says, told of whoever did it: "olga" + "logged in". */
const DID: Record<string, string> = {
  'set-up': 'set the appliance up',
  provisioned: 'said what the appliance is to be',
  login: 'logged in',
  'login-new-network': 'logged in from a network that is new for the account',
  logout: 'logged out',
  'login-ended': 'ended a login',
  'login-leaked': 'lost a login: its token came over plain HTTP',
  'password-refused': 'was refused: wrong password',
  'second-factor-refused': 'was refused: five wrong codes',
  'account-throttled': 'takes no more guesses at an account today',
  'network-throttled': 'slows a network down that guesses passwords',
  'step-up': 'confirmed who they are for risky actions',
  'password-changed': 'changed their own password',
  'password-reset': 'reset the password of an account',
  'totp-on': 'turned the authenticator app on',
  'totp-off': 'turned the authenticator app off',
  'passkey-added': 'added a passkey',
  'passkey-renamed': 'renamed a passkey',
  'passkey-removed': 'removed a passkey',
  'passkey-copied': 'used a passkey that may have been copied',
  'recovery-code-used': 'used a recovery code',
  'recovery-codes-new': 'made new recovery codes',
  'factors-off': 'turned the second factors of an account off',
  'second-factor': 'changed whether everybody needs a second factor',
  'account-made': 'added an account',
  'account-changed': 'changed an account',
  'account-deleted': 'deleted an account',
  'account-offboarded': 'offboarded an account',
  'token-made': 'made a token',
  'token-deleted': 'revoked a token',
  'token-leaked': 'lost a token: it came over plain HTTP',
  'secret seen': 'saw a secret',
  'device-key-rotated': 'made a new device key',
  certificate: 'changed the certificate',
  'certificate-asked': 'asked for a new certificate',
  'ports-changed': 'changed the ports or names',
  'ports-reverted': 'took a change of the ports back',
  'old-ports-closed': 'closed the old ports',
  'security-changed': 'changed the security contact or HSTS',
  'device-authorized': 'let a device in',
  'device-confirmed': 'confirmed the fingerprint of a device',
  'device-changed': 'changed a device',
  'device-restarted': 'restarted a device',
  'device-refreshed': 'let a device come back with a new key',
  'device-deleted': 'deleted a device',
  'vault-made': 'made the vault',
  'vault-unsealed': 'unsealed the vault',
  'vault-sealed': 'sealed the vault',
  'vault-key-file-proven': 'proved the vault’s key file',
  'vault-split': 'split the vault’s key into shares',
  'vault-rekeyed': 'made a new key pair for the vault',
  'vault-limit-changed': 'changed how many passwords the vault opens an hour',
  'vault-pin-enrolled': 'set the vault’s PIN',
  'vault-pin-removed': 'removed the vault’s PIN',
  'vault-app-enrolled': 'enrolled an app with the vault',
  'vault-app-removed': 'removed the vault’s app',
  'credential-made': 'stored a credential',
  'credential-changed': 'changed a credential',
  'credential-deleted': 'deleted a credential',
  'credentials-imported': 'imported credentials',
  'credentials-exported': 'exported all credentials',
  'rotation-started': 'began a rotation of passwords',
  'job-cancelled': 'cancelled a job',
  'job-retried': 'let a job go on',
  'job-ended': 'saw a job end',
  terminal: 'opened a terminal on a device',
  'site-made': 'added a site',
  'site-changed': 'changed a site',
  'site-deleted': 'deleted a site',
  outbound: 'let the appliance call other addresses',
};

/** Entries about these tell of the program that was used. */
const BY_PROGRAM = new Set(['login', 'logout', 'login-new-network', 'step-up', 'password-refused']);
export const isByProgram = (what: string): boolean => BY_PROGRAM.has(what);

/** Parts of the appliance that do something by themselves. */
const PARTS: Record<string, string> = { console: 'The console', throttle: 'The appliance', provisioning: 'A provisioning file' };

/** Who it was; null stands for an account that is gone. */
export const named = (whoName: string | null | undefined): string => (whoName ? (PARTS[whoName] ?? whoName) : 'A deleted account');

/** What a word of the audit log means, for people; the word itself where it is not known here. */
export const did = (what: string): string => DID[what] ?? what;

/** What kinds there are to filter by. */
export const kinds = (): { value: string; label: string }[] =>
  Object.keys(DID)
    .map((what) => ({ value: what, label: did(what) }))
    .sort((a, b) => a.label.localeCompare(b.label));

/** A secret that was shown to somebody: "device key 1a2b3c4d". */
export const seen = (about: string): string => about.charAt(0).toUpperCase() + about.slice(1);

export const words = {
  title: 'Audit log',
  adminOnly: 'Only admins read the audit log.',
  lead: 'Logins, refusals and changes. Each entry carries the fingerprint of the one before, so that none can be changed or taken out unnoticed.',
  who: 'Account',
  everybody: 'Everybody',
  what: 'What',
  everything: 'Everything',
  from: (address: string) => `from ${address}`,
  broken: 'The log is not as it was written',
  brokenAt: (id: string) => `Entry ${id} was changed, or the one before it is missing. Compare with a backup, and find out who had access to the disk.`,
  none: 'Nothing matches',
  noneHint: 'Choose another account or another kind.',
  clear: 'Show all',
  failed: 'The audit log could not be read.',
  change: 'Read it',
};
