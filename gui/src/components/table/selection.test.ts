import { describe, expect, it } from 'vitest';
import { Selection } from './selection.svelte';
import { scrollToShow, visibleRows } from './window';

const order = ['a', 'b', 'c', 'd', 'e'];
const ticked = (selection: Selection) => [...selection.ids].sort().join('');

describe('ticking rows', () => {
  it('extends from the row that was ticked last, in the order on the screen', () => {
    const selection = new Selection();
    selection.toggle('b');
    selection.extendTo('d', order);
    expect(ticked(selection)).toBe('bcd');
    selection.extendTo('a', order);
    expect(ticked(selection)).toBe('abcd');
  });

  it('starts a range anew when its beginning is no longer on the screen', () => {
    const selection = new Selection();
    selection.toggle('z');
    selection.extendTo('c', order);
    expect(ticked(selection)).toBe('cz');
  });

  it('ticks all that are shown and unticks only those', () => {
    const selection = new Selection();
    selection.toggle('z');
    selection.toggleAll(order);
    expect(selection.size).toBe(6);
    selection.toggleAll(order);
    expect(ticked(selection)).toBe('z');
  });

  it('lets go of what is gone', () => {
    const selection = new Selection();
    selection.toggleAll(order);
    selection.keep((id) => id !== 'c');
    expect(ticked(selection)).toBe('abde');
  });
});

describe('the rows on the screen', () => {
  const view = { top: 360, height: 180, rowHeight: 36, count: 100, spare: 2 };
  it('are those in view and a few more', () => {
    expect(visibleRows(view)).toEqual({ first: 8, end: 17 });
    expect(visibleRows({ ...view, top: 0 })).toEqual({ first: 0, end: 7 });
    expect(visibleRows({ ...view, count: 0, top: 0 })).toEqual({ first: 0, end: 0 });
  });

  it('stay within the list when it got shorter under the scroll position', () => {
    const { first, end } = visibleRows({ ...view, count: 5 });
    expect(first).toBeLessThanOrEqual(end);
    expect(end).toBe(5);
  });

  it('scroll no more than they have to', () => {
    expect(scrollToShow(10, view)).toBe(360);
    expect(scrollToShow(2, view)).toBe(72);
    expect(scrollToShow(15, view)).toBe(396);
  });
});
