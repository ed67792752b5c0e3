import type { Column } from '../../components/table/columns';
import { searcher } from '../../components/table/rows';
import type { Site } from '../../live/shapes';
import type { Tone } from '../../components/icon';
import { words } from '../../words/sites';

const ORDER: Record<string, number> = { disconnected: 0, active: 1, inactive: 2 };
const TONES: Record<string, Tone> = { disconnected: 'bad', active: 'ok', inactive: 'idle' };

export function siteState(site: Site): { tone: Tone; word: string } {
  const { status } = site.identification;
  return { tone: TONES[status] ?? 'idle', word: words.states[status] ?? status };
}

export const NAME: Column<Site> = {
  id: 'name',
  label: words.name,
  key: (site) => site.identification.name,
  width: 180,
  grow: 2,
  always: true,
};

export const columns: readonly Column<Site>[] = [
  { id: 'status', label: words.status, key: (site) => ORDER[site.identification.status] ?? 3, width: 136, grow: 0 },
  NAME,
  { id: 'devices', label: words.devices, key: (site) => site.description.deviceCount, width: 96, grow: 0, align: 'end', highFirst: true },
  { id: 'outages', label: words.outages, key: (site) => site.description.deviceOutageCount, width: 120, grow: 0, align: 'end', highFirst: true },
  { id: 'address', label: words.address, key: (site) => site.description.address ?? null, width: 160, grow: 2 },
  { id: 'note', label: words.note, key: (site) => site.description.note ?? null, width: 140, grow: 2 },
];

export const matches = searcher<Site>(({ identification, description }) => [
  identification.name,
  description.address,
  description.note,
]);
