// The terminals of this page, one a device. They outlive the pages that show them.
import { api, ask, asApiError, session, StepUpDeclined, withStepUp } from '../api';
import { socketAddress } from '../live/live.svelte';
import { words } from '../words/terminal';
import { Link } from './link.svelte';
import { withControl } from './keys';
import type { DrawnScreen } from './screen';

export class DeviceTerminal {
  readonly deviceId: string;
  readonly link: Link;
  screen = $state.raw<DrawnScreen | null>(null);
  /** Something on the screen is selected. */
  selected = $state(false);
  /** The next letter is meant with Ctrl: a phone's keyboard has no such key. */
  control = $state(false);
  /** The last attempt would have needed the password. */
  needsStepUp = $state(false);
  /** It may open by itself when its page is shown: not after it was ended, nor after an attempt that failed. */
  automatic = $state(true);
  /** A ticket is being asked for, maybe with the password. */
  asking = $state(false);
  /** Why no ticket was given. */
  error = $state.raw<unknown>(null);
  /** What to do when the keyboard wants out. */
  onleave: () => void = () => undefined;

  constructor(deviceId: string) {
    this.deviceId = deviceId;
    const ticket = () => withStepUp(() => this.#ticket());
    const socket = () => new WebSocket(socketAddress('/nms/shell'));
    this.link = new Link({ ticket, socket }, words);
  }

  /** Opens a new terminal, on a clean screen. Quietly: only if nobody has to be asked for a password. */
  async open(deviceName: string, quietly = false): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.error = null;
    try {
      const ticket = quietly ? await this.#ticket() : await withStepUp(() => this.#ticket());
      const screen = await this.#drawn(deviceName);
      screen.clear();
      this.needsStepUp = false;
      await this.link.open(screen, () => Promise.resolve(ticket));
    } catch (error) {
      this.automatic = false;
      this.needsStepUp = error instanceof StepUpDeclined || asApiError(error).code === 'StepUpRequired';
      this.error = this.needsStepUp ? null : error;
    } finally {
      this.asking = false;
    }
  }

  /** Takes up the one whose way was cut. */
  async attach(quietly = false): Promise<void> {
    await this.link.attach(quietly ? () => this.#ticket() : undefined);
  }

  type(text: string): void {
    const held = this.control;
    this.control = false;
    this.link.type(held ? withControl(text) : text);
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
        typed: (text) => this.type(text),
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
