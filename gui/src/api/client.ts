// The one client of the appliance's API, typed by its own description.
import createClient, { type Middleware } from 'openapi-fetch';
import { refusal } from './error';
import type { paths } from './schema';
import { session } from './session.svelte';

/** A 403 with one of these says that the account has something to do first; the page then reads it anew. */
const DUE = new Set(['PasswordChangeRequired', 'SecondFactorRequired']);
/** Milliseconds after which an answer is no longer waited for. */
const PATIENCE = 30_000;
const TOKEN = 'x-auth-token';

const login: Middleware = {
  onRequest({ request }) {
    if (session.token !== null) request.headers.set(TOKEN, session.token);
  },
  onResponse({ request, response }) {
    // A wrong password is answered 401 too, but says nothing about the login that sent it.
    const sent = request.headers.get(TOKEN);
    if (response.status === 401 && sent !== null && sent === session.token) session.end();
  },
};

export const api = createClient<paths>({
  baseUrl: typeof location === 'undefined' ? 'https://aerie.invalid' : location.origin,
  fetch: (request) => fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]) }),
});
api.use(login);

interface Answered<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** The answer's body, or an `ApiError`: `const sites = await ask(api.GET('/nms/api/v2.1/sites'))`. */
export async function ask<Data>(call: Promise<Answered<Data>>): Promise<Data> {
  return (await askWhole(call)).data;
}

/** The same with the headers. */
export async function askWhole<Data>(call: Promise<Answered<Data>>): Promise<{ data: Data; response: Response }> {
  const { data, error, response } = await call;
  if (!response.ok) {
    const refused = refusal(response, error);
    if (DUE.has(refused.code)) session.user = null;
    throw refused;
  }
  return { data: data as Data, response };
}

/** The token that an answer hands out. */
export const tokenOf = (response: Response): string | null => response.headers.get(TOKEN);
