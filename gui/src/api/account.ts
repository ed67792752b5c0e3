// Logging in, out, and the account behind the login.
import { api, ask, askWhole, tokenOf } from './client';
import { ApiError } from './error';
import { session, type User } from './session.svelte';
import { words } from '../words/errors';

/** The longest that the appliance keeps an idle login. */
const THIRTY_DAYS = 30 * 24 * 3600 * 1000;

export async function logIn(username: string, password: string, stay: boolean): Promise<void> {
  const body = { username, password, ...(stay ? { sessionTimeout: THIRTY_DAYS } : {}) };
  const { data, response } = await askWhole(api.POST('/nms/api/v2.1/user/login', { body }));
  const token = tokenOf(response);
  if (token === null) throw new ApiError(response.status, 'NoToken', words.answerUnknown(response.status));
  session.begin(token, data);
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
