// Sorting and filtering of rows. Ten thousand must answer to a key within a frame or two, so what a row is sorted and
// searched by is worked out once a row and kept as long as the row lives.
import type { Column, Key, Sort } from './columns';

/** So that `ap-9` stands before `ap-10` and É beside E under a plain comparison, which is much faster than a collator. */
export function naturalKey(text: string): string {
  const plain = ASCII.test(text) ? text : text.normalize('NFKD').replace(/\p{M}+/gu, '');
  return plain.toLowerCase().replace(/\d+/g, (digits) => digits.replace(/^0+(?=\d)/, '').padStart(12, '0'));
}

// eslint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\x00-\x7f]*$/;

/** So that addresses sort as numbers, after `naturalKey`: IPv4 first, then IPv6. */
export function addressKey(address: string): string {
  const host = address.split('/')[0] ?? '';
  return (host.includes(':') ? 'b' : 'a') + host;
}

function compare(a: Key, b: Key): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

const keysOfColumns = new WeakMap<object, WeakMap<object, Key>>();

function keyOf<Row extends object>(column: Column<Row>, row: Row): Key {
  let keys = keysOfColumns.get(column);
  if (!keys) keysOfColumns.set(column, (keys = new WeakMap()));
  let key = keys.get(row);
  if (key === undefined) {
    const made = column.key(row);
    key = typeof made === 'string' ? naturalKey(made) : made;
    keys.set(row, key);
  }
  return key;
}

/** A sorted copy. Rows that are equal in the column stand in the order of `tie`. */
export function sortRows<Row extends object>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  sort: Sort,
  tie: Column<Row>,
): Row[] {
  const column = columns.find((one) => one.id === sort.column) ?? tie;
  const decorated = rows.map((row) => ({ row, key: keyOf(column, row), tie: keyOf(tie, row) }));
  const way = sort.descending ? -1 : 1;
  decorated.sort((a, b) => {
    // What is unknown stays last in both directions.
    if (a.key === null || b.key === null) return compare(a.key, b.key) || compare(a.tie, b.tie);
    return way * compare(a.key, b.key) || compare(a.tie, b.tie);
  });
  return decorated.map((one) => one.row);
}

/** The words of a search, all of which a row has to contain. */
export function termsOf(query: string): string[] {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Whether a row contains all terms. */
export type Matches<Row> = (row: Row, terms: readonly string[]) => boolean;

/** A search through rows that remembers the text of each row. */
export function searcher<Row extends object>(textOf: (row: Row) => readonly (string | null | undefined)[]): Matches<Row> {
  const texts = new WeakMap<Row, string>();
  const text = (row: Row): string => {
    let known = texts.get(row);
    if (known === undefined) {
      known = textOf(row).filter(Boolean).join('\n').toLowerCase();
      texts.set(row, known);
    }
    return known;
  };
  return (row: Row, terms: readonly string[]): boolean => {
    if (terms.length === 0) return true;
    const whole = text(row);
    return terms.every((term) => whole.includes(term));
  };
}

/** Works out the texts of rows while the browser has nothing else to do, so that the first key is as quick as the next. */
export function prepareSearch<Row>(rows: readonly Row[], matches: Matches<Row>): () => void {
  const PIECE = 500;
  let next = 0;
  const work = (): void => {
    const end = Math.min(next + PIECE, rows.length);
    for (; next < end; next += 1) {
      const row = rows[next];
      if (row !== undefined) matches(row, ANY);
    }
    if (next < rows.length) timer = setTimeout(work, 10);
  };
  let timer = setTimeout(work, 200);
  return () => clearTimeout(timer);
}

const ANY = [''];
