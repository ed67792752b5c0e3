// A certificate authority that somebody else wrote: pebble, with a name server that knows every name as 127.0.0.1.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./appliance.ts";

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const place = server.address();
      server.close(() => (typeof place === "object" && place ? done(place.port) : fail(new Error("no port"))));
    });
  });
}

function listens(port: number): Promise<true> {
  return new Promise((done, fail) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", fail);
  });
}

export class Pebble {
  private readonly folder: string;
  private readonly processes: ChildProcess[];
  readonly directory: string;
  /** What to trust when talking to it. */
  readonly root: string;

  private constructor(folder: string, processes: ChildProcess[], directory: string, root: string) {
    this.folder = folder;
    this.processes = processes;
    this.directory = directory;
    this.root = root;
  }

  /** Looks for HTTP-01 at this port, and takes two seconds over it, so that there is something to see. */
  static async start(httpPort: number, tlsPort: number): Promise<Pebble> {
    const folder = mkdtempSync(join(tmpdir(), "aerie-pebble-"));
    const file = (name: string): string => join(folder, name);
    const openssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", ...curve, "-days", "9", "-subj", "/CN=Root of the test", "-keyout", "root.key", "-out", "root.pem");
    openssl("req", ...curve, "-subj", "/CN=pebble", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "asked.pem");
    const signed = ["-CA", "root.pem", "-CAkey", "root.key", "-days", "9", "-copy_extensions", "copy"];
    openssl("x509", "-req", "-in", "asked.pem", ...signed, "-out", "cert.pem");
    const [port, names, management, namesManagement] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const pebble = {
      listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${management}`,
      certificate: file("cert.pem"), privateKey: file("key.pem"), httpPort, tlsPort,
    };
    writeFileSync(file("config.json"), JSON.stringify({ pebble }));
    const off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
    const places = ["-dns01", `127.0.0.1:${names}`, "-management", `127.0.0.1:${namesManagement}`];
    const env = { ...process.env, PEBBLE_VA_SLEEPTIME: "2" };
    const processes = [
      spawn("pebble-challtestsrv", [...off, "-defaultIPv4", "127.0.0.1", ...places], { stdio: "ignore" }),
      spawn("pebble", ["-config", file("config.json"), "-dnsserver", `127.0.0.1:${names}`], { stdio: "ignore", env }),
    ];
    await until("pebble listens", () => listens(port));
    return new Pebble(folder, processes, `https://127.0.0.1:${port}/dir`, readFileSync(file("root.pem"), "utf8"));
  }

  async stop(): Promise<void> {
    for (const child of this.processes.splice(0)) {
      const ended = new Promise((done) => child.once("exit", done));
      if (child.exitCode === null && child.kill("SIGTERM")) await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
