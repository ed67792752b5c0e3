import { beforeEach, describe, expect, it, vi } from 'vitest';

/** A browser's address bar, as far as the router needs one. */
function addressBar(start: string): { entries: string[] } {
  const entries = [start];
  const bar = { pathname: '', search: '', href: '', origin: 'https://aerie.test' };
  const show = (address: string | URL): void => {
    const url = new URL(address, 'https://aerie.test');
    Object.assign(bar, { pathname: url.pathname, search: url.search, href: url.href });
  };
  show(start);
  vi.stubGlobal('location', bar);
  vi.stubGlobal('history', {
    state: null,
    pushState: (_state: unknown, _title: string, url: URL) => {
      entries.push(url.pathname + url.search);
      show(url);
    },
    replaceState: (_state: unknown, _title: string, url: URL) => {
      entries.splice(-1, 1, url.pathname + url.search);
      show(url);
    },
  });
  return { entries };
}

async function routerAt(start: string) {
  const { entries } = addressBar(start);
  const { router, href } = await import('./router.svelte');
  return { router, href, entries };
}

beforeEach(() => {
  vi.resetModules();
  vi.unstubAllGlobals();
});

describe('the router', () => {
  it('writes addresses below /nms and leaves out what is empty', async () => {
    const { href } = await routerAt('/nms/');
    expect(href('/devices')).toBe('/nms/devices');
    expect(href('/devices', { status: 'active', site: null, q: '', page: 2, all: false })).toBe('/nms/devices?status=active&page=2');
    expect(href('/devices', { q: 'a&b c' })).toBe('/nms/devices?q=a%26b+c');
  });

  it('finds the first route that fits, with its parameters', async () => {
    const { router } = await routerAt('/nms/devices/7/charts?range=day');
    const load = () => Promise.reject(new Error('not loaded in this test'));
    const routes = [{ pattern: '/devices', load }, { pattern: '/devices/:id/:tab?', load }];
    expect(router.find(routes)).toEqual({ route: routes[1], params: { id: '7', tab: 'charts' } });
    expect(router.query.get('range')).toBe('day');
    router.go('/nms/nowhere');
    expect(router.find(routes)).toBeNull();
  });

  it('changes a part of the query, keeps the rest, and adds no entry unless it is asked to', async () => {
    const { router, entries } = await routerAt('/nms/devices?status=active&page=3');
    router.set({ page: null, q: 'mast' });
    expect(entries).toEqual(['/nms/devices?status=active&q=mast']);
    router.set({ page: 2 }, { push: true });
    expect(entries).toEqual(['/nms/devices?status=active&q=mast', '/nms/devices?status=active&q=mast&page=2']);
    expect(router.query.get('page')).toBe('2');
  });

  it('makes no second entry for the place where it is', async () => {
    const { router, entries } = await routerAt('/nms/logs');
    router.go('/nms/logs');
    expect(entries).toHaveLength(1);
  });
});
