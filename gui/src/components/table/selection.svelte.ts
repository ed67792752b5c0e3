// Which rows are ticked, and where the keyboard stands.

export class Selection {
  ids = $state.raw<ReadonlySet<string>>(new Set());
  /** The row that was ticked last: where a range begins. */
  #anchor: string | null = null;

  has(id: string): boolean {
    return this.ids.has(id);
  }

  get size(): number {
    return this.ids.size;
  }

  toggle(id: string): void {
    const next = new Set(this.ids);
    if (!next.delete(id)) next.add(id);
    this.ids = next;
    this.#anchor = id;
  }

  /** Ticks all rows from the one ticked last to this one; without one, this one alone. */
  extendTo(id: string, order: readonly string[]): void {
    const from = this.#anchor === null ? -1 : order.indexOf(this.#anchor);
    const to = order.indexOf(id);
    if (from < 0 || to < 0) {
      this.toggle(id);
      return;
    }
    this.ids = new Set([...this.ids, ...order.slice(Math.min(from, to), Math.max(from, to) + 1)]);
    this.#anchor = id;
  }

  /** Ticks all of these, or none of them where all are ticked. Rows that are not among them stay as they are. */
  toggleAll(order: readonly string[]): void {
    const next = new Set(this.ids);
    if (order.length > 0 && order.every((id) => next.has(id))) order.forEach((id) => next.delete(id));
    else order.forEach((id) => next.add(id));
    this.ids = next;
  }

  clear(): void {
    this.ids = new Set();
    this.#anchor = null;
  }

  /** Drops what is no longer there. */
  keep(exists: (id: string) => boolean): void {
    const kept = [...this.ids].filter(exists);
    if (kept.length !== this.ids.size) this.ids = new Set(kept);
  }
}
