// The certificate of the appliance.
import { api, ask } from './client';
import type { components } from './schema';

type Schemas = components['schemas'];

export type CertificateInfo = Schemas['CertificateInfo'];
export type Challenge = Schemas['AcmeChallenge'];
export type CertificateMode = Schemas['CertificateMode'];
export type AcmeError = Schemas['AcmeError'];
export type AcmeState = Required<Schemas['AcmeView']>;
export type OwnState = Required<Schemas['OwnView']>;
export type AcmeRequest = Schemas['AcmeRequest'];
export type NameCheck = Schemas['NameCheckView'];
export type OwnRequest = Schemas['OwnRequest'];
export type OwnCheck = Schemas['OwnVerdict'];

export interface CertificateView {
  mode: CertificateMode;
  untrusted: boolean;
  /** One for each chain: ECDSA and, where given, RSA. */
  shown: CertificateInfo[];
  acme: AcmeState | null;
  own: OwnState | null;
  port80: Schemas['Port80View'];
}

function acme(view: Schemas['AcmeView']): AcmeState {
  return { email: null, lastError: null, lastSuccess: null, nextAttempt: null, renewsAt: null, ...view };
}

function own(view: Schemas['OwnView']): OwnState {
  return { chainFile: null, keyFile: null, warning: null, fileError: null, ...view };
}

function whole(view: Schemas['CertificateView']): CertificateView {
  return { ...view, acme: view.acme ? acme(view.acme) : null, own: view.own ? own(view.own) : null };
}

export async function readCertificate(): Promise<CertificateView> {
  return whole(await ask(api.GET('/nms/api/v2.1/nms/certificate')));
}

export async function useSelfSigned(): Promise<CertificateView> {
  return whole(await ask(api.PUT('/nms/api/v2.1/nms/certificate/self-signed', { body: {} })));
}

export async function useAcme(body: AcmeRequest): Promise<CertificateView> {
  return whole(await ask(api.PUT('/nms/api/v2.1/nms/certificate/acme', { body })));
}

export async function retryAcme(): Promise<void> {
  await ask(api.POST('/nms/api/v2.1/nms/certificate/acme/retry'));
}

/** Asks from outside's point of view whether a CA would find these names here. */
export async function checkNames(names: string[]): Promise<NameCheck[]> {
  return (await ask(api.POST('/nms/api/v2.1/nms/certificate/acme/check', { body: { names } }))).checks;
}

export async function useOwn(body: OwnRequest): Promise<CertificateView> {
  return whole(await ask(api.PUT('/nms/api/v2.1/nms/certificate/own', { body })));
}

/** What would be shown to browsers; nothing is changed. */
export async function checkOwn(body: OwnRequest): Promise<OwnCheck> {
  return ask(api.POST('/nms/api/v2.1/nms/certificate/own/check', { body }));
}

export async function useOwnFiles(body: Schemas['OwnFilesRequest']): Promise<CertificateView> {
  return whole(await ask(api.PUT('/nms/api/v2.1/nms/certificate/own-files', { body })));
}
