// Logging in, out, and the account behind the login.
import { api, ask, tokenOf } from './client';
import { ApiError } from './error';
import { later, laterWhole } from './later';
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

interface Challenged {
  id: string;
  exp: number;
  aerie: { methods: Method[] };
}

const staying = (stay: boolean): object => (stay ? { sessionTimeout: THIRTY_DAYS } : {});

/** Begins a login. Answers what is still missing; null where nothing is. */
export async function logIn(username: string, password: string, stay: boolean): Promise<SecondStep | null> {
  const body = { username, password, ...staying(stay) };
  const { data, response } = await laterWhole<User | Challenged>('post', '/user/login', { body });
  if (response.status === 201 && 'exp' in data) return { id: data.id, until: data.exp, methods: data.aerie.methods };
  begun(data as User, response);
  return null;
}

/** Ends the second step with six digits or with a recovery code. */
export async function logInWithCode(step: SecondStep, code: string, stay: boolean): Promise<void> {
  const body = { token: step.id, verificationCode: code, ...staying(stay) };
  const { data, response } = await laterWhole<User>('post', '/user/login/totpauth', { body });
  begun(data, response);
}

/** With a passkey: as the second step, or alone. */
export async function logInWithPasskey(step: SecondStep | null, stay: boolean): Promise<void> {
  const asked = await later<{ id: string; options: PublicKeyCredentialRequestOptionsJSON }>('post', '/user/login/passkey/options', {
    body: step ? { token: step.id } : {},
  });
  const credential = await assertion(asked.options);
  const body = { id: asked.id, credential, ...staying(stay) };
  const { data, response } = await laterWhole<User>('post', '/user/login/passkey', { body });
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
  const user = await later<User>('get', '/user');
  session.know(user);
  return user;
}

export interface AccountChange {
  firstName?: string;
  lastName?: string;
  email?: string;
  /** Milliseconds. */
  sessionTimeout?: number;
}

export async function changeAccount(body: AccountChange): Promise<void> {
  session.know(await later<User>('put', '/user', { body }));
}

/** Every login ends with a new password; this page goes on with the fresh one that the answer brings. */
export async function changePassword(currentPassword: string, newPassword: string): Promise<void> {
  session.renewing = true;
  try {
    const body = { currentPassword, newPassword };
    const { data, response } = await laterWhole<User>('put', '/user', { body });
    begun(data, response);
  } finally {
    session.renewing = false;
  }
}

export async function dismissNotices(ids: string[]): Promise<void> {
  await later('post', '/user/notices/dismiss', { body: { ids } });
  const { user } = session;
  if (user) session.know({ ...user, aerie: { ...user.aerie, notices: user.aerie.notices.filter(({ id }) => !ids.includes(id)) } });
}
