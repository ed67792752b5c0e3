import { describe, expect, it } from 'vitest';
import type { Device } from '../live/shapes';
import { ALPHABETS, example, isAccountName, namesOf, offered, preview, wholeNumber } from './rotation';

const device = (status: string, ...passwordAccounts: string[]) => ({ overview: { status }, aerie: { passwordAccounts } }) as unknown as Device;
const devices = [device('active', 'admin', 'root'), device('disconnected', 'admin'), device('active')];

describe('the preview of a rotation', () => {
  it('counts what will be set, who follows later and who does not allow it', () => {
    expect(preview(devices, ['admin'])).toEqual({ devices: 3, passwords: 2, offline: 1, forbidden: 1 });
    expect(preview(devices, ['admin', 'root'])).toEqual({ devices: 3, passwords: 3, offline: 1, forbidden: 2 });
    expect(preview([], ['admin']).passwords).toBe(0);
  });

  it('offers the accounts that devices name, the usual ones first', () => {
    expect(offered(devices)).toEqual([{ account: 'admin', devices: 2 }, { account: 'root', devices: 1 }]);
  });
});

describe('what is typed for a rotation', () => {
  it('is names, each once', () => {
    expect(namesOf(' admin, root  admin;ubnt')).toEqual(['admin', 'root', 'ubnt']);
    expect(['admin', '_svc', 'a.b-c', 'pc$', ''].map(isAccountName)).toEqual([true, true, true, true, false]);
    expect(['two words', 'a:b', 'ro\not', '-x', 'a'.repeat(40)].map(isAccountName)).toEqual([false, false, false, false, false]);
  });

  it('is whole numbers within bounds', () => {
    expect(['12', ' 128 ', '11', '129', '20.5', '1e2', ''].map((text) => wholeNumber(text, 12, 128))).toEqual([12, 128, null, null, null, null, null]);
  });
});

describe('the example', () => {
  it('has the form that was chosen', () => {
    for (const alphabet of ALPHABETS) expect(example(32, alphabet)).toHaveLength(32);
    expect(example(128, 'readable')).not.toMatch(/[0O1Il]/);
    expect(example(20, 'readable')).not.toBe(example(20, 'readable'));
  });
});
