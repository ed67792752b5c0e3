// The live picture of this page, fed by the appliance that served it. The frame starts it with the login.
import { api, ask, asApiError, session } from '../api';
import { readVault } from '../api/credentials';
import { readJobs } from '../api/jobs';
import { Live } from './store.svelte';

export const live = new Live({
  ticket: async () => (await ask(api.POST('/nms/api/v2.1/tickets', { body: { route: 'live' } }))).ticket,
  socket: () => new WebSocket(socketAddress('/nms/ws')),
  devices: () => ask(api.GET('/nms/api/v2.1/devices')),
  sites: () => ask(api.GET('/nms/api/v2.1/sites')),
  logs: async () => (await ask(api.GET('/nms/api/v2.1/logs', { params: { query: { count: 100 } } }))).items,
  summary: async () => (await ask(api.GET('/nms/api/v2.1/nms/summary'))).aerie,
  vault: () => orElse(readVault(), null),
  jobs: () => orElse(readJobs(), []),
  isFinal: (error) => asApiError(error).status === 401,
  loginEnded: () => session.end(),
});

/** What the rest of the picture does not need: where it cannot be read, the rest is shown all the same. */
async function orElse<T, U>(call: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await call;
  } catch (error) {
    if (asApiError(error).status === 401) throw error;
    return otherwise;
  }
}

/** A socket on the appliance that served this page. */
export function socketAddress(path: string): string {
  const address = new URL(path, location.href);
  address.protocol = address.protocol === 'http:' ? 'ws:' : 'wss:';
  return address.href;
}
