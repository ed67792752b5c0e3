import { describe, expect, it } from 'vitest';
import { accountProblems, applianceProblems, codeProblems, isLocal, type Typed } from './rules';

const typed: Typed = {
  code: 'ABCDE-01234-FGHJK-56789',
  username: 'olga',
  email: 'olga@example.net',
  password: 'four words that fit',
  host: 'net.example.org',
  zone: 'Europe/Vienna',
};
const hosts = (list: string[]) => list.filter((host) => applianceProblems({ ...typed, host }).host === undefined);

describe('what the wizard takes', () => {
  it('takes what is right', () => {
    expect({ ...codeProblems(typed), ...accountProblems(typed), ...applianceProblems(typed) }).toEqual({});
  });

  it('counts the letters of the code, without dashes and spaces', () => {
    expect(codeProblems({ ...typed, code: ' abcde 01234 fghjk 56789 ' })).toEqual({});
    expect(codeProblems({ ...typed, code: 'ABCDE' }).code).toContain('5');
    expect(codeProblems({ ...typed, code: '' }).code).toBeDefined();
  });

  it('names every field that lacks something', () => {
    expect(Object.keys(accountProblems({ ...typed, username: ' ', email: 'olga@', password: 'short' })).sort()).toEqual(['email', 'password', 'username']);
  });

  it('takes names and addresses, and no address of a page', () => {
    const good = ['localhost', 'NET.example.org', '192.0.2.7', '2001:db8::1', '[2001:db8::1]', 'xn--bcher-kva.example', ' trimmed.example '];
    expect(hosts(good)).toEqual(good);
    expect(hosts(['', 'https://a.org', 'a.org:8443', 'a.org/x', 'a b', '-a.org', 'a..b', '256.1.1.1', '1.2.3', 'a_b.org'])).toEqual([]);
  });

  it('knows names that only this machine knows', () => {
    expect(['localhost', '127.0.0.1', '::1', 'a.localhost'].every(isLocal)).toBe(true);
    expect(isLocal('net.example.org')).toBe(false);
  });
});
