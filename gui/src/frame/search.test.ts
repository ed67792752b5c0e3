import { describe, expect, it } from 'vitest';
import { initials, fullName } from './names';
import { best, score, type Target } from './search';

const target = (title: string, note?: string, ...also: string[]): Target => ({ id: title, title, note, also });
const found = (targets: Target[], query: string, most = 8) => best(targets, query, most).items.map((one) => one.title);

describe('the search for everything', () => {
  const tower = target('Tower North', 'Hilltop · 10.0.4.7', '02:AB:00:00:00:5e');
  const mast = target('mast-north-2', 'Harbour · 10.0.40.7');

  it('puts what begins like the query before what only contains it', () => {
    expect(found([mast, tower, target('Northgate')], 'north')).toEqual(['Northgate', 'mast-north-2', 'Tower North']);
  });

  it('needs every word, wherever it stands', () => {
    expect(found([tower, mast], 'north harbour')).toEqual(['mast-north-2']);
    expect(score(tower, 'north nowhere')).toBe(0);
  });

  it('finds addresses, and MAC addresses with and without colons', () => {
    expect(found([tower, mast], '10.0.4.7')).toEqual(['Tower North']);
    expect(['02:ab:00', '02ab00', '0000005E'].map((query) => found([tower, mast], query)[0])).toEqual(Array(3).fill('Tower North'));
  });

  it('takes accents and case as nothing', () => {
    expect(found([target('École Sud')], 'ecole')).toEqual(['École Sud']);
  });

  it('shows the best and says how many more there are', () => {
    const many = Array.from({ length: 20 }, (_, index) => target(`ap-${index}`));
    expect(best(many, 'ap', 8)).toMatchObject({ more: 12 });
  });
});

describe('a person', () => {
  it('has a name, or else the user name', () => {
    expect(fullName({ username: 'olga', firstName: 'Olga', lastName: 'Novák' })).toBe('Olga Novák');
    expect(fullName({ username: 'olga', firstName: null, lastName: ' ' })).toBe('olga');
  });

  it('has two letters', () => {
    expect(['Olga Novák', 'admin', 'net.ops', '', '🦅 nest'].map(initials)).toEqual(['ON', 'AD', 'NO', '·', '🦅N']);
  });
});
