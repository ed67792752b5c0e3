// Calls whose paths the appliance's description does not hold yet: the answer's type is said at the call.
import { api } from './client';

interface Init {
  params?: { path?: Record<string, string>; query?: Record<string, unknown> };
  body?: unknown;
  headers?: Record<string, string>;
  parseAs?: 'text';
  signal?: AbortSignal;
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- nothing else knows the answer yet
type Call = <T = unknown>(path: string, init?: Init) => Promise<{ data?: T; error?: unknown; response: Response }>;

export const loose = api as unknown as Record<'GET' | 'POST' | 'PUT' | 'DELETE', Call>;
