// Long work of the appliance, and how a rotation is begun.
import { api, ask } from './client';
import { withStepUp } from './step-up.svelte';
import type { Job, JobItemPage, RotationBody } from './vault';
import { withVaultProof } from './vault-proof.svelte';

/** Newest first. */
export const readJobs = async (): Promise<Job[]> => (await ask(api.GET('/nms/api/v2.1/jobs'))).items;

export const readJob = (id: string): Promise<Job> => ask(api.GET('/nms/api/v2.1/jobs/{id}', { params: { path: { id } } }));

export const readItems = (id: string, query: { state?: string[]; count: number; page: number }): Promise<JobItemPage> =>
  ask(api.GET('/nms/api/v2.1/jobs/{id}/items', { params: { path: { id }, query } }));

export async function cancelJob(id: string): Promise<void> {
  await withStepUp(() => ask(api.POST('/nms/api/v2.1/jobs/{id}/cancel', { params: { path: { id } } })));
}

/** What failed is tried again; a job that stopped by itself goes on. */
export async function retryJob(id: string): Promise<void> {
  await withVaultProof((headers) => ask(api.POST('/nms/api/v2.1/jobs/{id}/retry', { params: { path: { id } }, headers })));
}

export const startRotation = (body: RotationBody): Promise<Job> =>
  withVaultProof((headers) => ask(api.POST('/nms/api/v2.1/vault/rotations', { body, headers })));
