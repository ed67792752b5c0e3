// The vault and what it keeps: every call about them.
import { api, ask } from './client';
import { ApiError } from './error';
import { withStepUp } from './step-up.svelte';
import type {
  Credential,
  CredentialChange,
  CredentialHistory,
  ImportAnswer,
  MasterKey,
  NewCredential,
  NewKey,
  ProofKind,
  Revealed,
  TotpKey,
  UnsealAnswer,
  VaultLogPage,
  VaultStatus,
} from './vault';
import { withVaultProof } from './vault-proof.svelte';
import { words } from '../words/errors';

/** Credentials of the largest page. */
const PAGE = 1_000;

export const readVault = (): Promise<VaultStatus> => ask(api.GET('/nms/api/v2.1/vault/credentials'));

/** Makes the vault. The answer is shown this once. */
export const makeVault = (): Promise<NewKey> =>
  withStepUp(async () => {
    const { passphrase, keyFile } = await ask(api.POST('/nms/api/v2.1/vault/credentials', { body: { isVaultEnabled: true } }));
    if (!passphrase || !keyFile) throw new ApiError(200, 'NoKey', words.answerUnknown(200));
    return { passphrase, keyFile };
  });

export const unseal = (body: MasterKey | { share: string }): Promise<UnsealAnswer> =>
  ask(api.POST('/nms/api/v2.1/vault/credentials/unlock', { body }));

export async function seal(): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/vault/credentials/lock'));
}

export async function proveKeyFile(keyFile: string): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/vault/key-file/prove', { body: { keyFile } }));
}

export const split = async (key: MasterKey, needed: number, total: number): Promise<string[]> =>
  (await withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/split', { body: { ...key, needed, total } })))).shares;

export const rekey = (body: MasterKey): Promise<NewKey> => withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/rekey', { body })));

export async function enrolPin(key: MasterKey, pin: string): Promise<void> {
  await withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/proofs/pin', { body: { ...key, pin } })));
}

/** The secret of an app; nothing counts before a code of it came back. */
export const beginTotp = (body: MasterKey): Promise<TotpKey> =>
  withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/proofs/totp', { body })));

export async function confirmTotp(key: MasterKey, code: string): Promise<void> {
  await withStepUp(() => ask(api.PUT('/nms/api/v2.1/vault/proofs/totp', { body: { ...key, code } })));
}

export async function dropProof(body: MasterKey, kind: ProofKind): Promise<void> {
  await withStepUp(async () => {
    if (kind === 'pin') await ask(api.DELETE('/nms/api/v2.1/vault/proofs/pin', { body }));
    else await ask(api.DELETE('/nms/api/v2.1/vault/proofs/totp', { body }));
  });
}

export async function changeLimit(key: MasterKey, perHour: number): Promise<void> {
  await withStepUp(() => ask(api.PUT('/nms/api/v2.1/vault/limit', { body: { ...key, perHour } })));
}

export const readVaultLog = (from: number): Promise<VaultLogPage> =>
  ask(api.GET('/nms/api/v2.1/vault/log', { params: { query: { from } } }));

/** All that are kept, or those of one device. */
export async function readCredentials(deviceId?: string): Promise<Credential[]> {
  const found: Credential[] = [];
  for (let page = 1; ; page += 1) {
    const query = { count: PAGE, page, ...(deviceId === undefined ? {} : { deviceId }) };
    const { items, pagination } = await ask(api.GET('/nms/api/v2.1/vault/records', { params: { query } }));
    found.push(...items);
    if (page >= pagination.pages || items.length === 0) return found;
  }
}

export const addCredential = (body: NewCredential): Promise<Credential> =>
  withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/records', { body })));

/** What is left out stays. */
export const changeCredential = (id: string, body: CredentialChange): Promise<Credential> =>
  withStepUp(() => ask(api.PUT('/nms/api/v2.1/vault/records/{id}', { params: { path: { id } }, body })));

export async function deleteCredential(id: string): Promise<void> {
  await withStepUp(() => ask(api.DELETE('/nms/api/v2.1/vault/records/{id}', { params: { path: { id } } })));
}

/** One secret; the current one where no version is named. */
export function reveal(id: string, version?: number): Promise<Revealed> {
  const body = version === undefined ? {} : { version };
  return withVaultProof((headers) =>
    ask(api.POST('/nms/api/v2.1/vault/records/{id}/reveal', { params: { path: { id } }, body, headers })),
  );
}

export const readHistory = (id: string): Promise<CredentialHistory> =>
  ask(api.GET('/nms/api/v2.1/vault/records/{id}/history', { params: { path: { id } } }));

export const importCsv = (csv: string, dryRun: boolean): Promise<ImportAnswer> =>
  withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/records/import', { body: { csv, dryRun } })));

/** Everything in the clear, as CSV. */
export const exportCsv = (body: MasterKey): Promise<string> =>
  withStepUp(() => ask(api.POST('/nms/api/v2.1/vault/records/export', { body, parseAs: 'text' })));
