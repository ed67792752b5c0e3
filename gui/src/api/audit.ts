// Who did what, from where, when.
import { later } from './later';

export interface AuditEntry {
  id: string;
  at: string;
  who: string;
  whoName: string;
  what: string;
  about: string;
  address?: string | null;
}

export interface AuditPage {
  items: AuditEntry[];
  pagination: { total: number; count: number; page: number; pages: number };
}

export interface AuditWish {
  count: number;
  page: number;
  who?: string;
  what?: string;
}

export const readAudit = (query: AuditWish): Promise<AuditPage> => later('get', '/nms/audit', { query: { ...query } });
