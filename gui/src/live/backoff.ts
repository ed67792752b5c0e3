/** How long to wait before attempt number `attempt` (from 0), in milliseconds: doubling, at most 30 s, jittered by a quarter. */
export function backoff(attempt: number, random = Math.random()): number {
  const whole = Math.min(1000 * 2 ** Math.min(attempt, 10), 30_000);
  return Math.round(whole * (0.75 + 0.5 * random));
}
