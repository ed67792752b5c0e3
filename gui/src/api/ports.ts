// The ports of the appliance.
import { api, ask } from './client';
import type { components } from './schema';

type Body = components['schemas']['PortsBody'];
export type PortSettings = Required<Omit<Body, 'confirmPasskeysLost'>>;
export type Listener = components['schemas']['ListenerView'];

/** Devices that are learning a new address. */
export type Move = components['schemas']['MoveView'];

export interface Pending {
  wanted: PortSettings;
  confirmAt: string[];
  secondsLeft: number;
}

export interface PortsView {
  applied: PortSettings;
  source: string;
  listeners: Listener[];
  pending: Pending | null;
  move: Move | null;
}

function settings(body: Body): PortSettings {
  return { inform: [], publicHost: null, publicPort: null, informHost: null, informPort: null, trustedProxies: [], ...body };
}

function view({ applied, source, listeners, pending, move }: components['schemas']['PortsView']): PortsView {
  return {
    applied: settings(applied),
    source,
    listeners,
    pending: pending ? { ...pending, wanted: settings(pending.wanted) } : null,
    move: move ?? null,
  };
}

export async function readPorts(): Promise<PortsView> {
  return view(await ask(api.GET('/nms/api/v2.1/nms/ports')));
}

/**
 * Opens what is wanted. With a code it has to be confirmed at one of the new addresses, without it holds already.
 * A new name under which passkeys are worth nothing is refused unless `confirmPasskeysLost`.
 */
export async function changePorts(wanted: PortSettings, confirmPasskeysLost: boolean): Promise<{ ports: PortsView; code: string | null }> {
  const body = { ...wanted, ...(confirmPasskeysLost ? { confirmPasskeysLost } : {}) };
  const { ports, confirmCode } = await ask(api.PUT('/nms/api/v2.1/nms/ports', { body }));
  return { ports: view(ports), code: confirmCode ?? null };
}

/** Needs no login: whoever comes by a new address with the code may. */
export async function confirmPorts(code: string): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/nms/ports/confirm', { body: { code } }));
}

export async function revertPorts(): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/nms/ports/revert'));
}

export async function closeOldPorts(): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/nms/ports/close-old'));
}
