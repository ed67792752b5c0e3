import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff } from './backoff';
import { Live, type LiveSource } from './store.svelte';
import type { Job, VaultStatus } from '../api/vault';
import type { Device, LogEntry, Site, StatusPoint, Summary } from './shapes';

const device = (id: string, name = id) => ({ identification: { id, displayName: name } }) as Device;
const site = (id: string, name: string) => ({ id, identification: { id, name } }) as Site;
const vault = (sealed: boolean) => ({ sealed, isVaultGenerated: true, reachable: true, left: 60 }) as VaultStatus;
const job = (id: string, state = 'running') => ({ id, state }) as Job;
const summary = { devicesTotal: 1 } as Summary;

/** The browser's socket as far as the store uses it, with the appliance's end of it in the test's hand. */
class FakeSocket {
  readyState = 1;
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

class FakeSource {
  sockets: FakeSocket[] = [];
  loads = 0;
  ended = 0;
  allDevices: Device[] = [device('1', 'one')];
  newestLogs: LogEntry[] = [];
  allJobs: Job[] = [];
  sealed = true;
  /** While set, loads wait for it. */
  gate: Promise<void> | null = null;
  refuse: Error | null = null;
  ticket = () => (this.refuse ? Promise.reject(this.refuse) : Promise.resolve(`ticket ${this.sockets.length + 1}`));
  socket = () => {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    return socket as unknown as WebSocket;
  };
  devices = async () => {
    this.loads += 1;
    const found = this.allDevices;
    await this.gate;
    return found;
  };
  sites = () => Promise.resolve([site('b', 'Beta'), site('a', 'alpha')]);
  logs = () => Promise.resolve(this.newestLogs);
  summary = () => Promise.resolve(summary);
  vault = () => Promise.resolve(vault(this.sealed));
  jobs = () => Promise.resolve(this.allJobs);
  isFinal = (error: unknown) => error instanceof Error && error.message === 'final';
  loginEnded = () => {
    this.ended += 1;
  };
}

let source: FakeSource;
let live: Live;
const last = () => source.sockets[source.sockets.length - 1] as FakeSocket;
const settle = () => vi.advanceTimersByTimeAsync(0);
const names = () => live.deviceList.map((one) => one.identification.displayName);

async function goLive(): Promise<void> {
  live.start();
  await settle();
  last().onopen?.();
  last().says({ type: 'hello', sequence: 0, serverTime: '' });
  await settle();
}

beforeEach(() => {
  vi.useFakeTimers();
  source = new FakeSource();
  live = new Live(source satisfies LiveSource);
});
afterEach(() => {
  live.stop();
  vi.useRealTimers();
});

describe('the live store', () => {
  it('shows its ticket first, then loads everything', async () => {
    expect(live.state).toBe('off');
    await goLive();
    expect(last().sent[0]).toEqual({ ticket: 'ticket 1' });
    expect([live.state, live.loaded, live.stale]).toEqual(['live', true, false]);
    expect(names()).toEqual(['one']);
    expect(live.siteList.map((one) => one.identification.name)).toEqual(['alpha', 'Beta']);
    expect(live.summary).toEqual(summary);
  });

  it('shows changes together, soon', async () => {
    await goLive();
    last().says({ type: 'device', sequence: 1, device: device('2', 'two') });
    last().says({ type: 'device', sequence: 2, device: device('1', 'uno') });
    last().says({ type: 'deviceRemoved', sequence: 3, id: '2' });
    expect(names()).toEqual(['one']);
    await vi.advanceTimersByTimeAsync(200);
    expect(names()).toEqual(['uno']);
    expect(source.loads).toBe(1);
  });

  it('loads again after a gap, and only once for many', async () => {
    await goLive();
    source.allDevices = [device('1'), device('9')];
    last().says({ type: 'device', sequence: 5, device: device('1') });
    last().says({ type: 'device', sequence: 9, device: device('1') });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(source.loads).toBe(2);
    expect(live.device('9')).toBeDefined();
  });

  it('loads again when it was too slow, without taking the next frame for a gap', async () => {
    await goLive();
    last().says({ type: 'resync' });
    await vi.advanceTimersByTimeAsync(2_500);
    last().says({ type: 'device', sequence: 4, device: device('1') });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(source.loads).toBe(2);
  });

  it('does not lose what arrives while a load is under way', async () => {
    await goLive();
    let open = (): void => undefined;
    source.gate = new Promise((resolve) => (open = resolve));
    last().says({ type: 'resync' });
    await vi.advanceTimersByTimeAsync(2_500);
    last().says({ type: 'device', sequence: 8, device: device('7', 'new') });
    last().says({ type: 'deviceRemoved', sequence: 9, id: '1' });
    open();
    await settle();
    expect(names()).toEqual(['new']);
  });

  it('waits, counts down and comes back with a fresh ticket', async () => {
    await goLive();
    last().onclose?.({ code: 1006 });
    expect([live.state, live.stale, live.loaded]).toEqual(['waiting', true, true]);
    expect(live.countdown).toBeGreaterThan(0);
    expect(names()).toEqual(['one']);
    await vi.advanceTimersByTimeAsync(1_300);
    expect(source.sockets).toHaveLength(2);
    last().onopen?.();
    expect(last().sent[0]).toEqual({ ticket: 'ticket 2' });
    last().says({ type: 'hello', sequence: 0, serverTime: '' });
    await settle();
    expect([live.state, live.countdown]).toEqual(['live', null]);
  });

  it('takes silence for a broken connection', async () => {
    await goLive();
    await vi.advanceTimersByTimeAsync(16_000);
    last().says({ type: 'summary', summary });
    await vi.advanceTimersByTimeAsync(16_000);
    expect(live.state).toBe('live');
    await vi.advanceTimersByTimeAsync(1_100);
    expect(live.state).toBe('waiting');
    expect(source.sockets[0]?.closed).toBe(true);
  });

  it('retries at once when asked', async () => {
    await goLive();
    last().onclose?.({ code: 1001 });
    live.retryNow();
    await settle();
    expect(source.sockets).toHaveLength(2);
    live.retryNow();
    await settle();
    expect([source.sockets.length, live.state, live.countdown]).toEqual([2, 'waiting', 0]);
  });

  it('takes a ticket that came too late for no end of the login', async () => {
    await goLive();
    last().onclose?.({ code: 4403 });
    expect([live.state, source.ended]).toEqual(['waiting', 0]);
  });

  it('ends with the login and forgets what it knew', async () => {
    await goLive();
    last().onclose?.({ code: 4401 });
    expect([live.state, source.ended, live.deviceList.length]).toEqual(['off', 1, 0]);
    source.refuse = new Error('final');
    live.start();
    await settle();
    expect([live.state, source.ended]).toEqual(['off', 2]);
  });

  it('goes on trying when the appliance cannot be reached', async () => {
    source.refuse = new Error('network');
    live.start();
    await settle();
    expect([live.state, live.loaded]).toEqual(['waiting', false]);
    source.refuse = null;
    await vi.advanceTimersByTimeAsync(1_300);
    expect(source.sockets).toHaveLength(1);
  });

  it('watches devices, also after the connection was renewed, and tells their listeners alone', async () => {
    await goLive();
    const heard: number[] = [];
    const stop = live.watch('1', (point) => heard.push(point.t));
    expect(last().sent[last().sent.length - 1]).toEqual({ type: 'watch', ids: ['1'] });
    const status = { t: 5 } as StatusPoint;
    last().says({ type: 'status', id: '1', status });
    last().says({ type: 'status', id: '2', status });
    expect(heard).toEqual([5]);
    last().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1_300);
    last().says({ type: 'hello', sequence: 0, serverTime: '' });
    expect(last().sent).toContainEqual({ type: 'watch', ids: ['1'] });
    stop();
    expect(last().sent[last().sent.length - 1]).toEqual({ type: 'watch', ids: [] });
  });

  it('keeps the newest logs, each once', async () => {
    source.newestLogs = [{ id: 'b' }, { id: 'a' }] as LogEntry[];
    await goLive();
    last().says({ type: 'log', log: { id: 'b' } });
    last().says({ type: 'log', log: { id: 'c' } });
    await vi.advanceTimersByTimeAsync(200);
    expect(live.logs.map((entry) => entry.id)).toEqual(['c', 'b', 'a']);
  });

  it('knows the jobs, newest first, and what became of each', async () => {
    source.allJobs = [job('b'), job('a', 'done')];
    await goLive();
    last().says({ type: 'job', sequence: 1, ...job('b', 'done') });
    last().says({ type: 'job', sequence: 2, ...job('c') });
    await vi.advanceTimersByTimeAsync(200);
    expect(live.jobs.map((one) => [one.id, one.state])).toEqual([['c', 'running'], ['b', 'done'], ['a', 'done']]);
  });

  it('shows at once that the vault was unsealed, and reads the rest', async () => {
    await goLive();
    expect(live.vault?.sealed).toBe(true);
    source.sealed = false;
    last().says({ type: 'vault', sequence: 1, sealed: false, made: true, reachable: true });
    expect(live.vault).toMatchObject({ sealed: false, isPassphraseMissing: false });
    await settle();
    expect(live.vault).toEqual(vault(false));
    live.stop();
    expect(live.vault).toBeNull();
  });

  it('ignores what it does not understand', async () => {
    await goLive();
    last().says({ type: 'of the future' });
    last().onmessage?.({ data: 'no json' });
    last().onmessage?.({ data: new ArrayBuffer(1) });
    expect(live.state).toBe('live');
  });
});

describe('the back-off', () => {
  it('doubles up to half a minute, with jitter', () => {
    expect([0, 1, 2, 9, 99].map((attempt) => backoff(attempt, 0.5))).toEqual([1000, 2000, 4000, 30_000, 30_000]);
    expect(backoff(0, 0)).toBe(750);
    expect(backoff(0, 1)).toBe(1250);
  });
});
