import { describe, expect, it } from 'vitest';
import { did, kinds, named, seen } from './audit';

describe('the audit log', () => {
  it('tells in plain words what it knows, and as it came what it does not', () => {
    expect(did('login')).toBe('logged in');
    expect(did('something-new')).toBe('something-new');
    expect(kinds().map(({ value }) => value)).toContain('secret seen');
  });

  it('names accounts, parts of the appliance, and accounts that are gone', () => {
    expect([named('olga'), named('console'), named(null)]).toEqual(['olga', 'The console', 'A deleted account']);
  });

  it('names a secret that was seen', () => {
    expect(seen('device key 1a2b3c4d')).toBe('Device key 1a2b3c4d');
  });
});
