// The vault and what it keeps: every call about them.
import { ask, askWhole } from './client';
import { loose as api } from './loose';
import { withStepUp } from './step-up.svelte';
import type {
  Credential,
  CredentialBody,
  CredentialHistory,
  CredentialPage,
  ImportAnswer,
  MasterKey,
  NewKey,
  ProofKind,
  Revealed,
  TotpKey,
  UnsealAnswer,
  VaultLogPage,
  VaultStatus,
} from './vault';
import { withVaultProof } from './vault-proof.svelte';

const VAULT = '/nms/api/v2.1/vault';
/** Records of the largest page. */
const PAGE = 1_000;

export const readVault = (): Promise<VaultStatus> => ask(api.GET<VaultStatus>(`${VAULT}/credentials`));

/** Makes the vault. The answer carries what is shown this once. */
export const makeVault = (): Promise<VaultStatus & NewKey> =>
  withStepUp(() => ask(api.POST<VaultStatus & NewKey>(`${VAULT}/credentials`, { body: { isVaultEnabled: true } })));

export const unseal = (key: MasterKey | { share: string }): Promise<UnsealAnswer> =>
  ask(api.POST<UnsealAnswer>(`${VAULT}/credentials/unlock`, { body: key }));

export async function seal(): Promise<void> {
  await ask(api.POST(`${VAULT}/credentials/lock`));
}

export async function proveKeyFile(keyFile: string): Promise<void> {
  await ask(api.POST(`${VAULT}/key-file/prove`, { body: { keyFile } }));
}

export const split = async (key: MasterKey, needed: number, total: number): Promise<string[]> =>
  (await withStepUp(() => ask(api.POST<{ shares: string[] }>(`${VAULT}/split`, { body: { ...key, needed, total } })))).shares;

export const rekey = (key: MasterKey): Promise<NewKey> =>
  withStepUp(() => ask(api.POST<NewKey>(`${VAULT}/rekey`, { body: key })));

export async function enrolPin(key: MasterKey, pin: string): Promise<void> {
  await withStepUp(() => ask(api.POST(`${VAULT}/proofs/pin`, { body: { ...key, pin } })));
}

/** The secret of an app; nothing counts before a code of it came back. */
export const beginTotp = (key: MasterKey): Promise<TotpKey> =>
  withStepUp(() => ask(api.POST<TotpKey>(`${VAULT}/proofs/totp`, { body: key })));

export async function confirmTotp(key: MasterKey, code: string): Promise<void> {
  await withStepUp(() => ask(api.PUT(`${VAULT}/proofs/totp`, { body: { ...key, code } })));
}

export async function dropProof(key: MasterKey, kind: ProofKind): Promise<void> {
  await withStepUp(() => ask(api.DELETE(`${VAULT}/proofs/{kind}`, { params: { path: { kind } }, body: key })));
}

export async function changeLimit(key: MasterKey, perHour: number): Promise<void> {
  await withStepUp(() => ask(api.PUT(`${VAULT}/limit`, { body: { ...key, perHour } })));
}

export const readVaultLog = (from: number): Promise<VaultLogPage> =>
  ask(api.GET<VaultLogPage>(`${VAULT}/log`, { params: { query: { from } } }));

/** All that are kept, or those of one device. */
export async function readCredentials(deviceId?: string): Promise<Credential[]> {
  const found: Credential[] = [];
  for (let page = 1; ; page += 1) {
    const query = { count: PAGE, page, ...(deviceId === undefined ? {} : { deviceId }) };
    const { items, pagination } = await ask(api.GET<CredentialPage>(`${VAULT}/records`, { params: { query } }));
    found.push(...items);
    if (page >= pagination.pages || items.length === 0) return found;
  }
}

export const addCredential = (body: CredentialBody): Promise<Credential> =>
  withStepUp(() => ask(api.POST<Credential>(`${VAULT}/records`, { body })));

export const changeCredential = (id: string, body: CredentialBody): Promise<Credential> =>
  withStepUp(() => ask(api.PUT<Credential>(`${VAULT}/records/{id}`, { params: { path: { id } }, body })));

export async function deleteCredential(id: string): Promise<void> {
  await withStepUp(() => ask(api.DELETE(`${VAULT}/records/{id}`, { params: { path: { id } } })));
}

/** One secret; the current one where no version is named. */
export function reveal(id: string, version?: number): Promise<Revealed> {
  const body = version === undefined ? {} : { version };
  return withVaultProof((headers) =>
    ask(api.POST<Revealed>(`${VAULT}/records/{id}/reveal`, { params: { path: { id } }, body, headers })),
  );
}

export const readHistory = (id: string): Promise<CredentialHistory> =>
  ask(api.GET<CredentialHistory>(`${VAULT}/records/{id}/history`, { params: { path: { id } } }));

export const importCsv = (csv: string, dryRun: boolean): Promise<ImportAnswer> =>
  withStepUp(() => ask(api.POST<ImportAnswer>(`${VAULT}/records/import`, { body: { csv, dryRun } })));

/** Everything in the clear, as CSV. */
export const exportCsv = (key: MasterKey): Promise<string> =>
  withStepUp(async () => (await askWhole(api.POST<string>(`${VAULT}/records/export`, { body: key, parseAs: 'text' }))).data);
