// The credentials that the vault keeps, as the page shows them.
import { readCredentials } from '../api/credentials';
import type { Credential } from '../api/vault';
import { live } from '../live/live.svelte';

/** Milliseconds between two readings while jobs change them. */
const SPACING = 3_000;

export class CredentialList {
  items = $state.raw<readonly Credential[] | null>(null);
  error = $state.raw<unknown>(null);
  /** Changes whenever a job has set a password, or has ended. */
  readonly mark = $derived(live.jobs.map((job) => `${job.id}${job.counts.done}${job.state}`).join());
  readonly #device: string | undefined;
  #asked = 0;
  #readAt = 0;

  /** All, or those of one device. */
  constructor(device?: string) {
    this.#device = device;
  }

  read = async (): Promise<void> => {
    const question = ++this.#asked;
    this.#readAt = Date.now();
    try {
      const found = await readCredentials(this.#device);
      if (question !== this.#asked) return;
      this.items = found;
      this.error = null;
    } catch (error) {
      if (question === this.#asked) this.error = error;
    }
  };

  /** Reads soon, and not too often. Returns how to leave it. */
  readSoon(): () => void {
    const timer = setTimeout(() => void this.read(), this.items === null ? 0 : Math.max(0, this.#readAt + SPACING - Date.now()));
    return () => clearTimeout(timer);
  }

  put(one: Credential): void {
    const items = this.items ?? [];
    this.items = items.some(({ id }) => id === one.id) ? items.map((old) => (old.id === one.id ? one : old)) : [one, ...items];
  }

  forget(id: string): void {
    this.items = (this.items ?? []).filter((one) => one.id !== id);
  }
}
