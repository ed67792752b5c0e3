import { api, ask } from './client';
import { ApiError } from './error';

/** The password was not given: nothing was done, and nothing needs to be said. */
export class StepUpDeclined extends Error {
  override name = 'StepUpDeclined';
}

class StepUp {
  /** While it is set, the frame shows the password dialog. */
  waiting = $state.raw<{ resolve: () => void; reject: (reason: Error) => void } | null>(null);
  #asked: Promise<void> | null = null;

  /** Asks for the password; several callers at once share one dialog. */
  ask(): Promise<void> {
    this.#asked ??= new Promise<void>((resolve, reject) => {
      this.waiting = { resolve, reject };
    }).finally(() => {
      this.waiting = null;
      this.#asked = null;
    });
    return this.#asked;
  }

  async prove(password: string): Promise<void> {
    await ask(api.POST('/nms/api/v2.1/user/step-up', { body: { password } }));
    this.waiting?.resolve();
  }

  decline(): void {
    this.waiting?.reject(new StepUpDeclined('The password was not confirmed; nothing was done.'));
  }
}

export const stepUp = new StepUp();

/** Does something that may need the password once more; asks for it where the appliance says so, and tries again. */
export async function withStepUp<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'StepUpRequired') throw error;
    await stepUp.ask();
    return await act();
  }
}
