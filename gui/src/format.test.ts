import { afterEach, describe, expect, it } from 'vitest';
import { bitRate, bytes, clockTime, count, counted, dayKey, duration, exact, measure, moment, percent, relative, setZone } from './format';

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('units', () => {
  it('write bit rates in thousands', () => {
    expect([0, 999, 1000, 12_440_000, 987_654_321].map((value) => plain(bitRate(value)))).toEqual([
      '0 bit/s',
      '999 bit/s',
      '1 kbit/s',
      '12.4 Mbit/s',
      '988 Mbit/s',
    ]);
  });

  it('write bytes in steps of 1024', () => {
    expect([512, 1536, 24 * 1024 ** 2, 1.5 * 1024 ** 4].map((value) => plain(bytes(value)))).toEqual(['512 B', '1.5 KiB', '24 MiB', '1.5 TiB']);
  });

  it('never write a thousand of a unit where one of the next is meant', () => {
    expect(plain(bitRate(999_700))).toBe('1 Mbit/s');
    expect(plain(bytes(1024 * 1023.9))).toBe('1 MiB');
  });

  it('show a dash for what is unknown, and 0 only for nought', () => {
    expect([bitRate(null), bytes(undefined), percent(Number.NaN), measure(null, 'dBm'), duration(null)]).toEqual(Array.from({ length: 5 }, () => '–'));
    expect(percent(0)).toBe('0%');
    expect(plain(duration(0))).toBe('0 s');
  });

  it('write negative levels with a true minus', () => {
    expect(plain(measure(-67, 'dBm'))).toBe('−67 dBm');
  });

  it('write the two largest units of a time', () => {
    expect([45, 61, 3_661, 90_061, 400 * 86_400].map((value) => plain(duration(value)))).toEqual(['45 s', '1 min 1 s', '1 h 1 min', '1 d 1 h', '400 d']);
  });

  it('count', () => {
    expect(count(12_345)).toBe('12,345');
    expect([counted(1, 'device', 'devices'), counted(0, 'device', 'devices')]).toEqual(['1 device', '0 devices']);
  });
});

describe('moments', () => {
  afterEach(() => setZone(null));
  const now = Date.parse('2026-11-24T12:00:00Z');
  const before = (seconds: number) => relative(now - seconds * 1000, now);

  it('say how long ago', () => {
    expect([2, 15, 65, 3_700, 90_000].map(before)).toEqual(['just now', '15 seconds ago', '1 minute ago', '1 hour ago', 'yesterday']);
  });

  it('are not fooled by a clock that runs a little ahead', () => {
    expect(relative(now + 3_000, now)).toBe('just now');
    expect(relative(now + 120_000, now)).toBe('in 2 minutes');
  });

  it('stand in the owner’s time zone, and an unknown zone changes nothing', () => {
    setZone('Asia/Tokyo');
    expect(clockTime(now)).toBe('21:00:00');
    expect(exact(now)).toContain('21:00:00');
    expect(dayKey(Date.parse('2026-11-24T15:30:00Z'))).not.toBe(dayKey(now));
    setZone('UTC');
    expect(clockTime(now)).toBe('12:00:00');
    setZone('Nowhere/Land');
    expect(() => exact(now)).not.toThrow();
  });

  it('are read from ISO 8601 and milliseconds, and nothing else', () => {
    expect(moment('2026-11-24T12:00:00.000Z')).toBe(now);
    expect(moment(now)).toBe(now);
    expect([moment(null), moment(''), moment('yesterday'), moment(Number.NaN)]).toEqual([null, null, null, null]);
  });
});
