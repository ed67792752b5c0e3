import { describe, expect, it } from 'vitest';
import { idleChoices } from './idle';

describe('the idle times to choose from', () => {
  it('reach from 30 minutes to 30 days', () => {
    const values = idleChoices(86_400_000).map(({ value }) => Number(value));
    expect([values[0], values.at(-1)]).toEqual([1_800_000, 2_592_000_000]);
    expect(values).toEqual([...values].sort((a, b) => a - b));
  });

  it('hold the present one once, whatever it is', () => {
    for (const present of [86_400_000, 5_400_000]) {
      expect(idleChoices(present).filter(({ value }) => value === String(present))).toHaveLength(1);
    }
    expect(idleChoices(5_400_000)).toContainEqual({ value: '5400000', label: '1\u00a0h 30\u00a0min without activity' });
  });
});
