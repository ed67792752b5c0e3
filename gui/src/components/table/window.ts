// Which rows of a long list are on the screen.

export interface View {
  /** Pixels scrolled away above. */
  top: number;
  /** Pixels of room for rows. */
  height: number;
  rowHeight: number;
  count: number;
  /** Rows drawn beyond both edges, so that quick scrolling shows no holes. */
  spare: number;
}

export interface Window {
  first: number;
  /** The one after the last. */
  end: number;
}

export function visibleRows({ top, height, rowHeight, count, spare }: View): Window {
  const first = Math.max(0, Math.floor(top / rowHeight) - spare);
  const end = Math.min(count, Math.ceil((top + height) / rowHeight) + spare);
  return { first: Math.min(first, Math.max(0, count - 1)), end: Math.max(end, 0) };
}

/** Where to scroll so that a row is whole in view; where it already is, the present position. */
export function scrollToShow(index: number, { top, height, rowHeight }: Pick<View, 'top' | 'height' | 'rowHeight'>): number {
  const start = index * rowHeight;
  if (start < top) return start;
  const end = start + rowHeight;
  return end > top + height ? end - height : top;
}
