// A first look at what is pasted, so that a mistake is named at once. Whether it fits, the appliance says.
import { words } from '../../../words/certificate';

/** Longer than any chain that a TLS client would take. */
export const MOST = 256 * 1024;

const isPem = (text: string): boolean => /-----BEGIN [A-Z0-9 ]+-----/.test(text);
const hasKey = (text: string): boolean => /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/.test(text);

/** What is wrong with a chain; null where nothing is in sight. */
export function chainProblem(text: string): string | null {
  if (text.trim() === '') return words.missing;
  if (text.length > MOST) return words.tooLarge;
  if (!isPem(text)) return words.notPem;
  return hasKey(text) ? words.keyInChain : null;
}

/** What is wrong with a private key. */
export function keyProblem(text: string): string | null {
  if (text.trim() === '') return words.missing;
  if (text.length > MOST) return words.tooLarge;
  if (!isPem(text)) return words.notPem;
  if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type:.*ENCRYPTED/m.test(text)) return words.encryptedKey;
  return hasKey(text) ? null : words.noKey;
}
