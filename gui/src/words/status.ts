import type { Tone } from '../components/icon';

export interface StateWords {
  tone: Tone;
  word: string;
}

const DEVICE_STATES: Record<string, StateWords> = {
  active: { tone: 'ok', word: 'Connected' },
  disconnected: { tone: 'bad', word: 'Disconnected' },
  unauthorized: { tone: 'info', word: 'Quarantine' },
  unknown: { tone: 'idle', word: 'Unknown' },
};

/** A device's state for people, from the API's `overview.status`. */
export function deviceState(status: string): StateWords {
  return DEVICE_STATES[status] ?? { tone: 'idle', word: status === '' ? 'Unknown' : status };
}

/** How bad a log entry is, from its `level`. */
export function levelTone(level: string): Tone {
  if (level === 'error') return 'bad';
  if (level === 'warning') return 'warn';
  // Most entries are of this kind: a quiet mark lets the others stand out.
  return 'idle';
}
