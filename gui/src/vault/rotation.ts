// What a rotation will do, before it is begun: worked out here, from what the appliance knows of its devices.
import type { Alphabet } from '../api/vault';
import type { Device } from '../live/shapes';

export const ALPHABETS: readonly Alphabet[] = ['readable', 'letters-and-digits', 'with-signs'];

const LETTERS: Record<Alphabet, string> = {
  readable: 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789',
  'letters-and-digits': 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
  'with-signs': 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+=',
};

/** Something of that form, to be looked at. It is no password: the vault makes those. */
export function example(length: number, alphabet: Alphabet): string {
  const letters = LETTERS[alphabet];
  const numbers = crypto.getRandomValues(new Uint32Array(length));
  return [...numbers].map((number) => letters[number % letters.length]).join('');
}

/** The accounts that the device lets the appliance set. */
export const allowedAccounts = (device: Device): readonly string[] => device.aerie.passwordAccounts;

/** What devices offer, the most offered first. */
export function offered(devices: readonly Device[]): { account: string; devices: number }[] {
  const counts = new Map<string, number>();
  for (const account of devices.flatMap((device) => allowedAccounts(device))) counts.set(account, (counts.get(account) ?? 0) + 1);
  return [...counts].map(([account, n]) => ({ account, devices: n })).sort((a, b) => b.devices - a.devices || a.account.localeCompare(b.account));
}

export interface Preview {
  devices: number;
  /** Passwords: devices times accounts, those left out that are not allowed. */
  passwords: number;
  offline: number;
  /** Devices that do not allow one of the accounts at least. */
  forbidden: number;
}

export function preview(devices: readonly Device[], accounts: readonly string[]): Preview {
  const found: Preview = { devices: devices.length, passwords: 0, offline: 0, forbidden: 0 };
  for (const device of devices) {
    const allowed = allowedAccounts(device);
    if (device.overview.status !== 'active') found.offline += 1;
    const wanted = accounts.filter((account) => allowed.includes(account));
    if (wanted.length < accounts.length) found.forbidden += 1;
    found.passwords += wanted.length;
  }
  return found;
}

/** Names as they were typed: separated by commas or blanks, each once. */
export const namesOf = (text: string): string[] => [...new Set(text.split(/[\s,;]+/).filter((name) => name !== ''))];

/** As accounts are named on devices. */
export const isAccountName = (name: string): boolean => /^[a-z_][a-z0-9_.-]{0,31}\$?$/i.test(name);

/** A whole number within bounds; null for anything else. */
export function wholeNumber(text: string, least: number, most: number): number | null {
  const plain = text.trim();
  if (!/^\d{1,6}$/.test(plain)) return null;
  const value = Number(plain);
  return value >= least && value <= most ? value : null;
}
