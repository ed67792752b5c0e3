import { describe, expect, it } from 'vitest';
import { withControl } from './keys';

describe('the sticky Ctrl of a phone', () => {
  it('makes a control character of one letter', () => {
    expect(withControl('c')).toBe('\x03');
    expect(withControl('D')).toBe('\x04');
    expect(withControl('[')).toBe('\x1b');
  });

  it('leaves everything else as it is', () => {
    expect(withControl('é')).toBe('é');
    expect(withControl('paste of many')).toBe('paste of many');
    expect(withControl('\x1b[A')).toBe('\x1b[A');
  });
});
