import type { Interface, StatusPoint } from '../../live/shapes';

export interface Port {
  name: string;
  /** up: carries traffic. noLink: switched on, nothing at the other end. off: switched off. */
  state: 'up' | 'noLink' | 'off';
  kind: string;
  mac: string | null;
  addresses: string[];
  /** Mbit/s. */
  speed: number | null;
  mtu: string | null;
  /** dBm. */
  signal: number | null;
  /** Bit/s; null where it is not known now. */
  receiving: number | null;
  sending: number | null;
  /** Bytes since the device started. */
  received: number;
  sent: number;
  errors: number;
  dropped: number;
}

/** The interfaces as they were asked for, with the figures of the newest report. */
export function ports(interfaces: readonly Interface[], latest: StatusPoint | null): Port[] {
  const live = new Map(latest?.interfaces.map((one) => [one.name, one]));
  return interfaces.map(({ identification: id, addresses, enabled, mtu, statistics, status, aerie }) => {
    const now = live.get(id.name);
    return {
      name: id.name,
      state: !enabled ? 'off' : status.plugged ? 'up' : 'noLink',
      kind: id.type ?? '',
      mac: id.mac ?? null,
      addresses: addresses.map((one) => one.cidr),
      speed: aerie.speedMbps ?? null,
      mtu: mtu ?? null,
      signal: aerie.signal ?? null,
      receiving: now?.rxrate ?? null,
      sending: now?.txrate ?? null,
      received: now?.rxbytes ?? statistics.rxbytes,
      sent: now?.txbytes ?? statistics.txbytes,
      errors: now?.errors ?? statistics.errors,
      dropped: now?.dropped ?? statistics.dropped,
    };
  });
}

/** Those that carry traffic first, loopback last; else as the device counts them. */
export function inOrder(all: readonly Port[]): Port[] {
  const rank = (port: Port): number => (port.kind === 'loopback' ? 3 : port.state === 'up' ? 0 : port.state === 'noLink' ? 1 : 2);
  return all.map((port, index) => ({ port, index })).sort((a, b) => rank(a.port) - rank(b.port) || a.index - b.index).map((one) => one.port);
}
