import { describe, expect, it } from 'vitest';
import type { StatusPoint } from '../../live/shapes';
import { History, receiving, transmitting } from './history';

const MINUTE = 60_000;
const series = (...values: (number | null)[]) => ({
  avg: values.map((y, index) => ({ x: index * MINUTE, y })),
  max: [],
});
const statistics = (cpu: ReturnType<typeof series>) => ({
  period: MINUTE,
  interval: { start: 0, end: 60 * MINUTE },
  cpu,
  ram: series(),
  temperature: series(null, null),
  signal: series(),
  errors: series(),
  interfaces: [{ id: 'eth0', name: 'eth0', receive: series(100, 200), transmit: series(1, 2) }],
});
const report = (t: number, cpu: number, rxrate: number | null = null): StatusPoint => ({
  t,
  cpu,
  ram: 10,
  uptime: 1,
  load1: 0.1,
  load5: 0.2,
  load15: 0.3,
  interfaces: [{ name: 'wlan0', rxrate, txrate: 7, rxbytes: 0, txbytes: 0, errors: 0, dropped: 0 }],
});

const wire = { name: 'eth0', rxbytes: 0, txbytes: 0, errors: 0, dropped: 0 };

describe('the history of a device', () => {
  it('goes on from what was kept with what is heard', () => {
    const history = new History();
    history.load(statistics(series(5, 6, 7)));
    history.hear(report(2 * MINUTE + 30_000, 50));
    history.hear(report(2 * MINUTE + 32_000, 52));
    // The minute that was heard live is drawn once.
    expect(history.draw(['cpu'], 0)).toEqual({ times: [0, 60_000, 150_000, 152_000], figures: [[5, 6, 50, 52]] });
  });

  it('leaves gaps as gaps, in what was kept and in what is heard', () => {
    const history = new History();
    history.load(statistics(series(5, null, 7)));
    expect(history.draw(['cpu'], 0).figures).toEqual([[5, null, 7]]);
    history.hear(report(10 * MINUTE, 1));
    history.hear(report(10 * MINUTE + 2_000, 2));
    history.hear(report(12 * MINUTE, 3));
    const { times, figures } = history.draw(['cpu'], 9 * MINUTE);
    expect(times).toEqual([600_000, 602_000, 602_001, 720_000]);
    expect(figures).toEqual([[1, 2, null, 3]]);
  });

  it('keeps the interfaces apart', () => {
    const history = new History();
    history.load(statistics(series(5, 6)));
    history.hear(report(4 * MINUTE, 5, 900));
    const eth = history.draw([receiving('eth0'), transmitting('eth0')], 0).figures;
    expect(eth).toEqual([[100, 200, null, undefined], [1, 2, null, undefined]]);
    expect(history.draw([receiving('wlan0')], 3 * MINUTE).figures).toEqual([[900]]);
  });

  it('does not take the first report, which has no rates yet, for a gap', () => {
    const history = new History();
    history.load(statistics(series(5, 6)));
    history.hear({ ...report(2 * MINUTE, 5), interfaces: [{ ...wire, rxrate: null, txrate: null }] });
    history.hear({ ...report(2 * MINUTE + 2_000, 5), interfaces: [{ ...wire, rxrate: 300, txrate: 3 }] });
    expect(history.draw([receiving('eth0')], 0).figures).toEqual([[100, 200, undefined, 300]]);
  });

  it('knows which figures there are', () => {
    const history = new History();
    history.load(statistics(series(5)));
    expect([history.knows('cpu'), history.knows('temperature'), history.knows('load1')]).toEqual([true, false, false]);
    history.hear(report(MINUTE, 5));
    expect(history.knows('load1')).toBe(true);
  });

  it('forgets what is older than an hour, and reports that come twice', () => {
    const history = new History();
    history.hear(report(0, 1));
    history.hear(report(0, 1));
    history.hear(report(61 * MINUTE, 2));
    expect(history.draw(['cpu'], 0).times).toEqual([61 * MINUTE]);
  });

  it('finds the silences, also before the first word and after the last', () => {
    const history = new History();
    history.load(statistics(series(null, 5, null, null, null, 6, 7, null)));
    // The interface was heard in the first two minutes.
    expect(history.silences(0, 6 * MINUTE, 3 * MINUTE)).toEqual([[MINUTE, 5 * MINUTE]]);
    expect(history.silences(-5 * MINUTE, 20 * MINUTE, 3 * MINUTE)).toEqual([
      [-5 * MINUTE, 0],
      [MINUTE, 5 * MINUTE],
      [6 * MINUTE, 20 * MINUTE],
    ]);
    expect(new History().silences(0, 9, 1)).toEqual([]);
  });
});
