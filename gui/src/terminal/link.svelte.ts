// A terminal's connection: browser, appliance, device. It knows nothing of how the screen is drawn.
//
// Output is held back by credit: what the screen has really taken is acknowledged, and only then more comes. So `yes`
// on the device fills nobody's memory.
import type { components } from '../api/schema';

type Hello = components['schemas']['ShellHello'];
type Command = components['schemas']['ShellCommand'];
type Notice = components['schemas']['ShellNotice'];

/** Where output goes. */
export interface Screen {
  /** `taken` is called once the screen has taken all of it. */
  write(output: Uint8Array, taken: () => void): void;
  size(): { rows: number; columns: number };
}

export interface LinkSource {
  /** A one-time ticket for a terminal on this link's device. */
  ticket: () => Promise<string>;
  socket: () => WebSocket;
}

/**
 * opening: the device was asked. open: it runs. broken: the way to it is cut, and it waits on the appliance until
 * `until`. ended: it is over, as `message` says. failed: it never opened.
 */
export type LinkState =
  | { is: 'idle' }
  | { is: 'opening' }
  | { is: 'open' }
  | { is: 'broken'; until: number }
  | { is: 'ended'; exitStatus: number | null; message: string }
  | { is: 'failed'; error: unknown };

/** How long the appliance keeps a terminal whose browser has gone. */
export const KEPT = 5 * 60_000;
/** The appliance gives no more than this unacknowledged. */
const WINDOW = 64 * 1024;
/** Acknowledged in pieces of this size, or after a moment of rest. */
const ACK_PIECE = 8 * 1024;
const ACK_REST = 40;
/** Bytes of one frame of input; the appliance takes four times that. */
const INPUT_PIECE = 16 * 1024;
const CLOSED_ON_PURPOSE = 1000;
const LOGIN_ENDED = 4401;

export interface LinkWords {
  lost: string;
  loginEnded: string;
  takenOver: string;
}

export class Link {
  state = $state.raw<LinkState>({ is: 'idle' });
  /** As the device calls itself, once it is open. */
  deviceName = $state.raw('');
  /** When it opened, in milliseconds since 1970. */
  since = $state.raw<number | null>(null);

  readonly #source: LinkSource;
  readonly #words: LinkWords;
  #screen: Screen | null = null;
  #socket: WebSocket | null = null;
  #terminal: string | null = null;
  /** Bytes of output since it opened, over all sockets. */
  #received = 0;
  #taken = 0;
  #ackTimer: ReturnType<typeof setTimeout> | undefined;
  #told = { rows: 0, columns: 0 };
  readonly #encoder = new TextEncoder();

  constructor(source: LinkSource, words: LinkWords) {
    this.#source = source;
    this.#words = words;
  }

  /** Opens a new terminal. */
  async open(screen: Screen, ticket = this.#source.ticket): Promise<void> {
    this.#drop();
    this.#forget();
    this.#screen = screen;
    await this.#connect(ticket);
  }

  /** Takes up the one whose way was cut. `ticket` may come from elsewhere, where nobody is to be asked for a password. */
  async attach(ticket = this.#source.ticket): Promise<void> {
    if (this.state.is !== 'broken') return;
    const before = this.state;
    try {
      await this.#connect(ticket);
    } finally {
      if ((this.state as LinkState).is === 'failed' && Date.now() < before.until) this.state = before;
    }
  }

  /** Sends what was typed or pasted. */
  type(text: string): void {
    this.#send(this.#encoder.encode(text));
  }

  /** Sends bytes as they are, one a character: what mouse reports are made of. */
  typeBytes(binary: string): void {
    this.#send(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
  }

  /** Tells the device the size of the screen, where it has changed. */
  resize(): void {
    const size = this.#screen?.size();
    if (!size || this.state.is !== 'open') return;
    if (size.rows === this.#told.rows && size.columns === this.#told.columns) return;
    this.#told = size;
    this.#command({ type: 'resize', ...size });
  }

  /** Ends the terminal on the device. */
  close(): void {
    this.#command({ type: 'close' });
    this.#drop();
    this.#forget();
    this.state = { is: 'idle' };
  }

  async #connect(ticketFrom: LinkSource['ticket']): Promise<void> {
    this.state = { is: 'opening' };
    try {
      const ticket = await ticketFrom();
      if ((this.state as LinkState).is !== 'opening') return;
      this.#listen(this.#source.socket(), ticket);
    } catch (error) {
      this.state = { is: 'failed', error };
    }
  }

  #listen(socket: WebSocket, ticket: string): void {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const current = () => this.#socket === socket;
    socket.onopen = () => current() && socket.send(JSON.stringify(this.#hello(ticket)));
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (!current()) return;
      if (event.data instanceof ArrayBuffer) this.#show(new Uint8Array(event.data), socket);
      else if (typeof event.data === 'string') this.#heed(event.data);
    };
    socket.onclose = (event) => {
      if (current()) this.#lost(event.code);
    };
  }

  #hello(ticket: string): Hello {
    const size = this.#screen?.size() ?? { rows: 24, columns: 80 };
    this.#told = size;
    if (this.#terminal === null) return { ticket, ...size };
    return { ticket, ...size, attach: this.#terminal, received: this.#received };
  }

  #show(output: Uint8Array, socket: WebSocket): void {
    this.#received += output.length;
    this.#screen?.write(output, () => {
      if (this.#socket === socket) this.#acknowledge(output.length);
    });
  }

  #acknowledge(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken >= ACK_PIECE) this.#sendAck();
    else this.#ackTimer ??= setTimeout(() => this.#sendAck(), ACK_REST);
  }

  #sendAck(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    if (this.#taken > 0) this.#command({ type: 'ack', bytes: this.#taken });
    this.#taken = 0;
  }

  #heed(text: string): void {
    const notice = JSON.parse(text) as Notice;
    if (notice.type === 'closed') {
      this.#drop();
      this.#forget();
      this.state = { is: 'ended', exitStatus: notice.exitStatus ?? null, message: notice.message };
      return;
    }
    const again = this.#terminal !== null;
    this.#terminal = notice.terminalId;
    this.deviceName = notice.deviceName;
    this.since ??= Date.now();
    this.state = { is: 'open' };
    // What was taken before the way was cut may never have been acknowledged; the appliance counts no byte twice.
    if (again && this.#received > 0) this.#command({ type: 'ack', bytes: Math.min(this.#received, WINDOW) });
    this.resize();
  }

  #lost(code: number): void {
    this.#drop();
    if (code === LOGIN_ENDED || (code === CLOSED_ON_PURPOSE && this.#terminal !== null)) {
      const message = code === LOGIN_ENDED ? this.#words.loginEnded : this.#words.takenOver;
      this.#forget();
      this.state = { is: 'ended', exitStatus: null, message };
    } else if (this.#terminal === null) {
      this.state = { is: 'failed', error: new Error(this.#words.lost) };
    } else {
      this.state = { is: 'broken', until: Date.now() + KEPT };
    }
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.state.is !== 'open') return;
    for (let start = 0; start < bytes.length; start += INPUT_PIECE) {
      this.#socket?.send(bytes.subarray(start, start + INPUT_PIECE));
    }
  }

  #command(command: Command): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(command));
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#taken = 0;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** The next one is a new terminal. */
  #forget(): void {
    this.#terminal = null;
    this.#received = 0;
    this.since = null;
  }
}
