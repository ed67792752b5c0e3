import { words } from '../words/parts';

/** Characters of a new password where nothing else is known: without a second factor. */
export const PASSWORD_LEAST = 15;

/** How many characters a person would count. */
export function characters(text: string): number {
  return [...text].length;
}

/** What is wrong with a new password that one can see from here; the appliance knows more. */
export function passwordProblem(password: string, least: number): string | null {
  const length = characters(password);
  if (length === 0) return words.passwordMissing(least);
  return length < least ? words.passwordShort(least - length) : null;
}

const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789';

/** A password for somebody else, to be read out and typed: five groups of four, some 98 bits, nothing that looks alike. */
export function makePassword(): string {
  const letters: string[] = [];
  while (letters.length < 20) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      // What lies beyond the last whole round would make the first letters likelier.
      const letter = byte < 256 - (256 % LETTERS.length) ? LETTERS[byte % LETTERS.length] : undefined;
      if (letter !== undefined && letters.length < 20) letters.push(letter);
    }
  }
  return letters.join('').replace(/(.{4})(?=.)/g, '$1-');
}
