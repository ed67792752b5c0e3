// Numbers and times for people: bit rates in SI units, bytes in IEC units, times in the owner's zone.

const SI = ['', 'k', 'M', 'G', 'T', 'P'];
const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const LANGUAGE = 'en-GB';
/** Between a number and its unit. */
const THIN = '\u00a0';

let zone: string | undefined;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Sets the owner's time zone; an unknown one leaves the browser's. */
export function setZone(name: string | null | undefined): void {
  formatters.clear();
  zone = undefined;
  if (!name) return;
  try {
    new Intl.DateTimeFormat(LANGUAGE, { timeZone: name });
    zone = name;
  } catch {
    // The browser does not know this zone: its own is the next best.
  }
}

function date(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify(options);
  let known = formatters.get(key);
  if (!known) {
    known = new Intl.DateTimeFormat(LANGUAGE, { ...options, ...(zone === undefined ? {} : { timeZone: zone }) });
    formatters.set(key, known);
  }
  return known;
}

const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });

/** A count: 12,345. */
export function count(value: number): string {
  return whole.format(value);
}

/** One thing or many: `counted(2, 'device', 'devices')`. */
export function counted(value: number, one: string, many: string): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Three figures are enough to read: 1.23, 12.3, 123. */
function threeFigures(value: number): string {
  const size = Math.abs(value);
  const places = size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return value.toLocaleString(LANGUAGE, { minimumFractionDigits: 0, maximumFractionDigits: places });
}

function scaled(value: number, step: number, steps: number): [number, number] {
  let index = 0;
  let size = value;
  // 999.6 would be written as 1000: it belongs to the next unit already.
  while (Math.abs(size) >= step - 0.5 && index < steps - 1) {
    size /= step;
    index += 1;
  }
  return [size, index];
}

/** Bits a second in SI units: 12.3 Mbit/s. */
export function bitRate(bits: number | null | undefined): string {
  if (bits === null || bits === undefined || !Number.isFinite(bits)) return '–';
  const [size, index] = scaled(bits, 1000, SI.length);
  return `${index === 0 ? whole.format(size) : threeFigures(size)}${THIN}${SI[index] ?? ''}bit/s`;
}

/** Bytes in IEC units: 1.5 GiB. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const [size, index] = scaled(value, 1024, IEC.length);
  return `${index === 0 ? whole.format(size) : threeFigures(size)}${THIN}${IEC[index] ?? ''}`;
}

/** Percent, given as 0 to 100: 7.4%, 43%. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const places = Math.abs(value) < 9.95 && value !== 0 ? 1 : 0;
  return `${value.toLocaleString(LANGUAGE, { maximumFractionDigits: places })}%`;
}

/** A number with its unit: `measure(-61, 'dBm')`. */
export function measure(value: number | null | undefined, unit: string, places = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const text = value.toLocaleString(LANGUAGE, { maximumFractionDigits: places });
  return `${text.replace('-', '−')}${THIN}${unit}`;
}

/** How long something has lasted, in its two largest units: 3 d 4 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–';
  const all = Math.max(0, Math.floor(seconds));
  const units: [number, string][] = [
    [Math.floor(all / 86_400), 'd'],
    [Math.floor((all % 86_400) / 3600), 'h'],
    [Math.floor((all % 3600) / 60), 'min'],
    [all % 60, 's'],
  ];
  const first = units.findIndex(([amount]) => amount > 0);
  if (first === -1) return `0${THIN}s`;
  return units
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${count(amount)}${THIN}${unit}`)
    .join(' ');
}

/** A moment from the API (ISO 8601) or in milliseconds, as milliseconds; null where it is no moment. */
export function moment(at: string | number | null | undefined): number | null {
  if (at === null || at === undefined || at === '') return null;
  const ms = typeof at === 'number' ? at : Date.parse(at);
  return Number.isFinite(ms) ? ms : null;
}

const relativeWords = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: 'auto', style: 'long' });
const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30, 'day'],
  [12, 'month'],
  [Infinity, 'year'],
];

/** "5 minutes ago", "in 2 days". Less than ten seconds is now: clocks differ by that much. */
export function relative(at: number, now: number): string {
  let size = (at - now) / 1000;
  if (Math.abs(size) < 10) return 'just now';
  for (const [length, unit] of STEPS) {
    const rounded = Math.trunc(size);
    if (Math.abs(rounded) < length) return relativeWords.format(rounded, unit);
    size /= length;
  }
  return exact(at);
}

/** The exact moment: 24 Nov 2025, 14:03:09 CET. */
export function exact(at: number): string {
  return date({ dateStyle: 'medium', timeStyle: 'medium' }).format(at) + ` ${zoneName(at)}`;
}

/** Time of the day with seconds, for lists that are grouped by day. */
export function clockTime(at: number): string {
  return date({ hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(at);
}

/** The day: Mon, 24 Nov 2025. */
export function day(at: number): string {
  return date({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }).format(at);
}

/** A value that is equal for moments of the same day in the owner's zone. */
export function dayKey(at: number): string {
  return date({ year: 'numeric', month: '2-digit', day: '2-digit' }).format(at);
}

function zoneName(at: number): string {
  const parts = date({ timeZoneName: 'short', hour: '2-digit' }).formatToParts(at);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? '';
}
