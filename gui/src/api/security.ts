// Whom to tell of a weakness, and how far browsers insist on HTTPS.
import { api, ask } from './client';
import type { components } from './schema';

export type SecurityView = components['schemas']['SecurityView'];
export type SecurityChange = Required<components['schemas']['SecurityBody']>;

export const readSecurity = (): Promise<SecurityView> => ask(api.GET('/nms/api/v2.1/nms/security'));

export const changeSecurity = (body: SecurityChange): Promise<SecurityView> => ask(api.PUT('/nms/api/v2.1/nms/security', { body }));
