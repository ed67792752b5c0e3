// What can be said of an account from its own words.
import type { User } from '../../../api/session.svelte';
import { words } from '../../../words/users';

export const isEmail = (text: string): boolean => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text.trim());

/** `admin` or `guest`; a superadmin is an admin. */
export const roleOf = (user: User): string => (user.aerie.admin ? 'admin' : 'guest');

export const hasFactor = (user: User): boolean => user.aerie.twoFactor.totp || user.aerie.twoFactor.passkeys > 0;

/** Why something cannot be done with an account; null where it can. */
export interface Reasons {
  reset: string | null;
  factorsOff: string | null;
  /** Disable, offboard, delete. */
  away: string | null;
}

export function reasonsFor(user: User, own: string | undefined): Reasons {
  const self = user.id === own;
  return {
    reset: self ? words.yourPassword : null,
    factorsOff: self ? words.yourFactor : hasFactor(user) ? null : words.noFactor,
    away: self ? words.yourself : null,
  };
}

/** Admins first, who is disabled last, then by name. */
export function inOrder(users: readonly User[]): User[] {
  const rank = (user: User): number => (user.enabled ? (user.aerie.admin ? 0 : 1) : 2);
  return [...users].sort((a, b) => rank(a) - rank(b) || a.username.localeCompare(b.username));
}

/** Whether every word of a search is in its names or its address. */
export function matches(user: User, query: string): boolean {
  const text = [user.username, user.email, user.firstName, user.lastName].join(' ').toLowerCase();
  return query.toLowerCase().split(/\s+/).every((term) => text.includes(term));
}
