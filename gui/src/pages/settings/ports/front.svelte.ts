// What the page knows of the front door: ports, certificate, security. Each is read by itself, so that one that is
// missing hides no other.
import { asApiError } from '../../../api/error';
import { readCertificate, type CertificateView } from '../../../api/certificate';
import { changePorts, confirmPorts, readPorts, revertPorts, type PortSettings, type PortsView } from '../../../api/ports';
import { readSecurity, type SecurityView } from '../../../api/security';
import { withStepUp } from '../../../api/step-up.svelte';

/** How a change that waited ended. */
export type Ending =
  /** It holds, and this page's address is not among the new ones. */
  | { kind: 'elsewhere'; at: string[] }
  | { kind: 'rolledBack' }
  | { kind: 'quiet'; at: string[] };

/** A change of ours that waits to be confirmed. */
interface Change {
  code: string;
  wanted: PortSettings;
  /** By this browser's clock. */
  until: number;
  at: string[];
}

const same = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((one) => b.includes(one));

export class Front {
  ports = $state.raw<PortsView | null>(null);
  portsError = $state.raw<unknown>(null);
  /** `undefined` until it was read. */
  certificate = $state.raw<CertificateView | undefined>();
  certificateError = $state.raw<unknown>(null);
  security = $state.raw<SecurityView | null>(null);
  securityError = $state.raw<unknown>(null);
  change = $state.raw<Change | null>(null);
  ending = $state.raw<Ending | null>(null);
  /** All was asked for, so that nothing on the page moves when one answer comes after the other. */
  settled = $state(false);
  #reading = false;

  /** Something goes on by itself: then it is read again from time to time. */
  readonly underWay = $derived(Boolean(this.ports?.move ?? this.ports?.pending) || this.certificate?.acme?.state === 'working');

  async readAll(): Promise<void> {
    await Promise.all([this.readPorts(), this.readCertificate(), this.readSecurity()]);
    this.settled = true;
  }

  async readPorts(): Promise<void> {
    try {
      this.ports = await readPorts();
      this.portsError = null;
    } catch (error) {
      this.portsError = error;
    }
  }

  async readCertificate(): Promise<void> {
    try {
      this.certificate = await readCertificate();
      this.certificateError = null;
    } catch (error) {
      this.certificateError = error;
    }
  }

  async readSecurity(): Promise<void> {
    try {
      this.security = await readSecurity();
      this.securityError = null;
    } catch (error) {
      this.securityError = error;
    }
  }

  /** What goes on by itself, once more. An answer that does not come changes nothing on the page. */
  async follow(): Promise<void> {
    if (this.#reading || this.change) return;
    this.#reading = true;
    const before = { ports: this.ports, certificate: this.certificate };
    try {
      const [ports, certificate] = await Promise.all([readPorts(), readCertificate()]);
      // What was changed meanwhile is newer than the answer.
      if (this.ports === before.ports) this.ports = ports;
      if (this.certificate === before.certificate) this.certificate = certificate;
    } catch {
      // The frame's banner says that the appliance cannot be reached.
    } finally {
      this.#reading = false;
    }
  }

  /** Changes a part of the settings and keeps the rest as it is now. Answers whether it holds already. */
  async apply(part: Partial<PortSettings>, { passkeysLost = false } = {}): Promise<boolean> {
    this.ending = null;
    const { ports, code } = await withStepUp(async () => {
      // Another person may have changed the rest since this page was loaded.
      const { applied } = await readPorts();
      return await changePorts({ ...applied, ...part }, passkeysLost);
    });
    this.ports = ports;
    const { pending } = ports;
    if (code === null || !pending) return true;
    const until = Date.now() + pending.secondsLeft * 1000;
    this.change = { code, wanted: pending.wanted, until, at: pending.confirmAt };
    return await this.#confirmHere(code);
  }

  /** Where this page's own address stays, coming by it is proof enough. The appliance knows by which one we came. */
  async #confirmHere(code: string): Promise<boolean> {
    try {
      await confirmPorts(code);
    } catch {
      return false;
    }
    this.change = null;
    await this.readPorts();
    return true;
  }

  /** Whether somebody came by a new address meanwhile, or the time is over. */
  async look(): Promise<void> {
    const { change } = this;
    if (!change || this.#reading) return;
    this.#reading = true;
    try {
      const ports = await readPorts();
      if (this.change !== change) return;
      this.ports = ports;
      if (ports.pending) return;
      this.change = null;
      const holds = same(ports.applied.https, change.wanted.https);
      this.ending = holds ? { kind: 'elsewhere', at: change.at } : { kind: 'rolledBack' };
    } catch (error) {
      // An address that has closed does not answer.
      if (this.change !== change || asApiError(error).status !== 0) return;
      this.change = null;
      if (this.ports) this.ports = { ...this.ports, pending: null };
      this.ending = { kind: 'quiet', at: change.at };
    } finally {
      this.#reading = false;
    }
  }

  async undo(): Promise<void> {
    await withStepUp(revertPorts);
    this.change = null;
    await this.readPorts();
  }
}
