import type { Device, Site } from '../../live/shapes';

export interface Counts {
  active: number;
  disconnected: number;
  unauthorized: number;
  /** Without quarantine. */
  inNetwork: number;
}

export function countDevices(devices: Iterable<Device>): Counts {
  const counts: Counts = { active: 0, disconnected: 0, unauthorized: 0, inNetwork: 0 };
  for (const device of devices) counts[device.overview.status] += 1;
  counts.inNetwork = counts.active + counts.disconnected;
  return counts;
}

/** The disconnected ones, those that left last on top; devices under maintenance are expected to be away. */
export function gone(devices: Iterable<Device>): Device[] {
  const list = [...devices].filter((device) => device.overview.status === 'disconnected' && !device.meta.maintenance);
  return list.sort((one, other) => Date.parse(other.overview.lastSeen) - Date.parse(one.overview.lastSeen));
}

export function sitesDown(sites: Iterable<Site>): number {
  return [...sites].filter((site) => site.identification.status === 'disconnected').length;
}
