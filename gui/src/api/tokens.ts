// Where one is logged in, and the tokens of programs.
import { later } from './later';

export type TokenKind = 'login' | 'token' | 'app-key';

export interface Token {
  id: string;
  name: string;
  lastIp?: string | null;
  createdAt: string;
  lastUsed?: string | null;
  /** Absent: never. */
  expiresAt?: string | null;
  scope: string[];
  currentSession: boolean;
  allIpsCount: number;
  userId: string;
  user: { userId: string; username: string };
  meta?: string | null;
  ips: { ip: string; firstSeen: string; lastSeen: string }[];
  aerie: { kind: TokenKind; client?: string | null; stepUp: boolean; addresses: string[] };
}

export interface NewToken {
  name: string;
  meta?: string;
  scope: string;
  aerie: { kind: TokenKind; expiresAt?: string; stepUp?: boolean; addresses?: string[] };
}

/** Mine, or everybody's. */
export const readTokens = (all: boolean): Promise<Token[]> => later('get', '/token', all ? { query: { all } } : {});

/** The token itself is in the answer, once. */
export const makeToken = (body: NewToken): Promise<Token & { token: string }> => later('post', '/token', { body });

export async function endToken(id: string): Promise<void> {
  await later('delete', `/token/${id}`);
}

export async function endOtherLogins(): Promise<void> {
  await later('delete', '/token', { query: { others: true } });
}
