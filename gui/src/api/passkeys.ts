// Passkeys: what the browser does with them, and the list of one's own.
import { api, ask } from './client';
import { ApiError } from './error';
import type { components } from './schema';
import { words } from '../words/errors';

type Schemas = components['schemas'];

export type Passkey = Schemas['Passkey'];
export type Passkeys = Schemas['PasskeysView'];
/** A credential as the browser writes it; what is in it is between browser and appliance. */
type Written = Schemas['AnswerBody']['credential'];

/** Whether this browser can use passkeys at this address at all. */
export function browserCan(): boolean {
  return typeof PublicKeyCredential === 'function' && 'parseRequestOptionsFromJSON' in PublicKeyCredential && isSecureContext;
}

/** Asks the browser to prove a passkey. */
export async function assertion(options: object): Promise<Written> {
  needBrowser();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  return proven(() => navigator.credentials.get({ publicKey }));
}

/** Asks the browser to make a passkey. */
async function attestation(options: object): Promise<Written> {
  needBrowser();
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  return proven(() => navigator.credentials.create({ publicKey }));
}

function needBrowser(): void {
  if (!browserCan()) throw new ApiError(0, 'Passkey', words.passkeyBrowser);
}

async function proven(act: () => Promise<Credential | null>): Promise<Written> {
  let credential: Credential | null;
  try {
    credential = await act();
  } catch (error) {
    throw new ApiError(0, 'Passkey', said(error instanceof Error ? error.name : ''));
  }
  if (!(credential instanceof PublicKeyCredential)) throw new ApiError(0, 'Passkey', words.passkeyNone);
  return credential.toJSON() as Written;
}

/** The browser's reasons are few, and it tells little on purpose. */
function said(name: string): string {
  if (name === 'InvalidStateError') return words.passkeyTwice;
  if (name === 'SecurityError') return words.passkeyAddress;
  return words.passkeyNone;
}

export const readPasskeys = (): Promise<Passkeys> => ask(api.GET('/nms/api/v2.1/user/passkeys'));

/** Makes one. With the first second factor come recovery codes. */
export async function addPasskey(name: string): Promise<string[] | null> {
  const { id, options } = await ask(api.POST('/nms/api/v2.1/user/passkeys/options'));
  const credential = await attestation(options);
  const made = await ask(api.POST('/nms/api/v2.1/user/passkeys', { body: { id, name, credential } }));
  return made.recoveryCodes ?? null;
}

export async function renamePasskey(id: string, name: string): Promise<void> {
  await ask(api.PUT('/nms/api/v2.1/user/passkeys/{id}', { params: { path: { id } }, body: { name } }));
}

export async function removePasskey(id: string): Promise<void> {
  await ask(api.DELETE('/nms/api/v2.1/user/passkeys/{id}', { params: { path: { id } } }));
}
