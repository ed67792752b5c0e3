import { describe, expect, it } from 'vitest';
import type { Device, Site } from '../../live/shapes';
import { countDevices, gone, sitesDown } from './counts';

const device = (id: string, status: string, lastSeen = '2026-11-24T12:00:00Z', maintenance = false): Device =>
  ({ identification: { id }, overview: { status, lastSeen }, meta: { maintenance } }) as Device;
const site = (status: string): Site => ({ identification: { status } }) as Site;

describe('the dashboard', () => {
  it('counts quarantine apart from the network', () => {
    const devices = [device('a', 'active'), device('b', 'disconnected'), device('c', 'unauthorized'), device('d', 'active')];
    expect(countDevices(devices)).toEqual({ active: 2, disconnected: 1, unauthorized: 1, inNetwork: 3 });
    expect(countDevices([])).toEqual({ active: 0, disconnected: 0, unauthorized: 0, inNetwork: 0 });
  });

  it('lists what went away last on top, and not what is under maintenance', () => {
    const devices = [
      device('old', 'disconnected', '2026-11-20T12:00:00Z'),
      device('here', 'active'),
      device('planned', 'disconnected', '2026-11-24T12:00:00Z', true),
      device('new', 'disconnected', '2026-11-24T11:00:00Z'),
    ];
    expect(gone(devices).map((one) => one.identification.id)).toEqual(['new', 'old']);
  });

  it('counts the sites with an outage', () => {
    expect(sitesDown([site('active'), site('disconnected'), site('inactive')])).toBe(1);
  });
});
