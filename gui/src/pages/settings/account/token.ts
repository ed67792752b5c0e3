const DAY = 24 * 3600 * 1000;

/** When something made now expires; null where it never does. */
export function expiryAt(days: string, from: number): string | null {
  return days === 'never' ? null : new Date(from + Number(days) * DAY).toISOString();
}

/** What stands on lines of its own, or between commas. */
export function linesOf(text: string): string[] {
  return text.split(/[\s,;]+/).filter((line) => line !== '');
}
