// The words of a master password, looked at while they are typed. The list of words is public (BIP-39, English); nothing
// here knows the vault's own.
import list from './english.txt?raw';

export const WORDS = 24;
/** Offered for a misspelt word. */
const NEAR = 2;
const known: readonly string[] = list.trim().split('\n');
const all = new Set(known);

export interface Misspelt {
  /** From 1. */
  place: number;
  word: string;
  near: string[];
}

export interface Checked {
  count: number;
  misspelt: Misspelt[];
}

export const wordsOf = (text: string): string[] => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);

/** Looks at what was typed. The last word may still be under way: it counts as wrong only when no word begins like it. */
export function checkWords(text: string): Checked {
  const typed = wordsOf(text);
  const underWay = /[\p{L}\p{N}]$/u.test(text) && typed.length < WORDS;
  const misspelt = typed.flatMap((word, index): Misspelt[] => {
    if (all.has(word)) return [];
    if (underWay && index === typed.length - 1 && known.some((one) => one.startsWith(word))) return [];
    return [{ place: index + 1, word, near: nearest(word) }];
  });
  return { count: typed.length, misspelt };
}

/** The words of the list that it may have been meant for. */
export function nearest(word: string): string[] {
  return known
    .map((one) => ({ one, far: distance(word, one) }))
    .filter(({ far }) => far <= 2)
    .sort((a, b) => a.far - b.far || Number(b.one[0] === word[0]) - Number(a.one[0] === word[0]))
    .slice(0, NEAR)
    .map(({ one }) => one);
}

/** Letters to change, to add, to take away, or to swap with a neighbour. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((row[j] ?? 9) + 1, (next[j - 1] ?? 9) + 1, (row[j - 1] ?? 9) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 9) + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 3;
}
