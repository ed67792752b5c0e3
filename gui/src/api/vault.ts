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

export interface RotationBody {
  deviceIds?: string[];
  siteId?: string;
  all?: true;
  accounts: string[];
  length: number;
  alphabet: Alphabet;
  startAt?: string;
  windowMinutes?: number;
  parallel: number;
  stopAfterFailures: number;
  reason?: string;
}

export type JobState = 'waiting' | 'running' | 'paused' | 'stopped' | 'cancelled' | 'done';

export interface Job {
  id: string;
  kind: string;
  title: string;
  state: JobState;
  /** What it waits for: `window`, `vault`, `devices`; empty where it waits for nothing. */
  waitsFor: string;
  stoppedBecause: string;
  createdAt: string;
  notBefore: string | null;
  endedAt: string | null;
  by: { id: string; username: string } | null;
  counts: Record<JobCount, number>;
  parallel: number;
  stopAfterFailures: number;
  accounts: string[];
  form: { length: number; alphabet: Alphabet };
}

export type JobCount = 'total' | 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

export type ItemState = 'waiting' | 'offline' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobItem {
  number: number;
  deviceId: string | null;
  deviceName: string | null;
  account: string;
  state: ItemState;
  message: string;
  attempts: number;
  changedAt: string;
}

export interface JobItemPage {
  items: JobItem[];
  pagination: Schemas['Pagination'];
}

/** What the live socket says of one. */
export type JobFrame = { type: 'job'; sequence: number } & Job;
