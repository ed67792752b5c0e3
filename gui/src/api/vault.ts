// Shapes of the vault, of credentials and of jobs.
import type { components } from './schema';

type Pagination = components['schemas']['Pagination'];

export type ProofKind = 'pin' | 'totp';

export interface VaultStatus {
  isVaultEnabled: boolean;
  /** There is a vault. All that follows says nothing where there is none. */
  isVaultGenerated: boolean;
  isPassphraseMissing: boolean;
  sealed: boolean;
  /** The number of its key pair, from 1. */
  epoch: number;
  createdAt: string | null;
  /** The key file has been given back once. */
  keyFileProven: boolean;
  /** How many shares open it, of how many; 1 of 1 where it is not split. */
  needed: number;
  total: number;
  /** Shares that wait for others. */
  given: number;
  proofs: ProofKind[];
  /** Openings an hour for people, and how many of them are left. */
  perHour: number;
  left: number;
  opened: number;
  /** Secrets are being sealed again under a new key pair. */
  rekeying: boolean;
  memoryLocked: boolean;
  ownUnit: boolean;
  /** PEM. */
  publicKey: string;
  credentials: number;
  /** Credentials with secrets that are not proven yet. */
  unproven: number;
  trouble: number;
  /** Its process answers. */
  reachable: boolean;
}

/** What is shown once: the master password in words, and the key file. */
export interface NewKey {
  passphrase: string;
  keyFile: string;
}

/** What opens the vault: the master password in words, or the key file. */
export type MasterKey = { passphrase: string } | { keyFile: string };

export interface UnsealAnswer {
  isPassphraseMissing: boolean;
  given: number;
  needed: number;
}

export interface Pass {
  pass: string;
  expiresInSeconds: number;
}

export interface TotpKey {
  key: string;
  url: string;
}

export interface VaultLogEntry {
  number: number;
  at: string;
  what: string;
  about: string;
}

export interface VaultLogPage {
  entries: VaultLogEntry[];
  next: number;
}

/** What is known of a credential. The secret is not in it. */
export interface Credential {
  id: string;
  deviceId: string | null;
  deviceName: string | null;
  label: string;
  username: string;
  source: string;
  readOnly: boolean;
  sshPort: number | null;
  httpsPort: number | null;
  note: string;
  createdAt: string;
  version: number | null;
  changedAt: string | null;
  provenAt: string | null;
  /** Secrets that were sent to the device and not proven yet. */
  candidates: number;
  trouble: string;
}

export interface CredentialPage {
  items: Credential[];
  pagination: Pagination;
}

export interface CredentialBody {
  deviceId?: string | null;
  label?: string;
  username?: string;
  password?: string;
  readOnly?: boolean;
  sshPort?: number | null;
  httpsPort?: number | null;
  note?: string;
}

export interface Revealed {
  id: string;
  version: number;
  password: string;
  hideAfterSeconds: number;
}

export interface SecretFacts {
  version: number;
  madeAt: string;
  provenAt: string | null;
  jobId: string | null;
}

export interface CredentialHistory {
  current: SecretFacts | null;
  candidates: SecretFacts[];
  former: SecretFacts[];
}

export interface ImportAnswer {
  rows: number;
  added: number;
  changed: number;
  errors: { line: number; message: string }[];
  columns: string[];
}

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
  pagination: Pagination;
}

/** What the live socket says of them. */
export type JobFrame = { type: 'job'; sequence: number } & Job;
export interface VaultFrame {
  type: 'vault';
  sequence: number;
  sealed: boolean;
  made: boolean;
  reachable: boolean;
}
