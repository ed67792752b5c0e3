import { count } from '../format';

export const words = {
  title: 'Logs',
  search: 'Search messages and devices',
  level: 'Level',
  all: 'All',
  info: 'Info',
  warning: 'Warnings',
  error: 'Errors',
  range: (from: number, to: number, total: number) => `${count(from)}–${count(to)} of ${count(total)}`,
  newer: 'Newer',
  older: 'Older',
  ofDevice: (name: string) => `Only ${name}`,
  ofSite: (name: string) => `Only ${name}`,
  aDevice: 'one device',
  aSite: 'one site',
  clearFilter: 'Show all',
  none: 'Nothing matches',
  noneHint: 'Try other words or another level.',
  empty: 'Nothing has happened yet',
  emptyHint: 'Devices that come and go, logins and changes are written here.',
  failed: 'The log could not be read.',
};
