// The real daemon on free ports with its own data, and real agents: what every browser test runs against.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const binaries = process.env["AERIE_BINARIES"] ?? resolve(import.meta.dirname, "../../target/debug");

export const account = { name: "owner", password: "seven herons over Lake Orta" };

/** Asks until there is an answer; gives up after a minute. */
export async function until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 60_000;
  for (;;) {
    const found = await probe().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited a minute in vain: ${what}`);
    await pause(50);
  }
}

type Answer = { status: number; headers: Record<string, unknown>; body: string };

function ask(url: string, method = "GET", body?: unknown, token?: string): Promise<Answer> {
  return new Promise((done, fail) => {
    const headers: Record<string, string> = {};
    const text = body === undefined ? undefined : JSON.stringify(body);
    if (text !== undefined) {
      headers["content-type"] = "application/json";
      // Without it the body of a DELETE is left out.
      headers["content-length"] = String(Buffer.byteLength(text));
    }
    if (token !== undefined) headers["x-auth-token"] = token;
    // The certificate is the appliance's own; these calls stay on this machine.
    const call = request(url, { method, headers, rejectUnauthorized: false, agent: false }, (answer) => {
      let read = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => (read += part));
      answer.on("end", () => done({ status: answer.statusCode ?? 0, headers: answer.headers, body: read }));
    });
    call.on("error", fail);
    call.end(text);
  });
}

export class Appliance {
  private agents: ChildProcess[] = [];
  private token: string | undefined;
  private readonly folder: string;
  private readonly daemon: ChildProcess;
  readonly url: string;

  private constructor(folder: string, daemon: ChildProcess, url: string) {
    this.folder = folder;
    this.daemon = daemon;
    this.url = url;
  }

  static async start(): Promise<Appliance> {
    const folder = await mkdtemp(join(tmpdir(), "aerie-browser-"));
    const data = join(folder, "data");
    await mkdir(data);
    const config = join(folder, "aerie.toml");
    const listen = 'listen = ["127.0.0.1:0"]';
    await writeFile(config, `data_dir = "${data}"\n[http]\n${listen}\n[https]\n${listen}\n`);
    const log = openSync(join(folder, "aerie.log"), "a");
    const daemon = spawn(join(binaries, "aerie"), ["serve", "--config", config], { stdio: ["ignore", log, log] });
    const url = await until("the daemon is healthy", async () => {
      const text = await readFile(join(data, "addresses.json"), "utf8");
      const port: string = JSON.parse(text).https[0].split(":").at(-1);
      const found = `https://localhost:${port}`;
      return (await ask(`${found}/healthz`)).status === 200 ? found : undefined;
    });
    return new Appliance(folder, daemon, url);
  }

  async setupCode(): Promise<string> {
    return (await readFile(join(this.folder, "data", "setup-code"), "utf8")).trim();
  }

  /** The API with the owner's token. */
  async api(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await ask(`${this.url}/nms/api/v2.1${path}`, method, body, this.token);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    const token = answer.headers["x-auth-token"];
    if (typeof token === "string") this.token = token;
    return answer.body === "" ? undefined : JSON.parse(answer.body);
  }

  /** A call of the API with any token. */
  get(path: string, token: string): Promise<Answer> {
    return ask(`${this.url}/nms/api/v2.1${path}`, "GET", undefined, token);
  }

  /** From now on the calls of `api` are those of who is logged in on this page. */
  async follow(page: { evaluate: (read: () => string | null) => Promise<string | null> }): Promise<void> {
    const token = await page.evaluate(() => localStorage.getItem("aerie.login"));
    if (token === null) throw new Error("nobody is logged in on this page");
    this.token = token;
  }

  /** Makes the first account without the wizard. */
  async setUp(): Promise<void> {
    await this.api("POST", "/nms/setup", {
      setupCode: await this.setupCode(), hostname: "localhost", useLetsEncrypt: false, eulaConfirmed: true,
      user: { username: account.name, email: "owner@example.net", timezone: "Europe/Vienna", country: 40, password: account.password },
    });
  }

  async logIn(): Promise<void> {
    await this.api("POST", "/user/login", { username: account.name, password: account.password });
  }

  /** A crowd of simulated devices with this device key; `faults` happen once each, to one device after the other. */
  async startCrowd(key: string, devices: number, faults: readonly string[] = []): Promise<void> {
    const file = join(this.folder, "crowd-key");
    await writeFile(file, key);
    const log = openSync(join(this.folder, "crowd.log"), "a");
    const wanted = ["--key-file", file, "--devices", String(devices)];
    if (faults.length > 0) wanted.push("--faults", faults.join(","));
    this.agents.push(spawn(join(binaries, "aerie-simulator"), wanted, { stdio: ["ignore", log, log] }));
  }

  /** A real agent with this device key; its terminal is the present user's shell. */
  async startAgent(key: string): Promise<void> {
    const home = join(this.folder, `agent-${this.agents.length}`);
    await mkdir(home);
    await writeFile(join(home, "key"), key);
    const policy = `[terminal]\nmode = "shell"\nuser = "${userInfo().username}"\n[commands]\nrestart = false\n`;
    await writeFile(join(home, "policy.toml"), policy);
    const log = openSync(join(home, "agent.log"), "a");
    const state = ["--state", join(home, "state"), "--key-file", join(home, "key"), "--policy", join(home, "policy.toml")];
    this.agents.push(spawn(join(binaries, "aerie-agent"), ["run", ...state], { stdio: ["ignore", log, log] }));
  }

  /** One enrolled device, without the GUI. Returns its id. */
  async enrolDevice(): Promise<string> {
    const key = (await this.api("GET", "/nms/connection")) as string;
    await this.startAgent(key);
    type Device = { identification: { id: string; authorized: boolean }; overview: { status: string } };
    const list = async () => (await this.api("GET", "/devices")) as Device[];
    const waiting = await until("a device knocks", async () => (await list()).find((one) => !one.identification.authorized));
    const site = (await this.api("POST", "/sites", { name: "Hilltop" })) as { id: string };
    const id = waiting.identification.id;
    await this.api("POST", `/devices/${id}/authorize`, { siteId: site.id });
    await until("it is active", async () => (await list()).find((one) => one.overview.status === "active"));
    return id;
  }

  /** The id of the one device there is. */
  async onlyDevice(): Promise<string> {
    await this.logIn();
    const devices = (await this.api("GET", "/devices")) as { identification: { id: string } }[];
    const only = devices[0];
    if (devices.length !== 1 || only === undefined) throw new Error(`${devices.length} devices instead of one`);
    return only.identification.id;
  }

  /** Until they are woken they neither answer nor leave. */
  freezeAgents(): void {
    for (const agent of this.agents) agent.kill("SIGSTOP");
  }

  wakeAgents(): void {
    for (const agent of this.agents) agent.kill("SIGCONT");
  }

  /** A port that it listens on. */
  async port(of: "http" | "https"): Promise<number> {
    const text = await readFile(join(this.folder, "data", "addresses.json"), "utf8");
    return Number(JSON.parse(text)[of][0].split(":").at(-1));
  }

  async stop(): Promise<void> {
    this.wakeAgents();
    for (const child of [...this.agents, this.daemon]) {
      const ended = new Promise((done) => child.once("exit", done));
      if (child.exitCode === null && child.kill("SIGTERM")) await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
