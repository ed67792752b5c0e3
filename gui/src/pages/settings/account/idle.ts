import type { Choice } from '../../../components/Select.svelte';
import { duration } from '../../../format';
import { words } from '../../../words/account';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const USUAL = [30 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY];

/** The usual idle times and the present one, shortest first. */
export function idleChoices(present: number): Choice[] {
  const all = [...new Set([...USUAL, present])].sort((a, b) => a - b);
  return all.map((ms) => ({ value: String(ms), label: words.timeoutIdle(duration(ms / 1000)) }));
}
