// What happened to one device, as far as a page shows it.
import { api, ask } from '../../api';
import type { components } from '../../api/schema';

export class DeviceLog {
  page = $state.raw<components['schemas']['LogPage'] | null>(null);
  error = $state.raw<unknown>(null);
  /** Counts questions: only the answer to the last one is shown. */
  #asked = 0;

  async load(deviceId: string, count: number, page = 1): Promise<void> {
    const question = ++this.#asked;
    try {
      const query = { count, page, deviceId: [deviceId] };
      const found = await ask(api.GET('/nms/api/v2.1/logs', { params: { query } }));
      if (question !== this.#asked) return;
      this.page = found;
      this.error = null;
    } catch (error) {
      if (question === this.#asked) this.error = error;
    }
  }

  /** It is about another device from now on. */
  forget(): void {
    this.#asked += 1;
    this.page = null;
    this.error = null;
  }
}
