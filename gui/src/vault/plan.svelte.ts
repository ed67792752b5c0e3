// What somebody chooses for a rotation, and what is wrong with it.
import type { Alphabet, RotationBody } from '../api/vault';
import { live } from '../live/live.svelte';
import type { Device } from '../live/shapes';
import { words } from '../words/rotation';
import { ALPHABETS, example, isAccountName, namesOf, offered, preview, wholeNumber } from './rotation';

export type Scope = 'chosen' | 'site' | 'all';
export type Problem = 'site' | 'accounts' | 'length' | 'start' | 'minutes' | 'parallel' | 'stopAfter';

export class Plan {
  scope = $state<Scope>('all');
  site = $state('');
  accounts = $state('');
  length = $state('20');
  alphabet = $state<Alphabet>('readable');
  when = $state<'now' | 'window'>('now');
  /** As a field for a local time gives it. */
  start = $state('');
  minutes = $state('');
  parallel = $state('8');
  stopAfter = $state('5');
  reason = $state('');

  readonly #chosen: readonly Device[];

  constructor(chosen: readonly Device[], site = '') {
    this.#chosen = chosen;
    this.scope = chosen.length > 0 ? 'chosen' : site === '' ? 'all' : 'site';
    this.site = site;
    this.accounts = this.offered[0]?.account ?? 'admin';
  }

  get chosen(): number {
    return this.#chosen.length;
  }

  /** Those that it is about, as the appliance knows them now. */
  readonly devices: readonly Device[] = $derived.by(() => {
    if (this.scope === 'chosen') return this.#chosen.map((one) => live.device(one.identification.id) ?? one);
    const inside = live.deviceList.filter((one) => one.identification.authorized);
    return this.scope === 'all' ? inside : inside.filter((one) => one.identification.site?.id === this.site);
  });
  readonly offered = $derived(offered(this.devices));
  readonly names = $derived(namesOf(this.accounts));
  readonly preview = $derived(preview(this.devices, this.names));
  readonly #length = $derived(wholeNumber(this.length, 12, 128));
  readonly example = $derived(this.#length === null ? '' : example(this.#length, this.alphabet));
  readonly startAt = $derived(this.when === 'window' ? Date.parse(this.start) : null);

  problems(now: number): Partial<Record<Problem, string>> {
    const found: Partial<Record<Problem, string>> = {};
    if (this.scope === 'site' && this.site === '') found.site = words.siteMissing;
    const odd = this.names.find((name) => !isAccountName(name));
    if (this.names.length === 0) found.accounts = words.accountsMissing;
    else if (odd !== undefined) found.accounts = words.accountsWrong(odd);
    if (this.#length === null) found.length = words.lengthWrong;
    if (this.startAt !== null) {
      if (Number.isNaN(this.startAt)) found.start = words.startMissing;
      else if (this.startAt <= now) found.start = words.startPast;
      if (this.minutes.trim() !== '' && wholeNumber(this.minutes, 1, 1_440) === null) found.minutes = words.minutesWrong;
    }
    if (wholeNumber(this.parallel, 1, 64) === null) found.parallel = words.parallelWrong;
    if (wholeNumber(this.stopAfter, 1, 1_000) === null) found.stopAfter = words.stopAfterWrong;
    return found;
  }

  /** Only for a plan without problems. */
  body(): RotationBody {
    const which = { chosen: { deviceIds: this.#chosen.map((one) => one.identification.id) }, site: { siteId: this.site }, all: { all: true as const } };
    const windowMinutes = wholeNumber(this.minutes, 1, 1_440);
    return {
      ...which[this.scope],
      accounts: this.names,
      length: Number(this.length),
      alphabet: ALPHABETS.find((one) => one === this.alphabet) ?? 'readable',
      parallel: Number(this.parallel),
      stopAfterFailures: Number(this.stopAfter),
      ...(this.startAt === null ? {} : { startAt: new Date(this.startAt).toISOString(), ...(windowMinutes === null ? {} : { windowMinutes }) }),
      ...(this.reason.trim() === '' ? {} : { reason: this.reason.trim() }),
    };
  }
}
