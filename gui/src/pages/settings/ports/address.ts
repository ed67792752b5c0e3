// Addresses to listen on, as people type them and as the appliance takes them.
import type { PortSettings } from '../../../api/ports';
import { words } from '../../../words/ports';

export interface Address {
  /** Without brackets. */
  ip: string;
  v6: boolean;
  port: number;
}

const V4_PART = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const V4 = new RegExp(`^(?:${V4_PART}\\.){3}${V4_PART}$`);

/** The browser knows the grammar of IPv6. */
function isV6(text: string): boolean {
  return /^[\da-f:.]+$/i.test(text) && text.includes(':') && URL.canParse(`https://[${text}]/`);
}

/** Reads `192.0.2.1:443` and `[2001:db8::1]:443`. */
export function address(text: string): Address | null {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(found?.[3] ?? 0);
  if (!found || port < 1 || port > 65535) return null;
  const [, six, four] = found;
  if (six !== undefined) return isV6(six) ? { ip: six, v6: true, port } : null;
  return four !== undefined && V4.test(four) ? { ip: four, v6: false, port } : null;
}

/** What somebody typed, as an address: a port alone means all IPv4 addresses. */
export function completed(text: string): string {
  const trimmed = text.trim();
  const port = /^:?(\d{1,5})$/.exec(trimmed)?.[1];
  return port === undefined ? trimmed : `0.0.0.0:${port}`;
}

/** "port 8443 on all IPv4 addresses". */
export function inWords(text: string): string {
  const read = address(text);
  if (!read) return text;
  if (read.ip === '0.0.0.0') return words.onAllV4(read.port);
  if (read.ip === '::') return words.onAllV6(read.port);
  if (read.ip.startsWith('127.') || read.ip === '::1') return words.onThisMachine(read.port, read.ip);
  return words.onOne(read.port, read.ip);
}

export type Lists = Pick<PortSettings, 'http' | 'https' | 'inform'>;

/** What is wrong with each address, by its place; null where nothing is. */
export function problems(lists: Lists): Record<keyof Lists, (string | null)[]> {
  const all = [...lists.http, ...lists.https, ...lists.inform].map(completed);
  const look = (list: string[]) =>
    list.map(completed).map((text) => {
      if (text === '') return words.addressMissing;
      if (!address(text)) return words.addressWrong;
      return all.filter((one) => one === text).length > 1 ? words.addressTwice : null;
    });
  return { http: look(lists.http), https: look(lists.https), inform: look(lists.inform) };
}

/** As a host stands before a port. */
export const bracketed = (host: string): string => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host);

/** The port that devices are told. */
export function doorPort(settings: PortSettings): number {
  const doors = settings.inform.length === 0 ? settings.https : settings.inform;
  return settings.informPort ?? address(completed(doors[0] ?? ''))?.port ?? 443;
}

/** Where a device key with these settings points: `wss://net.example.org:443`. */
export function keyPlace(settings: PortSettings, otherwise: string): string {
  const host = settings.informHost ?? settings.publicHost ?? otherwise;
  return `wss://${bracketed(host)}:${doorPort(settings)}`;
}

/** Where people find the GUI. */
export function guiPlace(settings: PortSettings, otherwise: string): string {
  const port = settings.publicPort ?? address(completed(settings.https[0] ?? ''))?.port ?? 443;
  return `https://${bracketed(settings.publicHost ?? otherwise)}${port === 443 ? '' : `:${port}`}`;
}

/** A port as it is typed; null where the field is empty, NaN where it is no port. */
export function portOf(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  const port = /^\d{1,5}$/.test(trimmed) ? Number(trimmed) : NaN;
  return port >= 1 && port <= 65535 ? port : NaN;
}

/** A host name or an address, without a scheme and without a port. */
export function isHost(text: string): boolean {
  const bare = text.replace(/^\[|\]$/g, '');
  if (bare.includes(':')) return isV6(bare);
  return bare.length <= 253 && /^(?!-)[a-z\d-]{1,63}(?:\.(?!-)[a-z\d-]{1,63})*\.?$/i.test(bare);
}

/** A proxy's address, or a network such as `192.0.2.0/28`; never everybody. */
export function isNetwork(text: string): boolean {
  const [ip = '', length, ...more] = text.trim().split('/');
  if (more.length > 0) return false;
  const most = V4.test(ip) ? 32 : isV6(ip) ? 128 : 0;
  if (most === 0) return false;
  if (length === undefined) return true;
  return /^\d{1,3}$/.test(length) && Number(length) >= 1 && Number(length) <= most;
}

/** The code of a change, from a page's fragment. */
export function codeIn(fragment: string): string | null {
  return /^#confirm=([\w-]{43})$/.exec(fragment)?.[1] ?? null;
}

/** The page at a new address that confirms the change. The code stays in the fragment, which no server sees. */
export const confirmPage = (origin: string, code: string): string =>
  `${origin}/nms/settings/ports/confirm#confirm=${code}`;

/** What stands on each line, or between commas; without what is empty. */
export const linesOf = (text: string): string[] =>
  text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** A contact as it is typed: `mailto:` is added and taken away. `undefined` where it is neither address nor page. */
export function contactOf(text: string): string | null | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (/^https:\/\/\S+$/.test(trimmed) && URL.canParse(trimmed)) return trimmed;
  const mail = trimmed.replace(/^mailto:/i, '');
  return /^[^\s@:/]+@[^\s@:/]+\.[^\s@:/]+$/.test(mail) ? `mailto:${mail}` : undefined;
}
export const contactShown = (contact: string | null): string => (contact ?? '').replace(/^mailto:/, '');
