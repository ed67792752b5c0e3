import { count } from '../format';

/** What an entry says, told of whoever did it: "Olga" + "logged in". */
const DID: Record<string, string> = {
  'set-up': 'set the appliance up',
  login: 'logged in',
  logout: 'logged out',
  'login-leaked': 'had a login ended: its token came over plain HTTP',
  'step-up': 'confirmed who they are for risky actions',
  certificate: 'changed the certificate',
  outbound: 'made the appliance call out',
};

/** What a word of the audit log means, for people; the word itself where it is not known here. */
export const did = (what: string): string => DID[what] ?? what;

/** What kinds there are to filter by. */
export const kinds = (): { value: string; label: string }[] =>
  Object.keys(DID)
    .map((what) => ({ value: what, label: did(what) }))
    .sort((a, b) => a.label.localeCompare(b.label));

/** A secret that was shown to somebody. */
const SECRETS: Record<string, string> = {
  'device-key': 'The device key',
  'device key': 'The device key',
};
export const seen = (about: string): string => SECRETS[about] ?? about;

export const words = {
  title: 'Audit log',
  adminOnly: 'Only admins read the audit log.',
  lead: 'Logins, refusals and changes. Each entry carries the fingerprint of the one before, so that none can be changed or taken out unnoticed.',
  who: 'Account',
  everybody: 'Everybody',
  what: 'What',
  everything: 'Everything',
  range: (from: number, to: number, total: number) => `${count(from)}–${count(to)} of ${count(total)}`,
  newer: 'Newer',
  older: 'Older',
  from: (address: string) => `from ${address}`,
  none: 'Nothing matches',
  noneHint: 'Choose another account or another kind.',
  clear: 'Show all',
  failed: 'The audit log could not be read.',
  change: 'Read it',
};
