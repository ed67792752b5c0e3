import { count } from '../format';

/** Words of the components themselves. */
export const words = {
  showPassword: 'Show password',
  hidePassword: 'Hide password',
  passwordHint: (least: number) =>
    `At least ${least} characters. Four or five words that belong together only for you are easy to remember and hard to guess. No other rules.`,
  passwordCount: (n: number, least: number) => (n >= least ? `${n} characters: long enough` : `${n} of ${least} characters`),
  passwordMissing: (least: number) => `Choose a password of at least ${least} characters.`,
  passwordShort: (missing: number) => `Too short: add ${missing} ${missing === 1 ? 'character' : 'characters'}.`,
  close: 'Close',
  cancel: 'Cancel',
  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'The browser would not copy. Select the text and copy it by hand.',
  reveal: 'Reveal',
  hide: 'Hide',
  hidden: 'Hidden',
  requestId: 'Request',
  copyRequestId: 'Copy the request id',
  retry: 'Try again',
  tooMany: 'Too many attempts. You can try again when the time on the button is over.',
  range: (from: number, to: number, total: number) => `${count(from)}–${count(to)} of ${count(total)}`,
  newer: 'Newer',
  older: 'Older',
  typeToConfirm: (text: string) => `Type ${text} to confirm`,
  notifications: 'Notifications',
  openFullPage: 'Open the full page',
  noMatch: 'Nothing matches',
  loading: 'Loading',
  never: 'Never',
  unknown: 'Unknown',
};
