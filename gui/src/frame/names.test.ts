import { describe, expect, it } from 'vitest';
import { fullName, initials } from './names';

describe('names', () => {
  it('shows the full name, or the user name where there is none', () => {
    expect(fullName({ username: 'olga', firstName: 'Olga', lastName: 'Novák' })).toBe('Olga Novák');
    expect(fullName({ username: 'olga', firstName: '', lastName: null })).toBe('olga');
  });

  it('makes one or two letters of a name', () => {
    expect(initials('Olga Novák')).toBe('ON');
    expect(initials('admin')).toBe('AD');
    expect(initials('first.last')).toBe('FL');
    expect(initials('')).toBe('·');
    expect(initials('𝒳')).toBe('𝒳');
  });
});
