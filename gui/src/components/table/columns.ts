// What a table knows of its columns. Cells are drawn by whoever owns the table.

/** What a column sorts by. What is null stands last, whichever way it is sorted. */
export type Key = string | number | null;

export interface Column<Row> {
  id: string;
  label: string;
  key: (row: Row) => Key;
  /** Numbers stand to the right, under each other. */
  align?: 'start' | 'end';
  /** Smallest width in pixels. */
  width: number;
  /** Its share of the room that is left; 0 keeps the width. */
  grow?: number;
  /** Cannot be put away. */
  always?: boolean;
  /** Put away unless somebody asks for it. */
  extra?: boolean;
  /** The first click sorts downwards: of figures the high ones are looked for. */
  highFirst?: boolean;
}

export interface Sort {
  column: string;
  descending: boolean;
}

export function defaultColumns<Row>(columns: readonly Column<Row>[]): string[] {
  return columns.filter((column) => !column.extra).map((column) => column.id);
}

/** The columns that are shown, in the table's own order. */
export function shownColumns<Row>(columns: readonly Column<Row>[], wanted: readonly string[] | null): Column<Row>[] {
  const ids = new Set(wanted ?? defaultColumns(columns));
  return columns.filter((column) => column.always === true || ids.has(column.id));
}

/** What a click on a column's head does: the other way round, or this column in its own first direction. */
export function nextSort<Row>(column: Column<Row>, now: Sort): Sort {
  if (now.column === column.id) return { column: column.id, descending: !now.descending };
  return { column: column.id, descending: column.highFirst === true };
}

/** For `grid-template-columns`. `before` is what stands before the columns, such as the check box. */
export function gridTemplate<Row>(columns: readonly Column<Row>[], before: string): string {
  const tracks = columns.map(({ width, grow = 1 }) => (grow === 0 ? `${width}px` : `minmax(${width}px, ${grow}fr)`));
  return [before, ...tracks].join(' ').trim();
}

/** The narrowest that the columns may become, in pixels. */
export function leastWidth<Row>(columns: readonly Column<Row>[]): number {
  return columns.reduce((sum, column) => sum + column.width, 0);
}
