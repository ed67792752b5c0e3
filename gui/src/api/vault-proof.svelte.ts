// The vault's own proof: its PIN, or a code of the app that was enrolled with it. What the daemon believes is not enough.
import { api, ask } from './client';
import { ApiError } from './error';
import { session } from './session.svelte';
import { StepUpDeclined, withStepUp } from './step-up.svelte';

interface Waiting {
  resolve: () => void;
  reject: (reason: Error) => void;
}

/** Goes with a call that the vault has to believe. */
export type PassHeader = Record<string, string>;

class VaultProof {
  /** While it is set, the dialog asks for the proof. */
  waiting = $state.raw<Waiting | null>(null);
  #asked: Promise<void> | null = null;
  /** Kept in this page's memory alone, and for this login alone. */
  #pass: { text: string; until: number; token: string | null } | null = null;

  header(): PassHeader {
    const pass = this.#pass;
    return pass && pass.until > Date.now() && pass.token === session.token ? { 'Vault-Pass': pass.text } : {};
  }

  ask(): Promise<void> {
    this.#asked ??= new Promise<void>((resolve, reject) => {
      this.waiting = { resolve, reject };
    }).finally(() => {
      this.waiting = null;
      this.#asked = null;
    });
    return this.#asked;
  }

  async prove(proof: { pin: string } | { code: string }): Promise<void> {
    const { pass, expiresInSeconds } = await ask(api.POST('/nms/api/v2.1/vault/prove', { body: proof }));
    this.#pass = { text: pass, until: Date.now() + expiresInSeconds * 1000, token: session.token };
    this.waiting?.resolve();
  }

  forget(): void {
    this.#pass = null;
  }

  decline(): void {
    this.waiting?.reject(new StepUpDeclined('The proof was not given; nothing was done.'));
  }
}

export const vaultProof = new VaultProof();

/** Does something that the appliance and the vault each may want proof for, and tries again once it was given. */
export function withVaultProof<T>(act: (pass: PassHeader) => Promise<T>): Promise<T> {
  return withStepUp(async () => {
    try {
      return await act(vaultProof.header());
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'VaultProofRequired') throw error;
      vaultProof.forget();
      await vaultProof.ask();
      return await act(vaultProof.header());
    }
  });
}
