import type { Choice } from './components/Select.svelte';

/** All time zones that the browser knows, with their present offset: "Europe/Vienna (UTC+1)". */
export function zoneChoices(): Choice[] {
  const names = Intl.supportedValuesOf('timeZone');
  const all = names.includes('UTC') ? names : ['UTC', ...names];
  return all.map((name) => ({ value: name, label: `${name.replaceAll('_', ' ')} (${offset(name)})` }));
}

export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function offset(zone: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName: 'shortOffset' }).formatToParts();
  const name = parts.find((part) => part.type === 'timeZoneName')?.value ?? 'GMT';
  return name.replace('GMT', 'UTC').replace('-', '−');
}
