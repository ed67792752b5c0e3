// Who did what, from where, when.
import { api, ask } from './client';
import type { components, paths } from './schema';

export type AuditEntry = components['schemas']['AuditEntry'];
export type AuditPage = components['schemas']['AuditPage'];
export type AuditWish = NonNullable<paths['/nms/api/v2.1/nms/audit']['get']['parameters']['query']>;

export const readAudit = (query: AuditWish): Promise<AuditPage> => ask(api.GET('/nms/api/v2.1/nms/audit', { params: { query } }));
