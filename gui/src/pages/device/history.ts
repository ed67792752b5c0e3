// What the charts draw: the last hour as the appliance kept it, a point a minute, and from then on every report.
import type { components } from '../../api/schema';
import type { StatusPoint } from '../../live/shapes';

type Statistics = components['schemas']['DeviceStatistics'];
type Values = Record<string, number | null | undefined>;

export const HOUR = 3_600_000;
/** Reports of a watched device come every 2 s; a longer silence is a gap. */
const LIVE_GAP = 15_000;

interface Row {
  /** Milliseconds since 1970. */
  t: number;
  values: Values;
}

export interface Drawn {
  /** Milliseconds since 1970, rising. */
  times: number[];
  /** One array a figure, as long as `times`: null ends the line, undefined says nothing about it. */
  figures: (number | null | undefined)[][];
}

export const receiving = (name: string): string => `rx ${name}`;
export const transmitting = (name: string): string => `tx ${name}`;

export class History {
  #kept: Row[] = [];
  #live: Row[] = [];
  /** How far apart the kept points are. */
  #period = 60_000;

  /** Takes what the appliance kept. Reports that were heard since stay. */
  load(statistics: Statistics): void {
    const rows = new Map<number, Values>();
    const add = (figure: string, points: { x: number; y: number | null }[]) => {
      for (const { x, y } of points) {
        let values = rows.get(x);
        if (!values) rows.set(x, (values = {}));
        values[figure] = y;
      }
    };
    add('cpu', statistics.cpu.avg);
    add('ram', statistics.ram.avg);
    add('temperature', statistics.temperature.avg);
    add('signal', statistics.signal.avg);
    for (const { name, receive, transmit } of statistics.interfaces) {
      add(receiving(name), receive.avg);
      add(transmitting(name), transmit.avg);
    }
    this.#period = statistics.period;
    this.#kept = [...rows].map(([t, values]) => ({ t, values })).sort((a, b) => a.t - b.t);
  }

  /** Adds a report. */
  hear(point: StatusPoint): void {
    const last = this.#live.at(-1);
    if (last && point.t <= last.t) return;
    const { cpu, ram, temperature, signal, load1, load5, load15 } = point;
    const values: Values = { cpu, ram, temperature, signal, load1, load5, load15 };
    for (const { name, rxrate, txrate } of point.interfaces) {
      // The first report has nothing to be compared with: that is no gap.
      if (!last && typeof rxrate !== 'number') continue;
      values[receiving(name)] = rxrate;
      values[transmitting(name)] = txrate;
    }
    this.#live.push({ t: point.t, values });
    const oldest = point.t - HOUR;
    if ((this.#live[0]?.t ?? oldest) < oldest) this.#live = this.#live.filter((row) => row.t >= oldest);
  }

  /** Some value of the figure is known. */
  knows(figure: string): boolean {
    const known = (row: Row) => typeof row.values[figure] === 'number';
    return this.#live.some(known) || this.#kept.some(known);
  }

  /** The figures from `from` on. What was heard live takes the place of what was kept of the same minute. */
  draw(figures: readonly string[], from: number): Drawn {
    const drawn: Drawn = { times: [], figures: figures.map(() => []) };
    const put = (t: number, value: (figure: string) => number | null | undefined) => {
      drawn.times.push(t);
      figures.forEach((figure, index) => drawn.figures[index]?.push(value(figure)));
    };
    let before: number | null = null;
    let next = 0;
    for (const row of this.#rows(from)) {
      const allowed = row.live ? LIVE_GAP : this.#period * 1.5;
      // A line must not run across a silence: an empty point ends it.
      if (before !== null && row.t - before > Math.max(allowed, next)) put(before + 1, () => null);
      put(row.t, (figure) => row.values[figure]);
      before = row.t;
      // The minute under way is not kept yet: the step from what was kept to what is heard is longer.
      next = row.live ? 0 : this.#period * 2.5;
    }
    return drawn;
  }

  /** Spans of at least `least` milliseconds about which nothing at all is known, between `from` and `to`. */
  silences(from: number, to: number, least: number): [number, number][] {
    const spans: [number, number][] = [];
    let last: number | null = null;
    for (const { t, values } of this.#rows(from)) {
      if (t > to || !Object.values(values).some((value) => typeof value === 'number')) continue;
      if (t - (last ?? from) >= least) spans.push([last ?? from, t]);
      last = t;
    }
    if (last !== null && to - last >= least) spans.push([last, to]);
    return spans;
  }

  #rows(from: number): (Row & { live: boolean })[] {
    const live = this.#live.filter((row) => row.t >= from).map((row) => ({ ...row, live: true }));
    const heardIn = new Set(live.map((row) => Math.floor(row.t / this.#period)));
    const kept = this.#kept
      .filter((row) => row.t >= from && !heardIn.has(Math.floor(row.t / this.#period)))
      .map((row) => ({ ...row, live: false }));
    return [...kept, ...live].sort((a, b) => a.t - b.t);
  }
}
