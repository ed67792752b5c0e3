// Where one is logged in, and the tokens of programs.
import { api, ask } from './client';
import type { components } from './schema';

type Schemas = components['schemas'];

export type Token = Schemas['Token'];
export type TokenKind = Schemas['TokenKind'];
export type NewToken = Schemas['NewTokenRequest'];

/** Mine, or everybody's. */
export const readTokens = (all: boolean): Promise<Token[]> => ask(api.GET('/nms/api/v2.1/token', { params: { query: all ? { all } : {} } }));

/** The token itself is in the answer, once. */
export const makeToken = (body: NewToken): Promise<Schemas['NewTokenView']> => ask(api.POST('/nms/api/v2.1/token', { body }));

export async function endToken(id: string): Promise<void> {
  await ask(api.DELETE('/nms/api/v2.1/token/{id}', { params: { path: { id } } }));
}

export async function endOtherLogins(): Promise<void> {
  await ask(api.DELETE('/nms/api/v2.1/token', { params: { query: { others: true } } }));
}
