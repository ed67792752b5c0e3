export type Params = Record<string, string>;

/** What stands below `base`, always with one slash in front and none behind. */
export function pathOf(pathname: string, base: string): string {
  const below = pathname.startsWith(base) ? pathname.slice(base.length) : pathname;
  const bare = below.replace(/^\/+|\/+$/g, '');
  return `/${bare}`;
}

/** Compares a path with a pattern such as `/devices/:id/:tab?`: the named parts, or null where it does not fit. */
export function match(pattern: string, path: string): Params | null {
  const wanted = parts(pattern);
  const given = parts(path);
  if (given.length > wanted.length) return null;
  const params: Params = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index];
    const optional = part.endsWith('?');
    if (value === undefined) {
      if (!optional) return null;
      continue;
    }
    if (part.startsWith(':')) {
      const plain = decoded(value);
      if (plain === null) return null;
      params[part.slice(1, optional ? -1 : undefined)] = plain;
    } else if (part !== value) {
      return null;
    }
  }
  return params;
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** Where to go after a login: only to a page of our own, never to another host or to the login again. */
export function safeReturn(address: string | null, base: string): string {
  const home = `${base}/dashboard`;
  if (address === null || !address.startsWith(`${base}/`) || /[\\\p{Cc}]/u.test(address)) return home;
  const path = pathOf(address.split(/[?#]/)[0] ?? '', base);
  return path === '/login' || path === '/setup' || path === '/' ? home : address;
}
