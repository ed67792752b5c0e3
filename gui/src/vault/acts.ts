// What an admin does with one credential: the question, the call, and what is said afterwards.
import { deleteCredential } from '../api/credentials';
import type { Credential } from '../api/vault';
import { confirm } from '../components/asking.svelte';
import { tried } from '../pages/device/acts';
import { words } from '../words/credentials';
import { nameOf } from './credential';

export async function removeCredential(one: Credential): Promise<boolean> {
  const title = words.removeTitle(nameOf(one), one.username);
  if (!(await confirm({ title, body: words.removeBody, verb: words.removeVerb, danger: true, typed: one.username }))) return false;
  return tried(words.notRemoved, async () => {
    await deleteCredential(one.id);
    return words.removed;
  });
}
