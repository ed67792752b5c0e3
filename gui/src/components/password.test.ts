import { describe, expect, it } from 'vitest';
import { characters, makePassword, passwordProblem } from './password';

describe('a new password', () => {
  it('is measured in characters as people count them', () => {
    expect(characters('größer 🐦')).toBe(8);
  });

  it('says how many characters are missing', () => {
    expect(passwordProblem('', 15)).toContain('15');
    expect(passwordProblem('fourteen chars', 15)).toContain('1 character.');
    expect(passwordProblem('seven birds', 15)).toContain('4 characters.');
    expect(passwordProblem('seven birds', 8)).toBeNull();
  });

  it('that is made for somebody else is long, readable, and never the same', () => {
    const made = new Set(Array.from({ length: 200 }, makePassword));
    expect(made.size).toBe(200);
    for (const password of made) expect(password).toMatch(/^(?:[a-hjkmnp-z2-9]{4}-){4}[a-hjkmnp-z2-9]{4}$/);
  });
});
