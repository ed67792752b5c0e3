// What a credential looks like to people.
import type { Credential } from '../api/vault';
import type { Tone } from '../components/icon';
import { words } from '../words/credentials';

export type State = 'older-password' | 'changed-on-device' | 'unproven' | 'stored' | 'proven';

/** Trouble first. */
export const STATE_ORDER: readonly State[] = ['changed-on-device', 'older-password', 'unproven', 'stored', 'proven'];

const TONES: Record<State, Tone> = { proven: 'ok', stored: 'idle', unproven: 'info', 'older-password': 'warn', 'changed-on-device': 'bad' };

/** Device or label: what it is for. */
export const nameOf = (one: Credential): string => one.deviceName ?? one.label;

export function stateOf(one: Credential): State {
  if (one.trouble === 'older-password' || one.trouble === 'changed-on-device') return one.trouble;
  if (one.candidates > 0) return 'unproven';
  return one.provenAt === null ? 'stored' : 'proven';
}

export function shownState(one: Credential): { tone: Tone; word: string; why: string } {
  const state = stateOf(one);
  return { tone: TONES[state], word: words.states[state] ?? state, why: words.stateWhy[state] ?? '' };
}
