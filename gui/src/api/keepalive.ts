// A login lasts as long as somebody is active. Pages live from the socket and make no calls of their own, so that
// activity has to be told: at most every five minutes, a sixth of the shortest idle time that an account can have.
import { api } from './client';

const EVERY = 5 * 60 * 1000;
/** Without an answer. */
const AGAIN = 30 * 1000;
const SIGNS = ['pointerdown', 'keydown', 'wheel'] as const;

/** Tells the appliance that somebody is here, for as long as they are. Returns how to end it. */
export function keepAlive(): () => void {
  let told = Date.now();
  const tell = (): void => {
    if (Date.now() - told < EVERY) return;
    told = Date.now();
    // A login that has ended says so by itself.
    api.GET('/nms/api/v2.1/nms/keep-alive').catch(() => (told = Date.now() - EVERY + AGAIN));
  };
  for (const sign of SIGNS) addEventListener(sign, tell, { capture: true, passive: true });
  return () => {
    for (const sign of SIGNS) removeEventListener(sign, tell, { capture: true });
  };
}
