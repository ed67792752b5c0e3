import { describe, expect, it } from 'vitest';
import { expiryAt, linesOf } from './token';

describe('a new token', () => {
  it('expires after so many days, or never', () => {
    expect(expiryAt('30', Date.UTC(2026, 0, 31))).toBe('2026-03-02T00:00:00.000Z');
    expect(expiryAt('never', 0)).toBeNull();
  });

  it('takes addresses however they are separated', () => {
    expect(linesOf(' 192.0.2.7\n198.51.100.0/24, 2001:db8::/32;\n\n')).toEqual(['192.0.2.7', '198.51.100.0/24', '2001:db8::/32']);
    expect(linesOf(' \n')).toEqual([]);
  });
});
