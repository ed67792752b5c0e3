// Who did what, from where, when.
import { later } from './later';

export interface AuditEntry {
  id: string;
  at: string;
  who: string;
  /** Absent: the account is gone. */
  whoName?: string | null;
  what: string;
  about: string;
  address?: string | null;
}

export interface AuditPage {
  items: AuditEntry[];
  pagination: { total: number; count: number; page: number; pages: number };
  /** Whether every entry is as it was written. */
  aggregation: { chain: { whole: boolean; brokenAt?: string } };
}

export interface AuditWish {
  count: number;
  page: number;
  who?: string;
  what?: string;
}

export const readAudit = (query: AuditWish): Promise<AuditPage> => later('get', '/nms/audit', { query: { ...query } });
