// What an admin does with devices, for one and for many: the question, the call, and what is said afterwards.
import { api, ask, withStepUp } from '../../api';
import { confirm } from '../../components/asking.svelte';
import { toasts } from '../../components/toasts.svelte';
import { live } from '../../live/live.svelte';
import type { Device, Site } from '../../live/shapes';
import { words } from '../../words/devices';

/** The appliance takes so many ids in one call. */
const AT_ONCE = 1_000;

export type Progress = (done: number) => void;

const idsOf = (devices: readonly Device[]): string[] => devices.map((one) => one.identification.id);
const nameOf = (devices: readonly Device[]): string => devices[0]?.identification.displayName ?? '';

/** Calls with ids, a thousand at a time. Answers what the appliance said of the last thousand. */
async function inPieces<T>(ids: readonly string[], call: (ids: string[]) => Promise<T>, progress?: Progress): Promise<T[]> {
  const answers: T[] = [];
  for (let start = 0; start < ids.length; start += AT_ONCE) {
    answers.push(await call(ids.slice(start, start + AT_ONCE)));
    progress?.(Math.min(start + AT_ONCE, ids.length));
  }
  return answers;
}

export async function makeSite(name: string): Promise<Site> {
  const site = await ask(api.POST('/nms/api/v2.1/sites', { body: { name } }));
  live.putSite(site);
  return site;
}

/** Lets devices in, or moves those that are in. Throws what the appliance refused. */
export async function settle(devices: readonly Device[], siteId: string, progress?: Progress): Promise<void> {
  const call = (deviceIds: string[]) => ask(api.POST('/nms/api/v2.1/devices/authorize', { body: { siteId, deviceIds } }));
  await inPieces(idsOf(devices), call, progress);
}

export async function restart(devices: readonly Device[], progress?: Progress): Promise<boolean> {
  const n = devices.length;
  const [title, verb] = [words.restartTitle(n, nameOf(devices)), words.restartVerb(n)];
  if (!(await confirm({ title, body: words.restartBody, verb }))) return false;
  return tried(words.notRestarted, async () => {
    const [first] = devices;
    if (n === 1 && first) {
      await ask(api.POST('/nms/api/v2.1/devices/{id}/restart', { params: { path: { id: first.identification.id } } }));
      return words.restarting(1, nameOf(devices));
    }
    const call = (ids: string[]) => withStepUp(() => ask(api.POST('/nms/api/v2.1/devices/bulkrestart', { body: { ids } })));
    return said(await inPieces(idsOf(devices), call, progress), words.restarting(n, ''));
  });
}

export async function refresh(devices: readonly Device[], progress?: Progress): Promise<boolean> {
  const n = devices.length;
  const title = words.refreshTitle(n, nameOf(devices));
  if (!(await confirm({ title, body: words.refreshBody, verb: words.refreshVerb }))) return false;
  return tried(words.notRefreshed, async () => {
    const call = (ids: string[]) => withStepUp(() => ask(api.POST('/nms/api/v2.1/devices/refresh', { body: { ids } })));
    return said(await inPieces(idsOf(devices), call, progress), words.refreshed(n));
  });
}

export async function remove(devices: readonly Device[], progress?: Progress): Promise<boolean> {
  const n = devices.length;
  // One that waits has no history to lose and can knock again.
  const waiting = devices.every((one) => !one.identification.authorized);
  const question = waiting
    ? { title: words.rejectTitle(n, nameOf(devices)), body: words.rejectBody, verb: words.rejectVerb }
    : {
        title: words.deleteTitle(n, nameOf(devices)),
        body: words.deleteBody(n),
        verb: words.deleteVerb(n),
        danger: true,
        typed: n === 1 ? nameOf(devices) : words.deleteTyped(n),
      };
  if (!(await confirm(question))) return false;
  return tried(words.notDeleted, async () => {
    const call = (ids: string[]) => withStepUp(() => ask(api.POST('/nms/api/v2.1/devices/bulkdelete', { body: { ids } })));
    const answers = await inPieces(idsOf(devices), call, progress);
    const deleted = answers.flatMap((answer) => answer.deletedIds);
    live.forgetDevices([...deleted, ...answers.flatMap((answer) => answer.undeletedIds)]);
    return words.deleted(deleted.length, nameOf(devices));
  });
}

/** Puts alias, note or maintenance; what is left out stays. Throws what the appliance refused. */
export async function describe(device: Device, meta: { alias?: string; note?: string; maintenance?: boolean }): Promise<void> {
  const params = { path: { id: device.identification.id } };
  await ask(api.PUT('/nms/api/v2.1/devices/{id}/system/unms', { params, body: { overrideGlobal: false, meta } }));
  await reload(device.identification.id);
}

export async function locate(device: Device, on: boolean): Promise<void> {
  const params = { path: { id: device.identification.id } };
  if (on) await ask(api.POST('/nms/api/v2.1/devices/{id}/locate/start', { params }));
  else await ask(api.POST('/nms/api/v2.1/devices/{id}/locate/stop', { params }));
}

/** Somebody compared the fingerprints. */
export async function confirmFingerprint(device: Device): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/devices/{id}/confirm', { params: { path: { id: device.identification.id } } }));
  await reload(device.identification.id);
}

/** Shows what became of it at once instead of when the socket says so. */
async function reload(id: string): Promise<void> {
  live.putDevice(await ask(api.GET('/nms/api/v2.1/devices/{id}', { params: { path: { id } } })));
}

/** Says what was done, or why not. */
export async function tried(failed: string, act: () => Promise<string | null>): Promise<boolean> {
  try {
    const done = await act();
    if (done !== null) toasts.done(done);
    return true;
  } catch (error) {
    toasts.failed(failed, error);
    return false;
  }
}

/** The appliance's own words where it did less than was asked, ours otherwise. */
function said(answers: readonly { message: string }[], ours: string): string {
  const partly = answers.find((answer) => answer.message.includes(' of '));
  return partly?.message ?? ours;
}
