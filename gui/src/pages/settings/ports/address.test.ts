import { describe, expect, it } from 'vitest';
import type { PortSettings } from '../../../api/ports';
import { address, codeIn, completed, confirmPage, contactOf, guiPlace, inWords, isHost, isNetwork, keyPlace, linesOf, portOf, problems } from './address';

const settings = (changes: Partial<PortSettings>): PortSettings => ({
  http: ['0.0.0.0:80'],
  https: ['0.0.0.0:443'],
  inform: [],
  publicHost: 'net.example.org',
  publicPort: null,
  informHost: null,
  informPort: null,
  trustedProxies: [],
  ...changes,
});

describe('an address to listen on', () => {
  it('is read in both families, with its port', () => {
    expect(address('192.0.2.1:443')).toEqual({ ip: '192.0.2.1', v6: false, port: 443 });
    expect(address(' [2001:db8::1]:8443 ')).toEqual({ ip: '2001:db8::1', v6: true, port: 8443 });
    expect(address('[::]:443')?.ip).toBe('::');
  });

  it('is not guessed', () => {
    for (const text of ['', '443', 'net.example.org:443', '192.0.2.256:443', '192.0.2.1', '192.0.2.1:0', '192.0.2.1:65536', '::1:443', '[x]:1']) {
      expect(address(text), text).toBeNull();
    }
  });

  it('may be typed as a port alone', () => {
    expect([completed('8443'), completed(':8443'), completed(' [::]:1 ')]).toEqual(['0.0.0.0:8443', '0.0.0.0:8443', '[::]:1']);
  });

  it('is said in words', () => {
    expect(inWords('0.0.0.0:443')).toBe('port 443 on all IPv4 addresses');
    expect(inWords('[::]:443')).toBe('port 443 on all IPv6 addresses');
    expect(inWords('127.0.0.1:1')).toBe('port 1 for this machine alone (127.0.0.1)');
    expect(inWords('192.0.2.1:1')).toBe('port 1 on 192.0.2.1');
  });

  it('is marked where it stands twice or is none', () => {
    const found = problems({ http: ['80', ''], https: ['0.0.0.0:80'], inform: ['x', '0.0.0.0:1'] });
    expect(found.http[0]).toMatch(/twice/);
    expect(found.http[1]).toMatch(/Type an address/);
    expect(found.https[0]).toMatch(/twice/);
    expect(found.inform[0]).toMatch(/such as/);
    expect(found.inform[1]).toBeNull();
  });
});

describe('the place in a device key', () => {
  it('is the public host and the port where devices are let in', () => {
    expect(keyPlace(settings({}), 'x')).toBe('wss://net.example.org:443');
    expect(keyPlace(settings({ inform: ['0.0.0.0:8444'] }), 'x')).toBe('wss://net.example.org:8444');
    expect(keyPlace(settings({ inform: ['0.0.0.0:8444'], informPort: 444, informHost: '2001:db8::1' }), 'x')).toBe('wss://[2001:db8::1]:444');
    expect(keyPlace(settings({ publicHost: null }), 'here')).toBe('wss://here:443');
  });

  it('has nothing to do with where people go', () => {
    expect(guiPlace(settings({}), 'x')).toBe('https://net.example.org');
    expect(guiPlace(settings({ https: ['[::]:8443'], informPort: 1 }), 'x')).toBe('https://net.example.org:8443');
    expect(guiPlace(settings({ publicPort: 444 }), 'x')).toBe('https://net.example.org:444');
  });
});

it('hosts, ports, networks and contacts are told from what is none', () => {
  expect(['net.example.org', 'a', '192.0.2.1', '2001:db8::1', '[::1]'].every(isHost)).toBe(true);
  expect(['https://a', 'a:1', '-a', 'a b', ''].some(isHost)).toBe(false);
  expect([portOf(''), portOf(' 443 '), portOf('0'), portOf('1e3'), portOf('65536')]).toEqual([null, 443, NaN, NaN, NaN]);
  expect(['192.0.2.7', '192.0.2.0/28', '2001:db8::/32', '::1'].every(isNetwork)).toBe(true);
  expect(['0.0.0.0/0', '::/0', '192.0.2.0/33', 'a/8', '192.0.2.1/8/8', ''].some(isNetwork)).toBe(false);
  expect(linesOf(' a\n\nb, c ')).toEqual(['a', 'b', 'c']);
  expect([contactOf(''), contactOf('a@b.cc'), contactOf('mailto:a@b.cc'), contactOf('https://b.cc/x'), contactOf('http://b.cc'), contactOf('a')]).toEqual([
    null, 'mailto:a@b.cc', 'mailto:a@b.cc', 'https://b.cc/x', undefined, undefined,
  ]);
});

it('the code of a change travels in the fragment and nowhere else', () => {
  const code = 'Ab-_'.repeat(10) + 'xyz';
  const page = new URL(confirmPage('https://192.0.2.1:8443', code));
  expect([page.search, page.pathname.includes(code), codeIn(page.hash)]).toEqual(['', false, code]);
  expect([codeIn(''), codeIn('#confirm='), codeIn(`#confirm=${code}x`), codeIn(`#x=${code}`)]).toEqual([null, null, null, null]);
});
