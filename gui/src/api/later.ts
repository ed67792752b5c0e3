// Calls that the generated description does not know yet.
import { api, askWhole } from './client';

type Method = 'get' | 'post' | 'put' | 'delete';
interface Extra {
  body?: unknown;
  query?: Record<string, unknown>;
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- who calls knows what comes
export async function laterWhole<T>(method: Method, path: string, extra: Extra = {}): Promise<{ data: T; response: Response }> {
  const request = api.request as unknown as (
    method: string,
    path: string,
    init: object,
  ) => Promise<{ data?: T; error?: unknown; response: Response }>;
  const { body, query } = extra;
  const init = { ...(body === undefined ? {} : { body }), ...(query ? { params: { query } } : {}) };
  return askWhole(request(method, `/nms/api/v2.1${path}`, init));
}

export async function later<T>(method: Method, path: string, extra: Extra = {}): Promise<T> {
  return (await laterWhole<T>(method, path, extra)).data;
}
