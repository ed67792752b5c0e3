// What a job looks like to people.
import type { Job } from '../api/vault';
import type { Tone } from '../components/icon';
import { jobs as words } from '../words/rotation';

const ACTIVE = new Set(['waiting', 'running', 'paused']);
const TONES: Record<string, Tone> = { waiting: 'idle', running: 'info', paused: 'warn', stopped: 'bad', cancelled: 'idle', done: 'ok' };

/** Work that goes on by itself. */
export const isActive = (job: Job): boolean => ACTIVE.has(job.state);

/** It waits for a person: it stopped by itself, or wants the vault. */
export const needsLook = (job: Job): boolean => job.state === 'stopped' || (isActive(job) && job.waitsFor === 'vault');

/** What has come to an end, well or not. */
export const finished = (job: Job): number => job.counts.done + job.counts.failed + job.counts.cancelled;

export function jobState(job: Job): { tone: Tone; word: string } {
  if (job.state === 'done' && job.counts.failed > 0) return { tone: 'warn', word: words.doneWithFailures };
  return { tone: TONES[job.state] ?? 'idle', word: words.states[job.state] ?? job.state };
}

/** What it waits for, in words; null where it waits for nothing. */
export const waitsFor = (job: Job): string | null => (isActive(job) ? (words.waitsFor[job.waitsFor] ?? null) : null);

const ITEM_TONES: Record<string, Tone> = { waiting: 'idle', offline: 'idle', running: 'info', done: 'ok', failed: 'bad', cancelled: 'idle' };

export const itemState = (state: string): { tone: Tone; word: string } => ({
  tone: ITEM_TONES[state] ?? 'idle',
  word: words.itemStates[state] ?? state,
});

/** What the tray shows: all that goes on or needs a look, and what ended within the last day. */
export function inTray(jobs: readonly Job[], now: number): Job[] {
  const DAY = 24 * 3600 * 1000;
  return jobs.filter((job) => isActive(job) || needsLook(job) || now - Date.parse(job.endedAt ?? '') < DAY);
}
