/** The part of a device key that says where devices connect: `net.example.org:443`. */
export function hostOfKey(key: string): string | null {
  const found = /^wss:\/\/(\[[^\]]+\]|[^:/+]+):(\d+)\+/.exec(key);
  return found ? `${found[1] ?? ''}:${found[2] ?? ''}` : null;
}
