// Shapes of the vault, of credentials and of jobs.
import type { components } from './schema';

type Schemas = components['schemas'];

export type ProofKind = 'pin' | 'totp';
export type VaultStatus = Schemas['Vault'];

/** What is shown once: the master password in words, and the key file. */
export type NewKey = Pick<Schemas['RekeyedView'], 'passphrase' | 'keyFile'>;

/** What opens the vault: the master password in words, or the key file. */
export type MasterKey = { passphrase: string } | { keyFile: string };

export type UnsealAnswer = Schemas['UnsealingView'];
export type TotpKey = Schemas['AppKeyView'];
export type VaultLogEntry = Schemas['VaultLogEntry'];
export type VaultLogPage = Schemas['VaultLog'];

/** What is known of a credential. The secret is not in it. */
export type Credential = Schemas['Credential'];
export type NewCredential = Schemas['NewRecord'];
export type CredentialChange = Schemas['RecordUpdate'];
export type Revealed = Schemas['RevealedView'];
/** What is known of one secret. */
export type SecretFacts = Schemas['CredentialSecret'];
export type CredentialHistory = Schemas['CredentialHistory'];
export type ImportAnswer = Schemas['ImportView'];

export type Alphabet = 'readable' | 'letters-and-digits' | 'with-signs';
export type RotationBody = Schemas['RotationRequest'];
export type Job = Schemas['Job'];
export type JobItemPage = Schemas['JobItemPage'];
