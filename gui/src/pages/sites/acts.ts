import { api, ask, session, withStepUp } from '../../api';
import { confirm } from '../../components/asking.svelte';
import { live } from '../../live/live.svelte';
import type { Site } from '../../live/shapes';
import { words } from '../../words/sites';
import { tried } from '../device/acts';

/** Why a site cannot be deleted now; null when it can. */
export function keepReason(site: Site): string | null {
  const devices = site.description.deviceCount;
  return session.readOnly ?? (devices > 0 ? words.notEmpty(devices) : null);
}

export async function removeSite(site: Site): Promise<boolean> {
  const { name } = site.identification;
  const question = { title: words.removeTitle(name), body: words.removeBody, verb: words.removeVerb, danger: true };
  if (!(await confirm(question))) return false;
  return tried(words.notRemoved, async () => {
    await withStepUp(() => ask(api.DELETE('/nms/api/v2.1/sites/{id}', { params: { path: { id: site.id } } })));
    live.forgetSite(site.id);
    return words.removed(name);
  });
}
