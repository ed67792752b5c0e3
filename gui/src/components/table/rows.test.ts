import { performance } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { gridTemplate, nextSort, shownColumns, type Column } from './columns';
import { addressKey, naturalKey, searcher, sortRows, termsOf } from './rows';

interface Row {
  id: string;
  name: string;
  ip: string | null;
  cpu: number | null;
}

const name: Column<Row> = { id: 'name', label: 'Name', key: (row) => row.name, width: 200, always: true };
const ip: Column<Row> = { id: 'ip', label: 'IP', key: (row) => row.ip && addressKey(row.ip), width: 120 };
const cpu: Column<Row> = { id: 'cpu', label: 'CPU', key: (row) => row.cpu, width: 60, grow: 0, highFirst: true };
const model: Column<Row> = { id: 'model', label: 'Model', key: () => null, width: 100, extra: true };
const columns = [name, ip, cpu, model];

const row = (text: string, cpuPercent: number | null = null, address: string | null = null): Row => ({
  id: text,
  name: text,
  ip: address,
  cpu: cpuPercent,
});
const names = (rows: Row[]) => rows.map((one) => one.name);

describe('sorting', () => {
  it('counts digits as numbers and takes accents and case as nothing', () => {
    const rows = ['ap-10', 'ÉCOLE', 'ap-9', 'AP-1', 'ecole 2', 'ap-009b'].map((text) => row(text));
    const sorted = sortRows(rows, columns, { column: 'name', descending: false }, name);
    expect(names(sorted)).toEqual(['AP-1', 'ap-9', 'ap-009b', 'ap-10', 'ÉCOLE', 'ecole 2']);
  });

  it('leaves what is unknown at the end, both ways', () => {
    const rows = [row('a', null), row('b', 5), row('c', 90), row('d', null)];
    const by = (descending: boolean) => names(sortRows(rows, columns, { column: 'cpu', descending }, name));
    expect(by(true)).toEqual(['c', 'b', 'a', 'd']);
    expect(by(false)).toEqual(['b', 'c', 'a', 'd']);
  });

  it('sorts addresses as numbers', () => {
    const rows = [row('c', 0, '10.0.0.10/24'), row('a', 0, '9.255.0.1/8'), row('b', 0, '10.0.0.9'), row('d', 0, 'fe80::1/64')];
    expect(names(sortRows(rows, columns, { column: 'ip', descending: false }, name))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('falls back to the tie column where the column is unknown', () => {
    const sorted = sortRows([row('b'), row('a')], columns, { column: 'gone', descending: false }, name);
    expect(names(sorted)).toEqual(['a', 'b']);
  });

  it('turns the direction at the second click and starts figures from the top', () => {
    expect(nextSort(cpu, { column: 'name', descending: false })).toEqual({ column: 'cpu', descending: true });
    expect(nextSort(cpu, { column: 'cpu', descending: true })).toEqual({ column: 'cpu', descending: false });
    expect(nextSort(name, { column: 'cpu', descending: true })).toEqual({ column: 'name', descending: false });
  });
});

describe('searching', () => {
  const matches = searcher<Row>((one) => [one.name, one.ip]);
  it('needs every word, in any field and order', () => {
    const one = row('Tower North', 1, '10.0.4.7');
    expect(matches(one, termsOf('north 10.0.4'))).toBe(true);
    expect(matches(one, termsOf('  NORTH  south'))).toBe(false);
    expect(matches(one, termsOf(''))).toBe(true);
  });

  it('goes through ten thousand rows within a frame or two', () => {
    const rows = Array.from({ length: 10_000 }, (_, index) =>
      row(`site-${index % 400} ap-${index}`, index % 100, `10.${index >> 12}.${(index >> 4) & 255}.${index & 15}`),
    );
    const time = (act: () => void): string => {
      const start = performance.now();
      act();
      return (performance.now() - start).toFixed(1);
    };
    let sorted: Row[] = [];
    let found: Row[] = [];
    const cold = time(() => (sorted = sortRows(rows, columns, { column: 'name', descending: false }, name)));
    const warm = time(() => (sorted = sortRows(rows, columns, { column: 'cpu', descending: true }, name)));
    const first = time(() => (found = sorted.filter((one) => matches(one, termsOf('site-7 ap-4')))));
    const next = time(() => (found = sorted.filter((one) => matches(one, termsOf('site-7 ap-40')))));
    process.stdout.write(`10,000 rows: sort ${cold} ms, again ${warm} ms; search ${first} ms, next key ${next} ms\n`);
    expect(found.length).toBeGreaterThan(0);
  });
});

describe('columns', () => {
  it('keeps the table’s order, always with the columns that cannot go', () => {
    const ids = (wanted: string[] | null) => shownColumns(columns, wanted).map((column) => column.id);
    expect(ids(null)).toEqual(['name', 'ip', 'cpu']);
    expect(ids(['model', 'cpu'])).toEqual(['name', 'cpu', 'model']);
    expect(ids([])).toEqual(['name']);
  });

  it('lays out fixed and growing widths', () => {
    expect(gridTemplate([name, cpu], '40px')).toBe('40px minmax(200px, 1fr) 60px');
  });

  it('has keys of one length for numbers', () => {
    expect(naturalKey('eth1') < naturalKey('eth10')).toBe(true);
    expect(naturalKey('eth2') < naturalKey('eth10')).toBe(true);
  });
});
