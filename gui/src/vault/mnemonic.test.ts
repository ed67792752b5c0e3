import { describe, expect, it } from 'vitest';
import list from './english.txt?raw';
import { checkWords, nearest, wordsOf } from './mnemonic';

const TWELVE = 'legal winner thank year wave sausage worth useful legal winner thank yellow';

describe('the words of a master password', () => {
  it('come from a list of 2,048, told apart by four letters', () => {
    const words = list.trim().split('\n');
    expect(words).toHaveLength(2048);
    expect(new Set(words.map((word) => word.slice(0, 4))).size).toBe(2048);
  });

  it('may stand in any case, in lines and numbered columns', () => {
    expect(wordsOf('Legal\n  WINNER,thank\tyear')).toEqual(['legal', 'winner', 'thank', 'year']);
    expect(checkWords(TWELVE)).toEqual({ count: 12, misspelt: [] });
  });

  it('are named when one is misspelt, with what it may have been', () => {
    const { misspelt } = checkWords('legal winnre thank ');
    expect(misspelt).toEqual([{ place: 2, word: 'winnre', near: [expect.stringMatching('winner'), expect.stringMatching(/^w/)] }]);
    expect(nearest('abandn')).toContain('abandon');
    expect(nearest('xxxxxxxx')).toEqual([]);
  });

  it('are left alone while the last one is still being typed', () => {
    expect(checkWords('legal aban').misspelt).toEqual([]);
    expect(checkWords('legal aban ').misspelt).toHaveLength(1);
    expect(checkWords('legal abanq').misspelt).toHaveLength(1);
  });
});
