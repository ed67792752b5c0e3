// What of the telemetry each chart draws.
import { clockTime } from '../../format';
import { now } from '../../now.svelte';
import type { PlotData } from '../../components/chart/plot';
import { HOUR } from './history';
import type { Telemetry } from './telemetry.svelte';

/** Silences shorter than this are no outages: a point may come late. */
const OUTAGE = 150_000;

/** `10:42`, in the owner's zone. */
export const clockMinute = (ms: number): string => clockTime(ms).slice(0, 5);

/** The last hour of these figures; follows the telemetry and the clock. */
export function lastHour(telemetry: Telemetry, figures: readonly string[]): PlotData {
  void telemetry.revision;
  // A report may be newer than the page's own slow clock.
  const to = Math.max(now.ms, telemetry.latest?.t ?? 0);
  const from = to - HOUR;
  const drawn = telemetry.history.draw(figures, from);
  return { ...drawn, range: [from, to], bands: telemetry.history.silences(from, to, OUTAGE) };
}
