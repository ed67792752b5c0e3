import type { Tone } from '../../components/icon';
import { live } from '../../live/live.svelte';
import type { Device } from '../../live/shapes';
import { deviceState } from '../../words/status';
import { words } from '../../words/devices';

/**
 * The state of a device as it is shown: maintenance takes the alarm out of being disconnected, and while the appliance
 * itself cannot be reached no state is claimed to be the present one.
 */
export function shownState(device: Device): { tone: Tone; word: string } {
  const state = deviceState(device.overview.status);
  if (live.loaded && live.stale) return { tone: 'idle', word: state.word };
  const calm = device.meta.maintenance && device.overview.status === 'disconnected';
  return calm ? { tone: 'warn', word: words.maintenance } : state;
}

/** The address without its prefix length. */
export function bare(address: string | null | undefined): string {
  return address?.split('/')[0] ?? '–';
}

/** How good a wireless signal is, in bars of four. */
export function signalBars(dbm: number): number {
  if (dbm >= -60) return 4;
  if (dbm >= -68) return 3;
  if (dbm >= -76) return 2;
  return 1;
}

export function loadTone(percent: number): 'ok' | 'warn' | 'bad' {
  if (percent >= 90) return 'bad';
  return percent >= 75 ? 'warn' : 'ok';
}

/** Names of the devices that claim the same MAC address. */
export function conflictText(device: Device, nameOf: (id: string) => string | undefined): string | null {
  if (device.aerie.conflict.length === 0) return null;
  const names = device.aerie.conflict.map((id) => nameOf(id) ?? words.conflictUnknown);
  const why = device.identification.authorized ? words.conflictApart : words.conflictWhy;
  return why(device.identification.mac ?? '', names.join(', '));
}
