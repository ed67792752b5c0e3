// The state of the list of devices. All of it lives in the address, so that back, reload and a shared link work.
import { defaultColumns, shownColumns, type Sort } from '../../components/table/columns';
import { sortRows, termsOf } from '../../components/table/rows';
import { live } from '../../live/live.svelte';
import type { Device } from '../../live/shapes';
import { router } from '../../router.svelte';
import { columns, matches, NAME } from './columns';

export const STATUSES = ['active', 'disconnected', 'unauthorized'] as const;
export const ROLES = ['router', 'switch', 'ap', 'station', 'server', 'other'] as const;
export const NO_SITE = 'none';
/** Milliseconds without a key. */
const TYPING_REST = 250;
const SORT: Sort = { column: 'name', descending: false };

export class Listing {
  readonly #site: string | null;

  /** Of one site alone, on that site's page. */
  constructor(site: string | null = null) {
    this.#site = site;
  }

  /** What was typed a moment ago and is not in the address yet. */
  #typed = $state<string | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly query = $derived(this.#typed ?? router.query.get('q') ?? '');
  readonly status = $derived(known(router.query.get('status'), STATUSES));
  readonly role = $derived(known(router.query.get('role'), ROLES));
  readonly site = $derived(router.query.get('site') ?? '');
  readonly openId = $derived(router.query.get('device'));
  readonly adding = $derived(router.query.get('add') !== null);
  readonly comfortable = $derived(router.query.get('rows') === 'high');
  readonly sort = $derived(readSort(router.query.get('sort')));
  readonly #wanted = $derived(router.query.get('columns')?.split('.') ?? null);
  readonly columns = $derived(
    shownColumns(columns, this.#wanted).filter((one) => this.#site === null || this.#wanted !== null || one.id !== 'site'),
  );
  readonly filtered = $derived(this.query !== '' || this.status !== '' || this.role !== '' || this.site !== '');

  /** All that belong to this list. */
  readonly all = $derived.by(() => {
    const site = this.#site;
    return site === null ? live.deviceList : live.deviceList.filter((one) => one.identification.site?.id === site);
  });
  readonly #ordered = $derived(sortRows(this.all, columns, this.sort, NAME));
  /** All filters but the status. */
  readonly #narrowed = $derived.by(() => {
    const terms = termsOf(this.query);
    const { role, site } = this;
    return this.#ordered.filter(
      (one) =>
        (role === '' || one.identification.role === role) &&
        (site === '' || (one.identification.site?.id ?? NO_SITE) === site) &&
        matches(one, terms),
    );
  });
  /** How many of each status there are under the other filters. */
  readonly counts = $derived.by(() => {
    const counts: Record<string, number> = {};
    for (const { overview } of this.#narrowed) counts[overview.status] = (counts[overview.status] ?? 0) + 1;
    return counts;
  });
  /** New devices, for the block on top. */
  readonly waiting = $derived(this.status === '' ? this.#narrowed.filter((one) => one.overview.status === 'unauthorized') : []);
  readonly rows = $derived.by(() => {
    const { status } = this;
    return this.#narrowed.filter((one) => (status === '' ? one.overview.status !== 'unauthorized' : one.overview.status === status));
  });

  /** Filters at once; the address follows when the typing rests, since browsers allow only so many changes of it. */
  type(text: string): void {
    this.#typed = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      router.set({ q: text });
      this.#typed = null;
    }, TYPING_REST);
  }

  set(changes: { status?: string; role?: string; site?: string }): void {
    router.set(changes);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#typed = null;
    router.set({ q: null, status: null, role: null, site: null });
  }

  sortBy(sort: Sort): void {
    const plain = sort.column === SORT.column && !sort.descending;
    router.set({ sort: plain ? null : `${sort.descending ? '-' : ''}${sort.column}` });
  }

  showColumns(ids: readonly string[]): void {
    const usual = defaultColumns(columns);
    const same = ids.length === usual.length && usual.every((id) => ids.includes(id));
    router.set({ columns: same ? null : columns.filter((one) => ids.includes(one.id)).map((one) => one.id).join('.') });
  }

  setComfortable(comfortable: boolean): void {
    router.set({ rows: comfortable ? 'high' : null });
  }

  /** Opens the panel of a device; null closes it. The first one can be left by "back". */
  open(device: Device | null): void {
    router.set({ device: device?.identification.id ?? null }, { push: device !== null && this.openId === null });
  }
}

function known(value: string | null, values: readonly string[]): string {
  return value !== null && values.includes(value) ? value : '';
}

function readSort(value: string | null): Sort {
  const descending = value?.startsWith('-') ?? false;
  const column = descending ? value?.slice(1) : value;
  return column && columns.some((one) => one.id === column) ? { column, descending } : SORT;
}
