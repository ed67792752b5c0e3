// One thing that somebody asks the appliance to do from a form: whether it is under way, and why it was refused.
import { asApiError, type ApiError } from '../api/error';
import { StepUpDeclined } from '../api/step-up.svelte';

export class Saving {
  busy = $state(false);
  error = $state.raw<unknown>(null);
  /** Seconds until the appliance listens again. */
  wait = $state(0);
  #timer: ReturnType<typeof setInterval> | undefined;

  /** What was thrown, as the appliance words it. */
  readonly refused: ApiError | null = $derived(this.error === null ? null : asApiError(this.error));

  /** One at a time. Answers whether it was done; who does not give the password again needs no word about it. */
  run = async (act: () => Promise<void>): Promise<boolean> => {
    if (this.busy || this.wait > 0) return false;
    this.busy = true;
    this.error = null;
    try {
      await act();
      return true;
    } catch (thrown) {
      if (!(thrown instanceof StepUpDeclined)) this.#refuse(thrown);
      return false;
    } finally {
      this.busy = false;
    }
  };

  /** As if nothing had been tried. A wait stays: the appliance does not forget it either. */
  clear = (): void => {
    if (this.wait === 0) this.error = null;
  };

  #refuse(thrown: unknown): void {
    this.error = thrown;
    this.wait = Math.ceil(asApiError(thrown).retryAfter ?? 0);
    clearInterval(this.#timer);
    if (this.wait === 0) return;
    this.#timer = setInterval(() => {
      this.wait -= 1;
      if (this.wait > 0) return;
      clearInterval(this.#timer);
      this.error = null;
    }, 1000);
  }
}
