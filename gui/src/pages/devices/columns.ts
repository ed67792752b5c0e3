import type { Column } from '../../components/table/columns';
import { addressKey, searcher } from '../../components/table/rows';
import { moment } from '../../format';
import type { Device } from '../../live/shapes';
import { words } from '../../words/devices';

const titles = words.columns;
/** Trouble stands together at one end. */
const STATUS_ORDER: Record<string, number> = { disconnected: 0, unauthorized: 1, active: 2 };

const text = (value: string | null | undefined): string | null => (value === undefined || value === '' ? null : value);
const number = (value: number | null | undefined): number | null => value ?? null;

export const columns: readonly Column<Device>[] = [
  { id: 'status', label: titles.status, key: (one) => STATUS_ORDER[one.overview.status] ?? 3, width: 108, grow: 0 },
  { id: 'name', label: titles.name, key: (one) => one.identification.displayName, width: 172, grow: 2, always: true },
  { id: 'model', label: titles.model, key: (one) => text(one.identification.model), width: 104 },
  { id: 'site', label: titles.site, key: (one) => text(one.identification.site?.name), width: 108 },
  { id: 'ip', label: titles.ip, key: (one) => (one.ipAddress ? addressKey(one.ipAddress) : null), width: 116, grow: 0 },
  { id: 'signal', label: titles.signal, key: (one) => number(one.overview.signal), width: 112, grow: 0, align: 'end', highFirst: true },
  { id: 'cpu', label: titles.cpu, key: (one) => number(one.overview.cpu), width: 98, grow: 0, align: 'end', highFirst: true },
  { id: 'uptime', label: titles.uptime, key: (one) => number(one.overview.uptime), width: 84, grow: 0 },
  { id: 'lastSeen', label: titles.lastSeen, key: (one) => seen(one), width: 96, grow: 0, highFirst: true },
  { id: 'firmware', label: titles.firmware, key: (one) => text(one.firmware.current), width: 120 },
  { id: 'ram', label: titles.ram, key: (one) => number(one.overview.ram), width: 92, grow: 0, align: 'end', extra: true, highFirst: true },
  { id: 'load', label: titles.load, key: (one) => number(one.aerie.load?.one), width: 72, grow: 0, align: 'end', extra: true, highFirst: true },
  { id: 'temperature', label: titles.temperature, key: (one) => number(one.overview.temperature), width: 112, grow: 0, align: 'end', extra: true, highFirst: true },
  { id: 'role', label: titles.role, key: (one) => one.identification.role, width: 104, grow: 0, extra: true },
  { id: 'mac', label: titles.mac, key: (one) => text(one.identification.mac), width: 148, grow: 0, extra: true },
  { id: 'hostname', label: titles.hostname, key: (one) => text(one.identification.hostname), width: 132, extra: true },
  { id: 'vendor', label: titles.vendor, key: (one) => text(one.identification.vendor), width: 112, extra: true },
  { id: 'serial', label: titles.serial, key: (one) => text(one.identification.serialNumber), width: 132, extra: true },
  { id: 'agent', label: titles.agent, key: (one) => text(one.aerie.agentVersion), width: 84, grow: 0, extra: true },
  { id: 'source', label: titles.source, key: (one) => (one.aerie.sourceAddress ? addressKey(one.aerie.sourceAddress) : null), width: 128, grow: 0, extra: true },
  { id: 'added', label: titles.added, key: (one) => moment(one.overview.createdAt), width: 112, grow: 0, extra: true, highFirst: true },
];

/** Connected devices are seen now: the moment of their last message would only make them jump about. */
function seen(device: Device): number | null {
  return device.overview.status === 'active' ? Number.MAX_SAFE_INTEGER : moment(device.overview.lastSeen);
}

export const NAME = columns[1] as Column<Device>;

/** MAC addresses are found with and without their colons. */
export const matches = searcher<Device>(({ identification: id, ipAddressList, aerie, firmware, meta }) => [
  id.displayName,
  id.hostname,
  id.model,
  id.vendor,
  id.serialNumber,
  id.mac,
  id.mac?.replaceAll(':', ''),
  id.site?.name,
  words.roles[id.role],
  ...ipAddressList,
  aerie.sourceAddress,
  aerie.fingerprint,
  firmware.current,
  meta.note,
]);
