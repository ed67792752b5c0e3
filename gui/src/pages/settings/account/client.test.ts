import { describe, expect, it } from 'vitest';
import { clientWords } from './client';

const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';

describe('where somebody is logged in', () => {
  it('is told as browser and system', () => {
    expect(clientWords('Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0')).toBe('Firefox on Windows');
    expect(clientWords(`Mozilla/5.0 (Linux; Android 15) ${WEBKIT} Chrome/140.0 Mobile Safari/537.36`)).toBe('Chrome on Android');
    expect(clientWords(`Mozilla/5.0 (Windows NT 10.0) ${WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0`)).toBe('Edge on Windows');
    const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1';
    expect(clientWords(phone)).toBe('Safari on iPhone');
  });

  it('is told as it came where it is not known', () => {
    expect(clientWords('curl/8.5.0')).toBe('curl');
    expect(clientWords('billing-script 2')).toBe('billing-script 2');
    expect(clientWords('x'.repeat(300))).toHaveLength(61);
    expect([clientWords(''), clientWords(null)]).toEqual(['An unknown program', 'An unknown program']);
  });
});
