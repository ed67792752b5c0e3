import { expect, it } from 'vitest';
import { words } from '../../../words/certificate';
import { chainProblem, keyProblem, MOST } from './pem';

const pem = (label: string): string => `-----BEGIN ${label}-----\nMIIB\n-----END ${label}-----\n`;

it('a chain is told from a key, and from what is neither', () => {
  expect(chainProblem(pem('CERTIFICATE'))).toBeNull();
  expect(chainProblem('')).toBe(words.missing);
  expect(chainProblem('0\x82')).toBe(words.notPem);
  expect(chainProblem(pem('CERTIFICATE') + pem('EC PRIVATE KEY'))).toBe(words.keyInChain);
  expect(chainProblem(pem('CERTIFICATE').repeat(MOST / 10))).toBe(words.tooLarge);
});

it('a key is told from a chain, and a locked one is named', () => {
  for (const kind of ['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY']) expect(keyProblem(pem(kind)), kind).toBeNull();
  expect(keyProblem(pem('CERTIFICATE'))).toBe(words.noKey);
  expect(keyProblem(pem('ENCRYPTED PRIVATE KEY'))).toBe(words.encryptedKey);
  expect(keyProblem('-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n')).toBe(words.encryptedKey);
});
