import { asApiError } from '../api/error';
import type { Tone } from './icon';

export interface ToastAction {
  label: string;
  run: () => void;
}

export interface Toast {
  id: number;
  tone: Tone;
  title: string;
  message?: string | undefined;
  /** Undo, or the next step. */
  action?: ToastAction | undefined;
  /** What the owner copies into a report. */
  requestId?: string | undefined;
}

export type NewToast = Omit<Toast, 'id'>;

/** Long enough to read, longer where there is something to press. */
const STAYS = 5000;
const STAYS_WITH_ACTION = 10_000;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;
  #timers = new Map<number, ReturnType<typeof setTimeout>>();

  /** Shows one. A bad one stays until it is closed; the same words are never shown twice at once. */
  show(toast: NewToast): number {
    const same = this.list.find((one) => one.title === toast.title && one.message === toast.message);
    if (same) this.close(same.id);
    const id = this.#next++;
    this.list = [...this.list.slice(-3), { ...toast, id }];
    this.resume(id);
    return id;
  }

  done(title: string, action?: ToastAction): number {
    return this.show({ tone: 'ok', title, action });
  }

  /** Something did not work: `title` says what, the error why and what to do. A password that was not confirmed is no news. */
  failed(title: string, thrown: unknown): void {
    if (thrown instanceof Error && thrown.name === 'StepUpDeclined') return;
    const { message, requestId } = asApiError(thrown);
    this.show({ tone: 'bad', title, message, requestId });
  }

  close(id: number): void {
    this.hold(id);
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  /** Stops the clock while somebody reads or points at it. */
  hold(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  resume(id: number): void {
    const toast = this.list.find((one) => one.id === id);
    if (!toast || toast.tone === 'bad') return;
    this.hold(id);
    this.#timers.set(id, setTimeout(() => this.close(id), toast.action ? STAYS_WITH_ACTION : STAYS));
  }
}

export const toasts = new Toasts();
