// The terminals of this page, one a device. They outlive the pages that show them.
import { api, ask, session, withStepUp } from '../api';
import { socketAddress } from '../live/live.svelte';
import { words } from '../words/terminal';
import { Link } from './link.svelte';
import type { DrawnScreen } from './screen';

export class DeviceTerminal {
  readonly deviceId: string;
  readonly link: Link;
  screen = $state.raw<DrawnScreen | null>(null);
  /** Something on the screen is selected. */
  selected = $state(false);
  /** The last attempt would have needed the password. */
  needsStepUp = $state(false);
  /** What to do when the keyboard wants out. */
  onleave: () => void = () => undefined;

  constructor(deviceId: string) {
    this.deviceId = deviceId;
    const ticket = () => withStepUp(() => this.#ticket());
    const socket = () => new WebSocket(socketAddress('/nms/shell'));
    this.link = new Link({ ticket, socket }, words);
  }

  /** Opens a new terminal, on a clean screen. */
  async open(deviceName: string): Promise<void> {
    this.needsStepUp = false;
    const screen = await this.#drawn(deviceName);
    screen.clear();
    await this.link.open(screen);
  }

  /** The same, but only if nobody has to be asked for a password. */
  async openQuietly(deviceName: string): Promise<void> {
    try {
      const ticket = await this.#ticket();
      const screen = await this.#drawn(deviceName);
      screen.clear();
      await this.link.open(screen, () => Promise.resolve(ticket));
    } catch {
      this.needsStepUp = true;
    }
  }

  attachQuietly(): Promise<void> {
    return this.link.attach(() => this.#ticket());
  }

  dispose(): void {
    this.link.close();
    this.screen?.dispose();
    this.screen = null;
  }

  async #ticket(): Promise<string> {
    const body = { route: 'terminal' as const, deviceId: this.deviceId };
    return (await ask(api.POST('/nms/api/v2.1/tickets', { body }))).ticket;
  }

  async #drawn(deviceName: string): Promise<DrawnScreen> {
    if (this.screen) return this.screen;
    const { DrawnScreen } = await import('./screen');
    this.screen ??= new DrawnScreen(
      {
        typed: (text) => this.link.type(text),
        typedBytes: (binary) => this.link.typeBytes(binary),
        resized: () => this.link.resize(),
        selected: (something) => (this.selected = something),
        left: () => this.onleave(),
      },
      words.region(deviceName),
    );
    return this.screen;
  }
}

const terminals = new Map<string, DeviceTerminal>();

export function terminalOf(deviceId: string): DeviceTerminal {
  let terminal = terminals.get(deviceId);
  if (!terminal) terminals.set(deviceId, (terminal = new DeviceTerminal(deviceId)));
  return terminal;
}

/** Nothing that was on a screen stays after the login that saw it. */
$effect.root(() => {
  $effect(() => {
    if (session.token !== null) return;
    for (const terminal of terminals.values()) terminal.dispose();
    terminals.clear();
  });
});
