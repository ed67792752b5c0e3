// What the live socket says. All shapes come from the appliance's own description.
import type { components } from '../api/schema';

type Schemas = components['schemas'];

export type Device = Schemas['Device'];
export type DeviceStatus = Schemas['DeviceStatus'];
export type Interface = Schemas['DeviceInterface'];
export type Site = Schemas['Site'];
export type LogEntry = Schemas['LogEntry'];
/** The appliance's own figures: the `aerie` block of the summary. */
export type Summary = Schemas['SummaryExtra'];
/** One report of a watched device. */
export type StatusPoint = Schemas['LiveStatus'];
export type LiveMessage = Schemas['LiveFrame'];
export type LiveWish = Schemas['LiveWish'];

const TYPES: Record<LiveMessage['type'], true> = {
  hello: true,
  device: true,
  deviceRemoved: true,
  site: true,
  siteRemoved: true,
  log: true,
  job: true,
  vault: true,
  status: true,
  summary: true,
  resync: true,
};

/** Reads a frame. What a newer appliance says and this page does not know is null. */
export function readMessage(frame: unknown): LiveMessage | null {
  if (typeof frame !== 'string') return null;
  try {
    const message: unknown = JSON.parse(frame);
    if (typeof message !== 'object' || message === null || !('type' in message)) return null;
    return typeof message.type === 'string' && message.type in TYPES ? (message as LiveMessage) : null;
  } catch {
    return null;
  }
}
