import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { api, ask } from './client';
import { ApiError, asApiError } from './error';
import { session } from './session.svelte';
import { stepUp, withStepUp } from './step-up.svelte';

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
const refused = (status: number, error: string, headers?: Record<string, string>) =>
  json(status, { statusCode: status, error, message: `${error}: do this.` }, headers);

/** What the page asked, and the answers that it gets one after the other. */
const asked: Request[] = [];
function answers(...queue: (Response | Error)[]): void {
  vi.stubGlobal('fetch', (request: Request) => {
    asked.push(request);
    const next = queue.shift();
    return next instanceof Response ? Promise.resolve(next) : Promise.reject(next ?? new Error('one call too many'));
  });
}
const version = () => ask(api.GET('/nms/api/v2.1/nms/version'));
const failure = async (call: Promise<unknown>): Promise<ApiError> => asApiError(await call.then(() => null, (error: unknown) => error));

beforeEach(() => {
  asked.length = 0;
  session.begin('token-1', null);
});
afterEach(() => {
  session.end();
  vi.unstubAllGlobals();
});

describe('a call', () => {
  it('carries the token and gives the body', async () => {
    answers(json(200, { version: '1' }));
    expect(await version()).toEqual({ version: '1' });
    expect(asked[0]?.headers.get('x-auth-token')).toBe('token-1');
  });

  it('that is refused says why, what to do, under which id, and when to come back', async () => {
    answers(refused(429, 'Too Many Requests', { 'retry-after': '7', 'x-request-id': 'r-1' }));
    const error = await failure(version());
    expect(error).toMatchObject({ status: 429, code: 'Too Many Requests', message: 'Too Many Requests: do this.', requestId: 'r-1', retryAfter: 7 });
  });

  it('without an answer says so', async () => {
    answers(new TypeError('Failed to fetch'));
    expect(await failure(version())).toMatchObject({ status: 0, code: 'Unreachable' });
  });

  it('answered by something else than the appliance says so', async () => {
    answers(new Response('<h1>Bad gateway</h1>', { status: 502, headers: { 'content-type': 'text/html' } }));
    const error = await failure(version());
    expect(error.status).toBe(502);
    expect(error.message).toContain('502');
  });
});

describe('a login', () => {
  it('ends when the appliance says that its token is worth nothing', async () => {
    answers(refused(401, 'Unauthorized'));
    expect((await failure(version())).status).toBe(401);
    expect(session.token).toBeNull();
    expect(session.endedByAppliance).toBe(true);
  });

  it('does not end by a late answer to an earlier token', async () => {
    const waiting: ((response: Response) => void)[] = [];
    vi.stubGlobal('fetch', () => new Promise<Response>((resolve) => waiting.push(resolve)));
    const late = failure(version());
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    session.begin('token-2', null);
    waiting[0]?.(refused(401, 'Unauthorized'));
    expect((await late).status).toBe(401);
    expect(session.token).toBe('token-2');
  });

  it('without an account may change nothing', () => {
    expect(session.admin).toBe(false);
    expect(session.readOnly).not.toBeNull();
  });
});

describe('a risky act', () => {
  it('asks for the password once and is tried again', async () => {
    answers(refused(403, 'StepUpRequired'), json(200, { result: true, message: '' }), json(200, { version: '2' }));
    const done = withStepUp(version);
    await vi.waitFor(() => expect(stepUp.waiting).not.toBeNull());
    await stepUp.prove('correct horse');
    expect(await done).toEqual({ version: '2' });
    expect(stepUp.waiting).toBeNull();
    expect(asked.map((request) => new URL(request.url).pathname.split('/').at(-1))).toEqual(['version', 'step-up', 'version']);
  });

  it('keeps asking after a wrong password', async () => {
    answers(refused(403, 'StepUpRequired'), refused(400, 'PasswordWrong'), json(200, { result: true, message: '' }), json(200, { version: '3' }));
    const done = withStepUp(version);
    await vi.waitFor(() => expect(stepUp.waiting).not.toBeNull());
    expect(await failure(stepUp.prove('wrong'))).toMatchObject({ code: 'PasswordWrong' });
    expect(stepUp.waiting).not.toBeNull();
    await stepUp.prove('right');
    expect(await done).toEqual({ version: '3' });
  });

  it('is not done when the password is not given', async () => {
    answers(refused(403, 'StepUpRequired'));
    const done = withStepUp(version).then(() => null, (error: unknown) => error);
    await vi.waitFor(() => expect(stepUp.waiting).not.toBeNull());
    stepUp.decline();
    expect(await done).toMatchObject({ name: 'StepUpDeclined' });
    expect(asked).toHaveLength(1);
  });

  it('passes every other refusal on', async () => {
    answers(refused(403, 'Forbidden'));
    expect(await failure(withStepUp(version))).toMatchObject({ code: 'Forbidden' });
    expect(stepUp.waiting).toBeNull();
  });
});
