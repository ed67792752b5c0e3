// What a key means in a list. Letters work wherever nobody is typing; arrows and Enter only in the list itself.

export type KeyWish =
  | { do: 'move'; to: 'next' | 'previous' | 'first' | 'last' | 'down' | 'up'; extend: boolean }
  | { do: 'tick' }
  | { do: 'enter' }
  | { do: 'all' };

type Move = Extract<KeyWish, { do: 'move' }>['to'];

const LETTERS: Record<string, Move> = { j: 'next', k: 'previous' };
const ARROWS: Record<string, Move> = {
  ArrowDown: 'next',
  ArrowUp: 'previous',
  Home: 'first',
  End: 'last',
  PageDown: 'down',
  PageUp: 'up',
};

type Key = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey' | 'defaultPrevented' | 'target'>;

/** `inside`: the key was pressed in the list. */
export function keyWish(event: Key, inside: boolean): KeyWish | null {
  const control = event.ctrlKey || event.metaKey;
  if (event.defaultPrevented || event.altKey || isBusy(event.target)) return null;
  if (control) return inside && event.key.toLowerCase() === 'a' ? { do: 'all' } : null;
  const letter = LETTERS[event.key.toLowerCase()];
  if (letter !== undefined) return { do: 'move', to: letter, extend: event.shiftKey };
  if (event.key.toLowerCase() === 'x') return { do: 'tick' };
  const arrow = inside ? ARROWS[event.key] : undefined;
  if (arrow !== undefined) return { do: 'move', to: arrow, extend: event.shiftKey };
  if (inside && event.key === ' ') return isControl(event.target) ? null : { do: 'tick' };
  const free = inside || isNowhere(event.target);
  return event.key === 'Enter' && free && !isControl(event.target) ? { do: 'enter' } : null;
}

/** Somebody types there, or something lies above the list. */
function isBusy(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  if (document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]')) return true;
  return target.closest('textarea, select, [contenteditable], .xterm, input:not([type="checkbox"])') !== null;
}

/** It has a meaning of its own for Enter and the space bar. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('a, button, input, summary') !== null;
}

function isNowhere(target: EventTarget | null): boolean {
  return target instanceof Element && (target === document.body || target.matches('main, aside'));
}
