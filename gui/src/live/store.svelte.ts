// The one live picture of the network in this page: fed by the socket /nms/ws, loaded anew after every gap.
//
// Changes are gathered and shown together, so that ten thousand reporting devices cost a few redraws a second.
import type { Job, VaultStatus } from '../api/vault';
import { backoff } from './backoff';
import {
  readMessage,
  type Device,
  type LiveMessage,
  type LiveWish,
  type LogEntry,
  type Site,
  type StatusPoint,
  type Summary,
} from './shapes';

/** Where the picture comes from. */
export interface LiveSource {
  /** A one-time ticket for the socket. */
  ticket: () => Promise<string>;
  socket: () => WebSocket;
  devices: () => Promise<Device[]>;
  sites: () => Promise<Site[]>;
  /** Newest first. */
  logs: () => Promise<LogEntry[]>;
  summary: () => Promise<Summary>;
  /** Null where it could not be read. */
  vault: () => Promise<VaultStatus | null>;
  /** Newest first. */
  jobs: () => Promise<Job[]>;
  /** Whether this error means that trying again is of no use. */
  isFinal: (error: unknown) => boolean;
  /** The appliance ended the login. */
  loginEnded: () => void;
}

/**
 * off: not started, or the login ended. connecting: the first picture is on its way. live: what is shown is current.
 * waiting: the connection broke; the next attempt comes when `countdown` ends, and is under way while that is 0.
 */
export type LiveState = 'off' | 'connecting' | 'live' | 'waiting';

export type StatusListener = (point: StatusPoint) => void;

/** The daemon accepts no more in one `watch`. */
export const MOST_WATCHED = 8;
export const LOGS_KEPT = 200;
/** The summary comes every 5 s: silence of this length is a dead connection. */
const SILENCE = 17_000;
/** Resyncs are at least this far apart. */
const RESYNC_SPACING = 2_000;
const LOGIN_ENDED = 4401;

export class Live {
  state = $state<LiveState>('off');
  /** The first picture has arrived: empty now means empty. */
  loaded = $state(false);
  /** Milliseconds since 1970 of the last word from the appliance: how old the picture is. */
  heardAt = $state<number | null>(null);
  /** Whole seconds to the next attempt; null unless waiting. */
  countdown = $state<number | null>(null);
  deviceList = $state.raw<readonly Device[]>([]);
  /** By name. */
  siteList = $state.raw<readonly Site[]>([]);
  /** Newest first. */
  logs = $state.raw<readonly LogEntry[]>([]);
  summary = $state.raw<Summary | null>(null);
  /** How the vault is; null while nobody knows. */
  vault = $state.raw<VaultStatus | null>(null);
  /** Newest first. */
  jobs = $state.raw<readonly Job[]>([]);

  #devices = $state.raw<ReadonlyMap<string, Device>>(new Map());
  #sites = $state.raw<ReadonlyMap<string, Site>>(new Map());
  readonly #newDevices = new Map<string, Device | null>();
  readonly #newSites = new Map<string, Site | null>();
  #newLogs: LogEntry[] = [];
  #newSummary: Summary | null = null;
  readonly #newJobs = new Map<string, Job>();

  readonly #source: LiveSource;
  readonly #watchers = new Map<string, Set<StatusListener>>();
  #socket: WebSocket | null = null;
  /** Counts starts and stops, so that what an earlier run awaited changes nothing. */
  #run = 0;
  #attempt = 0;
  #sequence: number | null = null;
  /** What came while a load was under way, to be played again over what it brought. */
  #whileLoading: LiveMessage[] | null = null;
  #loadAgain = false;
  /** An attempt to come back is under way. */
  #trying = false;
  #loadedAt = 0;
  #retryAt = 0;
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #countdownTimer: ReturnType<typeof setInterval> | undefined;
  #resyncTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(source: LiveSource) {
    this.#source = source;
  }

  get devices(): ReadonlyMap<string, Device> {
    return this.#devices;
  }

  get sites(): ReadonlyMap<string, Site> {
    return this.#sites;
  }

  device(id: string): Device | undefined {
    return this.#devices.get(id);
  }

  site(id: string): Site | undefined {
    return this.#sites.get(id);
  }

  /** What is on the screen is not known to be current. */
  get stale(): boolean {
    return this.state !== 'live';
  }

  start(): void {
    if (this.state !== 'off') return;
    this.#run += 1;
    this.#attempt = 0;
    this.state = 'connecting';
    if (typeof document !== 'undefined') {
      addEventListener('online', this.retryNow);
      document.addEventListener('visibilitychange', this.#onVisible);
    }
    void this.#connect();
  }

  /** Ends the connection and forgets the picture: after a logout nothing may stay. */
  stop(): void {
    this.#run += 1;
    this.#hangUp();
    this.#clearTimers();
    if (typeof document !== 'undefined') {
      removeEventListener('online', this.retryNow);
      document.removeEventListener('visibilitychange', this.#onVisible);
    }
    this.state = 'off';
    this.#trying = false;
    this.loaded = false;
    this.heardAt = null;
    this.summary = null;
    this.vault = null;
    this.logs = [];
    this.jobs = [];
    this.#newJobs.clear();
    this.#replace([], []);
  }

  /** Does not wait for the countdown. */
  retryNow = (): void => {
    if (this.state !== 'waiting' || this.#trying) return;
    this.#clearTimers();
    this.#trying = true;
    this.countdown = 0;
    void this.#connect();
  };

  /**
   * Asks for the reports of a device, every 2 s while somebody watches it. Returns how to stop.
   * Of more than eight watched devices the last ones are heard only at their usual pace.
   */
  watch(id: string, listener: StatusListener): () => void {
    const listeners = this.#watchers.get(id) ?? new Set();
    const isNew = listeners.size === 0;
    this.#watchers.set(id, listeners.add(listener));
    if (isNew) this.#sendWatch();
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#watchers.get(id) !== listeners) return;
      this.#watchers.delete(id);
      this.#sendWatch();
    };
  }

  /** Shows at once what an answer of the API already told. The socket will say it again. */
  putDevice(device: Device): void {
    this.#newDevices.set(device.identification.id, device);
    this.#flush();
  }

  forgetDevices(ids: readonly string[]): void {
    for (const id of ids) this.#newDevices.set(id, null);
    this.#flush();
  }

  putSite(site: Site): void {
    this.#newSites.set(site.id, site);
    this.#flush();
  }

  forgetSite(id: string): void {
    this.#newSites.set(id, null);
    this.#flush();
  }

  putJob(job: Job): void {
    this.#newJobs.set(job.id, job);
    this.#flush();
  }

  /** Reads anew how the vault is: the socket says only that something about it has changed. */
  async readVault(): Promise<void> {
    const run = this.#run;
    const vault = await this.#source.vault();
    if (run === this.#run && vault) this.vault = vault;
  }

  readonly #onVisible = (): void => {
    if (!document.hidden) this.retryNow();
  };

  async #connect(): Promise<void> {
    const run = this.#run;
    try {
      const ticket = await this.#source.ticket();
      if (run !== this.#run) return;
      this.#listen(this.#source.socket(), ticket);
    } catch (error) {
      if (run !== this.#run) return;
      if (this.#source.isFinal(error)) this.#end();
      else this.#wait();
    }
  }

  #listen(socket: WebSocket, ticket: string): void {
    this.#socket = socket;
    this.#sequence = null;
    this.#expectWords();
    const current = () => this.#socket === socket;
    socket.onopen = () => current() && socket.send(JSON.stringify({ ticket }));
    socket.onmessage = (event: MessageEvent<unknown>) => {
      const message = current() ? readMessage(event.data) : null;
      if (message) this.#take(message);
    };
    socket.onclose = (event) => {
      if (!current()) return;
      this.#hangUp();
      if (event.code === LOGIN_ENDED) this.#end();
      else this.#wait();
    };
  }

  #take(message: LiveMessage): void {
    this.heardAt = Date.now();
    this.#expectWords();
    if (message.type === 'hello') {
      this.#sequence = message.sequence;
      this.#sendWatch();
      void this.#load();
      return;
    }
    if ('sequence' in message) {
      const gap = this.#sequence !== null && message.sequence > this.#sequence + 1;
      this.#sequence = message.sequence;
      if (gap) this.#resync();
    }
    this.#whileLoading?.push(message);
    this.#apply(message);
  }

  #apply(message: LiveMessage): void {
    switch (message.type) {
      case 'device':
        this.#newDevices.set(message.device.identification.id, message.device);
        break;
      case 'deviceRemoved':
        this.#newDevices.set(message.id, null);
        break;
      case 'site':
        this.#newSites.set(message.site.id, message.site);
        break;
      case 'siteRemoved':
        this.#newSites.set(message.id, null);
        break;
      case 'log':
        this.#newLogs.push(message.log);
        break;
      case 'summary':
        this.#newSummary = message.summary;
        break;
      case 'job':
        this.#newJobs.set(message.id, message);
        break;
      case 'vault': {
        const { sealed, made, reachable } = message;
        const change = { sealed, reachable, isPassphraseMissing: sealed, isVaultGenerated: made };
        if (this.vault) this.vault = { ...this.vault, ...change };
        void this.readVault();
        return;
      }
      case 'status':
        this.#watchers.get(message.id)?.forEach((listener) => listener(message.status));
        return;
      case 'resync':
        // It counts as one frame without saying its number.
        this.#sequence = null;
        this.#resync();
        return;
      case 'hello':
        return;
    }
    this.#flushSoon();
  }

  #resync(): void {
    if (this.#resyncTimer !== undefined) return;
    const wait = Math.max(0, this.#loadedAt + RESYNC_SPACING - Date.now());
    this.#resyncTimer = setTimeout(() => {
      this.#resyncTimer = undefined;
      void this.#load();
    }, wait);
  }

  /** Loads everything. One load at a time; a wish for another one during it is granted after it. */
  async #load(): Promise<void> {
    if (this.#whileLoading) {
      this.#loadAgain = true;
      return;
    }
    const socket = this.#socket;
    this.#whileLoading = [];
    try {
      const { devices, sites, logs, summary, vault, jobs } = this.#source;
      const loads = [devices(), sites(), logs(), summary(), vault(), jobs()] as const;
      const [allDevices, allSites, newestLogs, figures, vaultNow, allJobs] = await Promise.all(loads);
      if (socket !== this.#socket || socket === null) return;
      const missed = this.#whileLoading;
      this.#whileLoading = null;
      this.#newLogs = [];
      this.#replace(allDevices, allSites);
      this.logs = newestLogs;
      this.summary = figures;
      this.vault = vaultNow;
      this.#newJobs.clear();
      this.jobs = allJobs;
      missed.filter((message) => message.type !== 'status').forEach((message) => this.#apply(message));
      this.#flush();
      this.#loadedAt = Date.now();
      this.#attempt = 0;
      this.#trying = false;
      this.countdown = null;
      this.loaded = true;
      this.state = 'live';
    } catch (error) {
      if (socket !== this.#socket || socket === null) return;
      this.#hangUp();
      if (this.#source.isFinal(error)) this.#end();
      else this.#wait();
    } finally {
      if (socket === this.#socket) this.#whileLoading = null;
      if (this.#loadAgain && socket === this.#socket) {
        this.#loadAgain = false;
        this.#resync();
      }
    }
  }

  #replace(devices: Device[], sites: Site[]): void {
    this.#newDevices.clear();
    this.#newSites.clear();
    this.#devices = new Map(devices.map((device) => [device.identification.id, device]));
    this.deviceList = devices;
    this.#setSites(new Map(sites.map((site) => [site.id, site])));
  }

  #flushSoon(): void {
    // A large list is redrawn once a second, a small one as good as at once.
    this.#flushTimer ??= setTimeout(() => this.#flush(), this.#devices.size > 2_000 ? 1_000 : 120);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    if (this.#newDevices.size > 0) {
      this.#devices = merged(this.#devices, this.#newDevices);
      this.deviceList = [...this.#devices.values()];
    }
    if (this.#newSites.size > 0) this.#setSites(merged(this.#sites, this.#newSites));
    if (this.#newLogs.length > 0) {
      const known = new Set(this.logs.map((entry) => entry.id));
      const fresh = this.#newLogs.filter((entry) => !known.has(entry.id)).reverse();
      this.logs = [...fresh, ...this.logs].slice(0, LOGS_KEPT);
      this.#newLogs = [];
    }
    if (this.#newJobs.size > 0) {
      const known = this.jobs.map((job) => this.#newJobs.get(job.id) ?? job);
      known.forEach((job) => this.#newJobs.delete(job.id));
      this.jobs = [...[...this.#newJobs.values()].reverse(), ...known];
      this.#newJobs.clear();
    }
    if (this.#newSummary) this.summary = this.#newSummary;
    this.#newSummary = null;
  }

  #setSites(sites: ReadonlyMap<string, Site>): void {
    this.#sites = sites;
    this.siteList = [...sites.values()].sort((a, b) => a.identification.name.localeCompare(b.identification.name));
  }

  #sendWatch(): void {
    if (this.#socket?.readyState !== 1) return;
    const wish: LiveWish = { type: 'watch', ids: [...this.#watchers.keys()].slice(0, MOST_WATCHED) };
    this.#socket.send(JSON.stringify(wish));
  }

  #expectWords(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      this.#hangUp();
      this.#wait();
    }, SILENCE);
  }

  #hangUp(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#whileLoading = null;
    this.#loadAgain = false;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#resyncTimer);
    this.#resyncTimer = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #wait(): void {
    this.#trying = false;
    const delay = backoff(this.#attempt);
    this.#attempt += 1;
    this.state = 'waiting';
    this.#retryAt = Date.now() + delay;
    const count = () => {
      this.countdown = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000));
    };
    count();
    this.#countdownTimer = setInterval(count, 1000);
    this.#retryTimer = setTimeout(this.retryNow, delay);
  }

  #end(): void {
    this.stop();
    this.#source.loginEnded();
  }

  #clearTimers(): void {
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#resyncTimer);
    clearInterval(this.#countdownTimer);
    this.#flushTimer = undefined;
    this.#resyncTimer = undefined;
    this.countdown = null;
  }
}

/** A copy with the changes in it; null deletes. Empties the changes. */
function merged<T>(whole: ReadonlyMap<string, T>, changes: Map<string, T | null>): ReadonlyMap<string, T> {
  const result = new Map(whole);
  for (const [id, value] of changes) {
    if (value === null) result.delete(id);
    else result.set(id, value);
  }
  changes.clear();
  return result;
}
