// The certificate of the appliance. The shapes stand here until the appliance describes these calls itself.
import type { Client } from 'openapi-fetch';
import { api, ask } from './client';
import { asApiError } from './error';

export interface CertificateInfo {
  subject: string;
  names: string[];
  issuer: string;
  notBefore: string;
  notAfter: string;
  serial: string;
  sha256: string;
  key: string;
  selfSigned: boolean;
}

export type Challenge = 'http-01' | 'tls-alpn-01';
export type CertificateMode = 'selfSigned' | 'acme' | 'own';

export interface AcmeError {
  at: string;
  check: 'directory' | 'dns' | 'http' | 'tls' | 'rateLimit' | 'account' | 'caa' | 'other';
  /** What happened, what to do, and what the CA said. */
  what: string;
  todo: string;
  detail: string;
}

export interface AcmeState {
  names: string[];
  email: string | null;
  directory: string;
  challenge: Challenge;
  hasExtraRoot: boolean;
  state: 'working' | 'valid' | 'failed';
  renewsAt: string | null;
  nextAttempt: string | null;
  lastSuccess: string | null;
  lastError: AcmeError | null;
}

export interface OwnState {
  source: 'upload' | 'file';
  chainFile: string | null;
  keyFile: string | null;
  warning: { daysLeft: number } | null;
  fileError: string | null;
}

export interface CertificateView {
  mode: CertificateMode;
  untrusted: boolean;
  /** One for each chain: ECDSA and, where given, RSA. */
  shown: CertificateInfo[];
  acme: AcmeState | null;
  own: OwnState | null;
  port80: { open: boolean; reason: string };
}

export interface AcmeRequest {
  names: string[];
  email?: string;
  directory?: string;
  challenge?: Challenge;
  extraRoot?: string | null;
  termsAgreed: boolean;
}

export interface NameCheck {
  name: string;
  check: 'dns' | 'http';
  ok: boolean;
  what: string;
  todo: string | null;
}

export interface OwnRequest {
  chain: string;
  key: string;
  rsaChain?: string;
  rsaKey?: string;
}

export interface OwnCheck {
  shown: CertificateInfo[];
  notes: string[];
}

interface Answers<Data> {
  responses: { 200: { headers: Record<string, unknown>; content: { 'application/json': Data } } };
}
interface Takes<Body, Data> extends Answers<Data> {
  requestBody: { content: { 'application/json': Body } };
}
interface Paths {
  '/nms/api/v2.1/nms/certificate': { get: Answers<CertificateView> };
  '/nms/api/v2.1/nms/certificate/self-signed': { put: Takes<Record<string, never>, CertificateView> };
  '/nms/api/v2.1/nms/certificate/acme': { put: Takes<AcmeRequest, CertificateView> };
  '/nms/api/v2.1/nms/certificate/acme/retry': { post: Answers<unknown> };
  '/nms/api/v2.1/nms/certificate/acme/check': { post: Takes<{ names: string[] }, { checks: NameCheck[] }> };
  '/nms/api/v2.1/nms/certificate/own': { put: Takes<OwnRequest, CertificateView> };
  '/nms/api/v2.1/nms/certificate/own/check': { post: Takes<OwnRequest, OwnCheck> };
  '/nms/api/v2.1/nms/certificate/own-files': { put: Takes<{ chainFile: string; keyFile: string }, CertificateView> };
}
const front = api as unknown as Client<Paths>;

/** Null where this appliance does not have the call. */
async function orMissing<Data>(answer: Promise<Data>): Promise<Data | null> {
  try {
    return await answer;
  } catch (error) {
    if (asApiError(error).status === 404) return null;
    throw error;
  }
}

export const readCertificate = (): Promise<CertificateView | null> =>
  orMissing(ask(front.GET('/nms/api/v2.1/nms/certificate')));

export const useSelfSigned = (): Promise<CertificateView> =>
  ask(front.PUT('/nms/api/v2.1/nms/certificate/self-signed', { body: {} }));

export const useAcme = (body: AcmeRequest): Promise<CertificateView> =>
  ask(front.PUT('/nms/api/v2.1/nms/certificate/acme', { body }));

export async function retryAcme(): Promise<void> {
  await ask(front.POST('/nms/api/v2.1/nms/certificate/acme/retry'));
}

/** Asks from outside's point of view whether a CA would find these names here. */
export const checkNames = async (names: string[]): Promise<NameCheck[]> =>
  (await ask(front.POST('/nms/api/v2.1/nms/certificate/acme/check', { body: { names } }))).checks;

export const useOwn = (body: OwnRequest): Promise<CertificateView> =>
  ask(front.PUT('/nms/api/v2.1/nms/certificate/own', { body }));

/** What would be shown to browsers; nothing is changed. */
export const checkOwn = (body: OwnRequest): Promise<OwnCheck> =>
  ask(front.POST('/nms/api/v2.1/nms/certificate/own/check', { body }));

export const useOwnFiles = (body: { chainFile: string; keyFile: string }): Promise<CertificateView> =>
  ask(front.PUT('/nms/api/v2.1/nms/certificate/own-files', { body }));
