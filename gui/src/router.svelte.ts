// The address bar is the state: pages, tabs, filters and open panels all live in the URL below /nms/.
import type { Component } from 'svelte';
import { match, pathOf, type Params } from './routes/match';

/** Everything of the GUI is below this path. */
export const BASE = '/nms';

export interface PageProps {
  params: Params;
}

export interface Route {
  /** Below /nms: `/devices/:id/:tab?`; a question mark makes a part optional. */
  pattern: string;
  load: () => Promise<{ default: Component<PageProps> | Component<Record<string, never>> }>;
  /** Without rail and top bar, and open to everybody. */
  bare?: boolean;
  /** The rail's entry that it belongs to. */
  section?: string;
}


/** An address below /nms, with its query: `href('/devices', { site: id })`. Empty values are left out. */
export function href(path: string, query: Record<string, string | number | boolean | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) search.set(name, String(value));
  }
  const text = search.toString();
  return `${BASE}${path}${text === '' ? '' : `?${text}`}`;
}

class Router {
  #location = $state.raw({ pathname: location.pathname, search: location.search });
  /** Below /nms, always with a slash in front. */
  path = $derived(pathOf(this.#location.pathname, BASE));
  query = $derived(new URLSearchParams(this.#location.search));

  /** Listens to back, forward and every link of our own. Called once. */
  start(): void {
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#click(event));
  }

  /** Goes to an address as `href` writes it. */
  go(address: string, options: { replace?: boolean } = {}): void {
    const url = new URL(address, location.href);
    if (url.href === location.href) return;
    if (options.replace) history.replaceState(history.state, '', url);
    else history.pushState(null, '', url);
    this.#read();
  }

  back(): void {
    history.back();
  }

  /** Changes parts of the query and keeps the rest; null removes one. Replaces the entry unless `push` is set. */
  set(changes: Record<string, string | number | null | undefined>, options: { push?: boolean } = {}): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === '') query.delete(name);
      else query.set(name, String(value));
    }
    const text = query.toString();
    this.go(location.pathname + (text === '' ? '' : `?${text}`), { replace: !options.push });
  }

  /** The first route that fits the present path. */
  find(routes: readonly Route[]): { route: Route; params: Params } | null {
    for (const route of routes) {
      const params = match(route.pattern, this.path);
      if (params) return { route, params };
    }
    return null;
  }

  #read(): void {
    this.#location = { pathname: location.pathname, search: location.search };
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return;
    const own = link.pathname === BASE || link.pathname.startsWith(`${BASE}/`);
    if (!own || link.pathname.startsWith(`${BASE}/api/`) || link.pathname.startsWith(`${BASE}/assets/`)) return;
    if (link.hash !== '' && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const router = new Router();
