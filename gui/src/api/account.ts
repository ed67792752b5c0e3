// Logging in, out, and the account behind the login.
import { api, ask, askWhole, tokenOf } from './client';
import { ApiError } from './error';
import type { components } from './schema';
import { assertion } from './passkeys';
import { session, type User } from './session.svelte';
import { words } from '../words/errors';

/** The longest that the appliance keeps an idle login. */
const THIRTY_DAYS = 30 * 24 * 3600 * 1000;

export type Method = 'totp' | 'passkey' | 'recovery-code';

/** The password was right; one of these is still missing. */
export interface SecondStep {
  id: string;
  /** Milliseconds since 1970. */
  until: number;
  methods: Method[];
}

const METHODS: readonly string[] = ['totp', 'passkey', 'recovery-code'] satisfies Method[];
/** An appliance that is newer than this page may know more. */
const isMethod = (method: string): method is Method => METHODS.includes(method);

const staying = (stay: boolean): { sessionTimeout?: number } => (stay ? { sessionTimeout: THIRTY_DAYS } : {});

/** Begins a login. Answers what is still missing; null where nothing is. */
export async function logIn(username: string, password: string, stay: boolean): Promise<SecondStep | null> {
  const body = { username, password, ...staying(stay) };
  const { data, response } = await askWhole(api.POST('/nms/api/v2.1/user/login', { body }));
  if ('exp' in data) return { id: data.id, until: data.exp, methods: data.aerie.methods.filter(isMethod) };
  begun(data, response);
  return null;
}

/** Ends the second step with six digits or with a recovery code. */
export async function logInWithCode(step: SecondStep, code: string, stay: boolean): Promise<void> {
  const body = { token: step.id, verificationCode: code, ...staying(stay) };
  const { data, response } = await askWhole(api.POST('/nms/api/v2.1/user/login/totpauth', { body }));
  begun(data, response);
}

/** With a passkey: as the second step, or alone. */
export async function logInWithPasskey(step: SecondStep | null, stay: boolean): Promise<void> {
  const asked = await ask(api.POST('/nms/api/v2.1/user/login/passkey/options', { body: step ? { token: step.id } : {} }));
  const body = { id: asked.id, credential: await assertion(asked.options), ...staying(stay) };
  const { data, response } = await askWhole(api.POST('/nms/api/v2.1/user/login/passkey', { body }));
  begun(data, response);
}

function begun(user: User, response: Response): void {
  const token = tokenOf(response);
  if (token === null) throw new ApiError(response.status, 'NoToken', words.answerUnknown(response.status));
  session.begin(token, user);
}

/** Ends the login here at once, and on the appliance if it can be reached. */
export async function logOut(): Promise<void> {
  try {
    await ask(api.POST('/nms/api/v2.1/user/logout'));
  } finally {
    session.end({ byAppliance: false });
  }
}

export async function readAccount(): Promise<User> {
  const user = await ask(api.GET('/nms/api/v2.1/user'));
  session.know(user);
  return user;
}

export async function changeAccount(body: components['schemas']['UserChange']): Promise<void> {
  session.know(await ask(api.PUT('/nms/api/v2.1/user', { body })));
}

/** Every login ends with a new password; this page goes on with the fresh one that the answer brings. */
export async function changePassword(currentPassword: string, newPassword: string): Promise<void> {
  session.renewing = true;
  try {
    const body = { currentPassword, newPassword };
    const { data, response } = await askWhole(api.PUT('/nms/api/v2.1/user', { body }));
    begun(data, response);
  } finally {
    session.renewing = false;
  }
}

export async function dismissNotices(ids: string[]): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/user/notices/dismiss', { body: { ids } }));
  const { user } = session;
  if (user) session.know({ ...user, aerie: { ...user.aerie, notices: user.aerie.notices.filter(({ id }) => !ids.includes(id)) } });
}
