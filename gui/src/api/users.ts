// The accounts, for admins.
import { later } from './later';
import type { User } from './session.svelte';

export type Role = 'superadmin' | 'admin' | 'guest';

export interface UserChange {
  username?: string;
  email?: string;
  firstName?: string;
  lastName?: string;
  role?: string;
  enabled?: boolean;
  /** False turns every second factor of the account off. */
  totpAuthEnabled?: false;
  aerie?: { newPassword?: string; forceChangePassword?: boolean };
}

export interface NewUser {
  username: string;
  email: string;
  password: string;
  firstName: string;
  lastName: string;
  role: string;
  aerie: { forceChangePassword: boolean };
}

/** What became of somebody who left. */
export interface Offboarded {
  logins: number;
  tokens: number;
  appKeys: number;
  deviceKeyRotated: boolean;
  secretsSeen: { at: string; what: string; about: string }[];
}

export interface AccountsSettings {
  twoFactorRequired: boolean;
}

export const readUsers = (): Promise<User[]> => later('get', '/users');
export const makeUser = (body: NewUser): Promise<User> => later('post', '/users', { body });
export const changeUser = (id: string, body: UserChange): Promise<User> => later('put', `/users/${id}`, { body });
export async function deleteUser(id: string): Promise<void> {
  await later('delete', `/users/${id}`);
}
export const offboard = (id: string): Promise<Offboarded> => later('post', `/users/${id}/offboard`);

export const readSettings = (): Promise<AccountsSettings> => later('get', '/nms/accounts');
export const changeSettings = (body: AccountsSettings): Promise<AccountsSettings> => later('put', '/nms/accounts', { body });
