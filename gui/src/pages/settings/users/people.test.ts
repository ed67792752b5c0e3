import { describe, expect, it } from 'vitest';
import type { User } from '../../../api/session.svelte';
import { hasFactor, inOrder, isEmail, matches, reasonsFor, roleOf } from './people';

interface Made {
  admin?: boolean;
  enabled?: boolean;
  totp?: boolean;
  passkeys?: number;
  firstName?: string;
}
function user(username: string, { admin = false, enabled = true, totp = false, passkeys = 0, firstName = '' }: Made = {}): User {
  const twoFactor = { totp, passkeys, recoveryCodesLeft: 0, required: false };
  return { id: `id-${username}`, username, firstName, email: `${username}@example.net`, enabled, aerie: { admin, twoFactor } } as unknown as User;
}

describe('an account in the list', () => {
  it('stands by what it may do, then by name', () => {
    const users = [user('zoe'), user('bob', { enabled: false, admin: true }), user('eve', { admin: true }), user('ann')];
    expect(inOrder(users).map(({ username }) => username)).toEqual(['eve', 'ann', 'zoe', 'bob']);
  });

  it('is found by every word of a search', () => {
    expect(matches(user('olga', { firstName: 'Ольга' }), 'OLGA example')).toBe(true);
    expect(matches(user('olga'), 'olga example.org')).toBe(false);
    expect(matches(user('olga'), '')).toBe(true);
  });

  it('has a second factor with an app or with a passkey', () => {
    expect([user('a'), user('b', { totp: true }), user('c', { passkeys: 2 })].map(hasFactor)).toEqual([false, true, true]);
  });

  it('can be sent away by others and not by itself', () => {
    const olga = user('olga', { admin: true, totp: true });
    expect(Object.values(reasonsFor(olga, 'id-olga'))).not.toContain(null);
    expect(reasonsFor(olga, 'id-eve')).toEqual({ away: null, reset: null, factorsOff: null });
    expect(reasonsFor(user('ann'), 'id-eve').factorsOff).not.toBeNull();
  });

  it('is an admin or looks on', () => {
    expect([roleOf(user('a', { admin: true })), roleOf(user('b'))]).toEqual(['admin', 'guest']);
    expect([isEmail(' olga@example.net '), isEmail('olga@'), isEmail('olga at example.net')]).toEqual([true, false, false]);
  });
});
