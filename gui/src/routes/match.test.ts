import { describe, expect, it } from 'vitest';
import { match, pathOf, safeReturn } from './match';

describe('matching a path', () => {
  it('takes named and optional parts', () => {
    expect(match('/devices', '/devices')).toEqual({});
    expect(match('/devices/:id/:tab?', '/devices/a1')).toEqual({ id: 'a1' });
    expect(match('/devices/:id/:tab?', '/devices/a1/charts')).toEqual({ id: 'a1', tab: 'charts' });
  });

  it('refuses what is shorter, longer or another', () => {
    expect(match('/devices/:id', '/devices')).toBeNull();
    expect(match('/devices', '/devices/a1')).toBeNull();
    expect(match('/sites', '/devices')).toBeNull();
  });

  it('decodes parts, and a broken escape fits nothing', () => {
    expect(match('/sites/:id', '/sites/a%20b')).toEqual({ id: 'a b' });
    expect(match('/sites/:id', '/sites/%E0%A4')).toBeNull();
  });

  it('takes the base off and settles the slashes', () => {
    expect(['/nms', '/nms/', '/nms/devices/', '/devices'].map((path) => pathOf(path, '/nms'))).toEqual(['/', '/', '/devices', '/devices']);
  });
});

describe('coming back after a login', () => {
  const back = (address: string | null) => safeReturn(address, '/nms');
  it('goes to the page that was wanted, with its query', () => {
    expect(back('/nms/devices?q=north&status=active')).toBe('/nms/devices?q=north&status=active');
  });

  it('never leaves the appliance and never loops', () => {
    for (const bad of [
      null,
      '',
      'https://evil.example/nms/',
      '//evil.example/nms/',
      '/nms//evil.example'.replace('/nms', ''),
      '/nms/\\evil.example',
      '/nms/login?return=/nms/login',
      '/nms/setup',
      '/nms/',
      'javascript:alert(1)',
    ]) {
      expect(back(bad), String(bad)).toBe('/nms/dashboard');
    }
  });
});
