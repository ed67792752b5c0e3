import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Shown } from './countdown.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a secret that is shown', () => {
  it('counts down and is gone', () => {
    const shown = new Shown<string>();
    shown.show('heron', 30);
    expect([shown.value, shown.left]).toEqual(['heron', 30]);
    vi.advanceTimersByTime(29_000);
    expect([shown.value, shown.left]).toEqual(['heron', 1]);
    vi.advanceTimersByTime(1_000);
    expect([shown.value, shown.left]).toEqual([null, 0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is hidden at once when asked, and a second one has its own time', () => {
    const shown = new Shown<string>();
    shown.show('heron', 30);
    vi.advanceTimersByTime(20_000);
    shown.show('stork', 30);
    vi.advanceTimersByTime(20_000);
    expect(shown.value).toBe('stork');
    shown.hide();
    expect([shown.value, vi.getTimerCount()]).toEqual([null, 0]);
  });
});
