// Passkeys: what the browser does with them, and the list of one's own.
import { ApiError } from './error';
import { later } from './later';
import { words } from '../words/errors';

export interface Passkey {
  id: string;
  name: string;
  /** The appliance's name when it was made: it works there alone. */
  host: string;
  createdAt: string;
  lastUsedAt?: string | null;
  usableHere: boolean;
}

export interface Passkeys {
  available: boolean;
  /** Why not. */
  reason?: string | null;
  passkeys: Passkey[];
}

/** Whether this browser can use passkeys at this address at all. */
export function browserCan(): boolean {
  return typeof PublicKeyCredential === 'function' && 'parseRequestOptionsFromJSON' in PublicKeyCredential && isSecureContext;
}

/** Asks the browser to prove a passkey. */
export async function assertion(options: PublicKeyCredentialRequestOptionsJSON): Promise<unknown> {
  needBrowser();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return proven(() => navigator.credentials.get({ publicKey }));
}

/** Asks the browser to make a passkey. */
async function attestation(options: PublicKeyCredentialCreationOptionsJSON): Promise<unknown> {
  needBrowser();
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return proven(() => navigator.credentials.create({ publicKey }));
}

function needBrowser(): void {
  if (!browserCan()) throw new ApiError(0, 'Passkey', words.passkeyBrowser);
}

async function proven(act: () => Promise<Credential | null>): Promise<unknown> {
  let credential: Credential | null;
  try {
    credential = await act();
  } catch (error) {
    throw new ApiError(0, 'Passkey', said(error instanceof Error ? error.name : ''));
  }
  if (!(credential instanceof PublicKeyCredential)) throw new ApiError(0, 'Passkey', words.passkeyNone);
  return credential.toJSON();
}

/** The browser's reasons are few, and it tells little on purpose. */
function said(name: string): string {
  if (name === 'InvalidStateError') return words.passkeyTwice;
  if (name === 'SecurityError') return words.passkeyAddress;
  return words.passkeyNone;
}

export const readPasskeys = (): Promise<Passkeys> => later('get', '/user/passkeys');

/** Makes one. With the first second factor come recovery codes. */
export async function addPasskey(name: string): Promise<string[] | null> {
  const { id, options } = await later<{ id: string; options: PublicKeyCredentialCreationOptionsJSON }>('post', '/user/passkeys/options');
  const credential = await attestation(options);
  const made = await later<Passkey & { recoveryCodes?: string[] | null }>('post', '/user/passkeys', { body: { id, name, credential } });
  return made.recoveryCodes ?? null;
}

export async function renamePasskey(id: string, name: string): Promise<void> {
  await later('put', `/user/passkeys/${id}`, { body: { name } });
}

export async function removePasskey(id: string): Promise<void> {
  await later('delete', `/user/passkeys/${id}`);
}
