import { describe, expect, it } from 'vitest';
import { hostOfKey } from './key';

describe('the address in a device key', () => {
  const secret = 'A'.repeat(48);
  it('is read from names and from addresses of both kinds', () => {
    const of = (host: string) => hostOfKey(`wss://${host}+${secret}+allowUntrustedCertificate`);
    expect(of('net.example.org:443')).toBe('net.example.org:443');
    expect(of('192.0.2.7:8443')).toBe('192.0.2.7:8443');
    expect(of('[2001:db8::1]:443')).toBe('[2001:db8::1]:443');
  });

  it('is not invented', () => {
    expect([hostOfKey(''), hostOfKey('https://a:1+x'), hostOfKey('wss://a+x')]).toEqual([null, null, null]);
  });
});
