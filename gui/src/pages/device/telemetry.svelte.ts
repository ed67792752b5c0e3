// What a device reports while its page is open.
import { api, ask } from '../../api';
import { live } from '../../live/live.svelte';
import type { StatusPoint } from '../../live/shapes';
import { History } from './history';

export class Telemetry {
  /** The last report; null until one was heard. */
  latest = $state.raw<StatusPoint | null>(null);
  /** The kept hour is on its way. */
  loading = $state(true);
  /** The kept hour could not be loaded. */
  error = $state.raw<unknown>(null);
  /** Changes with every point. */
  revision = $state(0);
  /** The interface that the appliance keeps the history of. */
  main = $state<string | null>(null);
  readonly history = new History();

  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  /** Listens until the function that it returns is called. */
  start(): () => void {
    return live.watch(this.#id, (point) => {
      this.history.hear(point);
      this.latest = point;
      this.revision += 1;
    });
  }

  /** Loads the kept hour, again after the connection was cut. */
  async load(): Promise<void> {
    this.error = null;
    try {
      const params = { path: { id: this.#id }, query: { interval: 'hour' } };
      const statistics = await ask(api.GET('/nms/api/v2.1/devices/{id}/statistics', { params }));
      this.history.load(statistics);
      this.main = statistics.interfaces[0]?.name ?? null;
      this.revision += 1;
    } catch (error) {
      this.error = error;
    } finally {
      this.loading = false;
    }
  }
}
