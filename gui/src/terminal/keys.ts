/** The letter as it is with Ctrl held down: `c` becomes the interrupt. What is no such letter stays. */
export function withControl(text: string): string {
  return /^[@-_a-z]$/.test(text) ? String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f) : text;
}

export interface TouchKey {
  label: string;
  /** For screen readers, where the label is a sign. */
  name?: string;
  sends: string;
}

/** Keys that shells need and a phone's keyboard lacks. */
export const TOUCH_KEYS: readonly TouchKey[] = [
  { label: 'Esc', sends: '\x1b' },
  { label: 'Tab', sends: '\t' },
  { label: '↑', name: 'Up', sends: '\x1b[A' },
  { label: '↓', name: 'Down', sends: '\x1b[B' },
  { label: '←', name: 'Left', sends: '\x1b[D' },
  { label: '→', name: 'Right', sends: '\x1b[C' },
  { label: '|', name: 'Pipe', sends: '|' },
  { label: '/', name: 'Slash', sends: '/' },
  { label: '-', name: 'Minus', sends: '-' },
];
