// What was typed for a credential, and what is wrong with it that one can see from here.
import type { Credential, NewCredential } from '../api/vault';
import { words } from '../words/credentials';
import { wholeNumber } from './rotation';

const PASSWORD_BYTES = 4_096;
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

export interface Typed {
  kind: string;
  deviceId: string;
  label: string;
  username: string;
  password: string;
  readOnly: boolean;
  sshPort: string;
  httpsPort: string;
  note: string;
}

export type Problems = Partial<Record<Exclude<keyof Typed, 'kind' | 'readOnly'>, string>>;

export const typedOf = (one: Credential | null, deviceId = ''): Typed => ({
  kind: one ? (one.deviceId === null ? 'other' : 'device') : 'device',
  deviceId: one?.deviceId ?? deviceId,
  label: one?.label ?? '',
  username: one?.username ?? '',
  password: '',
  readOnly: one?.readOnly ?? false,
  sshPort: one?.sshPort?.toString() ?? '',
  httpsPort: one?.httpsPort?.toString() ?? '',
  note: one?.note ?? '',
});

/** `isNew`: then the password may not be missing. */
export function problemsOf(typed: Typed, isNew: boolean): Problems {
  const found: Problems = {};
  if (typed.kind === 'device' && typed.deviceId === '') found.deviceId = words.deviceMissing;
  if (typed.kind !== 'device' && typed.label.trim() === '') found.label = words.labelMissing;
  if (typed.username.trim() === '') found.username = words.usernameMissing;
  if (isNew && typed.password === '') found.password = words.passwordMissing;
  if (new TextEncoder().encode(typed.password).length > PASSWORD_BYTES) found.password = words.passwordLong;
  for (const field of ['label', 'username', 'password', 'note'] as const) if (CONTROLS.test(typed[field])) found[field] = words.controls;
  for (const field of ['sshPort', 'httpsPort'] as const) {
    if (typed[field].trim() !== '' && wholeNumber(typed[field], 1, 65_535) === null) found[field] = words.portWrong;
  }
  return found;
}

/**
 * Only for what has no problems. An empty password is left out, as is what a credential for a device, or one for
 * something else, does not have: what is left out of a change stays. A port that was emptied is null, which takes it away.
 */
export function bodyOf(typed: Typed): Omit<NewCredential, 'password'> & { password?: string } {
  const sshPort = wholeNumber(typed.sshPort, 1, 65_535);
  const httpsPort = wholeNumber(typed.httpsPort, 1, 65_535);
  return {
    ...(typed.kind === 'device' ? { deviceId: typed.deviceId } : { label: typed.label.trim() }),
    username: typed.username.trim(),
    ...(typed.password === '' ? {} : { password: typed.password }),
    readOnly: typed.readOnly,
    sshPort,
    httpsPort,
    note: typed.note.trim(),
  };
}
