import { api, ask } from './client';
import { ApiError } from './error';
import type { components } from './schema';
import { assertion } from './passkeys';

/** What is asked for: anything, or a second factor of an account that has one. */
export type Proof = 'any' | 'factor';

interface Waiting {
  proof: Proof;
  resolve: () => void;
  reject: (reason: Error) => void;
}

/** The password was not given: nothing was done, and nothing needs to be said. */
export class StepUpDeclined extends Error {
  override name = 'StepUpDeclined';
}

class StepUp {
  /** While it is set, the dialog asks for proof. */
  waiting = $state.raw<Waiting | null>(null);
  #asked: Promise<void> | null = null;

  /** Asks for proof; several callers at once share one dialog. */
  ask(proof: Proof = 'any'): Promise<void> {
    this.#asked ??= new Promise<void>((resolve, reject) => {
      this.waiting = { proof, resolve, reject };
    }).finally(() => {
      this.waiting = null;
      this.#asked = null;
    });
    return this.#asked;
  }

  async prove(password: string): Promise<void> {
    await this.#send({ password });
  }

  /** With six digits from the app, or a recovery code. */
  async proveByCode(verificationCode: string): Promise<void> {
    await this.#send({ verificationCode });
  }

  async proveByPasskey(): Promise<void> {
    const { id, options } = await ask(api.POST('/nms/api/v2.1/user/step-up/passkey/options'));
    await this.#send({ passkey: { id, credential: await assertion(options) } });
  }

  async #send(body: components['schemas']['StepUpRequest']): Promise<void> {
    await ask(api.POST('/nms/api/v2.1/user/step-up', { body }));
    this.waiting?.resolve();
  }

  decline(): void {
    this.waiting?.reject(new StepUpDeclined('The password was not confirmed; nothing was done.'));
  }
}

export const stepUp = new StepUp();

/**
 * Does something that may need proof once more; asks for it where the appliance says so, and tries again. What changes
 * the second factors wants one of them proven.
 */
export async function withStepUp<T>(act: () => Promise<T>, proof: Proof = 'any'): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'StepUpRequired') throw error;
    await stepUp.ask(proof);
    return await act();
  }
}
