// What an admin does with one account: the question, the call, and what is said afterwards.
import type { User } from '../../../api/session.svelte';
import { withStepUp } from '../../../api/step-up.svelte';
import { changeUser, deleteUser, type UserChange } from '../../../api/users';
import { confirm, type Question } from '../../../components/asking.svelte';
import { words } from '../../../words/users';
import { tried } from '../../device/acts';

type Changed = (user: User) => void;

async function change(user: User, wanted: UserChange, done: string, failed: string, changed: Changed, question?: Question): Promise<void> {
  if (question && !(await confirm(question))) return;
  await tried(failed, async () => {
    changed(await withStepUp(() => changeUser(user.id, wanted)));
    return done;
  });
}

export function turnFactorsOff(user: User, changed: Changed): Promise<void> {
  const { username } = user;
  const question = { title: words.factorsOffTitle(username), body: words.factorsOffBody, verb: words.factorsOffVerb, danger: true };
  return change(user, { totpAuthEnabled: false }, words.factorsOffDone(username), words.factorsNotOff, changed, question);
}

export function disable(user: User, changed: Changed): Promise<void> {
  const { username } = user;
  const question = { title: words.disableTitle(username), body: words.disableBody, verb: words.disableVerb, danger: true };
  return change(user, { enabled: false }, words.disabledDone(username), words.notChanged, changed, question);
}

export function enable(user: User, changed: Changed): Promise<void> {
  return change(user, { enabled: true }, words.enabledDone(user.username), words.notChanged, changed);
}

export async function remove(user: User, gone: () => void): Promise<void> {
  const { username } = user;
  const question = { title: words.removeTitle(username), body: words.removeBody, verb: words.removeVerb, danger: true, typed: username };
  if (!(await confirm(question))) return;
  await tried(words.notRemoved, async () => {
    await withStepUp(() => deleteUser(user.id));
    gone();
    return words.removed(username);
  });
}
