import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KEPT, Link, type Screen } from './link.svelte';

class FakeSocket {
  readyState = 1;
  binaryType = '';
  sent: unknown[] = [];
  typed: number[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  send(data: string | Uint8Array): void {
    if (typeof data === 'string') this.sent.push(JSON.parse(data));
    else this.typed.push(...data);
  }
  close(): void {
    this.readyState = 3;
  }
  says(notice: object): void {
    this.onmessage?.({ data: JSON.stringify(notice) });
  }
  outputs(bytes: number): void {
    this.onmessage?.({ data: new ArrayBuffer(bytes) });
  }
}

class FakeScreen implements Screen {
  rows = 30;
  columns = 100;
  waiting: (() => void)[] = [];
  shown = 0;
  write(output: Uint8Array, taken: () => void): void {
    this.shown += output.length;
    this.waiting.push(taken);
  }
  size() {
    return { rows: this.rows, columns: this.columns };
  }
  takeAll(): void {
    this.waiting.splice(0).forEach((taken) => taken());
  }
}

const words = { lost: 'lost', loginEnded: 'login', takenOver: 'elsewhere' };
let sockets: FakeSocket[];
let refusal: Error | null;
let screen: FakeScreen;
let link: Link;
const last = () => sockets[sockets.length - 1] as FakeSocket;

async function open(): Promise<void> {
  await link.open(screen);
  last().onopen?.();
  last().says({ type: 'opened', terminalId: 'T', deviceName: 'ap-1' });
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  refusal = null;
  screen = new FakeScreen();
  link = new Link(
    {
      ticket: () => (refusal ? Promise.reject(refusal) : Promise.resolve('ticket')),
      socket: () => {
        sockets.push(new FakeSocket());
        return last() as unknown as WebSocket;
      },
    },
    words,
  );
});
afterEach(() => vi.useRealTimers());

describe('a terminal’s link', () => {
  it('shows its ticket with the size of the screen', async () => {
    await open();
    expect(last().sent[0]).toEqual({ ticket: 'ticket', rows: 30, columns: 100 });
    expect(link.state).toEqual({ is: 'open' });
    expect(link.deviceName).toBe('ap-1');
  });

  it('acknowledges only what the screen has taken', async () => {
    await open();
    last().outputs(6000);
    last().outputs(6000);
    expect(last().sent).toHaveLength(1);
    screen.takeAll();
    expect(last().sent.slice(1)).toEqual([{ type: 'ack', bytes: 12_000 }]);
  });

  it('acknowledges little pieces together, soon', async () => {
    await open();
    last().outputs(10);
    last().outputs(20);
    screen.takeAll();
    expect(last().sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(50);
    expect(last().sent.slice(1)).toEqual([{ type: 'ack', bytes: 30 }]);
  });

  it('sends what is typed as UTF-8 bytes, and mouse reports as they are', async () => {
    await open();
    link.type('é\r');
    link.typeBytes('\x1b\xff');
    expect(last().typed).toEqual([0xc3, 0xa9, 13, 27, 255]);
  });

  it('tells a new size once', async () => {
    await open();
    screen.columns = 90;
    link.resize();
    link.resize();
    expect(last().sent.slice(1)).toEqual([{ type: 'resize', rows: 30, columns: 90 }]);
  });

  it('takes up a broken one, says what it has received and pays its credit back', async () => {
    await open();
    last().outputs(100);
    last().onclose?.({ code: 1006 });
    expect(link.state).toEqual({ is: 'broken', until: Date.now() + KEPT });
    link.type('lost');
    screen.takeAll();
    await link.attach();
    last().onopen?.();
    expect(sockets).toHaveLength(2);
    expect(last().sent[0]).toEqual({ ticket: 'ticket', rows: 30, columns: 100, attach: 'T', received: 100 });
    last().says({ type: 'opened', terminalId: 'T', deviceName: 'ap-1' });
    expect(last().sent[1]).toEqual({ type: 'ack', bytes: 100 });
    expect([link.state.is, last().typed.length]).toEqual(['open', 0]);
  });

  it('stays broken when a quiet attempt would need the password', async () => {
    await open();
    last().onclose?.({ code: 1006 });
    await link.attach(() => Promise.reject(new Error('StepUpRequired')));
    expect(link.state.is).toBe('broken');
  });

  it('says how it ended', async () => {
    await open();
    last().says({ type: 'closed', exitStatus: 3, message: 'The shell ended.' });
    expect(link.state).toEqual({ is: 'ended', exitStatus: 3, message: 'The shell ended.' });
    await open();
    last().onclose?.({ code: 4401 });
    expect(link.state).toMatchObject({ is: 'ended', message: 'login' });
    await open();
    last().onclose?.({ code: 1000 });
    expect(link.state).toMatchObject({ is: 'ended', message: 'elsewhere' });
  });

  it('says why it did not open', async () => {
    refusal = new Error('no');
    await link.open(screen);
    expect(link.state).toEqual({ is: 'failed', error: refusal });
    refusal = null;
    await link.open(screen);
    last().onclose?.({ code: 1006 });
    expect(link.state.is).toBe('failed');
  });

  it('ends on the device when it is ended here', async () => {
    await open();
    const socket = last();
    link.close();
    expect(socket.sent.slice(1)).toEqual([{ type: 'close' }]);
    expect([link.state.is, socket.readyState]).toEqual(['idle', 3]);
  });
});
