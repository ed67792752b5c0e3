// The accounts, for admins.
import { api, ask } from './client';
import type { User } from './session.svelte';
import type { components } from './schema';

type Schemas = components['schemas'];

export type NewUser = Schemas['CreateUser'];
export type UserChange = Schemas['UserUpdate'];
/** What became of somebody who left. */
export type Offboarded = Schemas['Offboarded'];
export type AccountRules = Schemas['AccountRules'];

const of = (id: string) => ({ params: { path: { id } } });

export const readUsers = (): Promise<User[]> => ask(api.GET('/nms/api/v2.1/users'));
export const makeUser = (body: NewUser): Promise<User> => ask(api.POST('/nms/api/v2.1/users', { body }));
export const changeUser = (id: string, body: UserChange): Promise<User> => ask(api.PUT('/nms/api/v2.1/users/{id}', { ...of(id), body }));
export async function deleteUser(id: string): Promise<void> {
  await ask(api.DELETE('/nms/api/v2.1/users/{id}', of(id)));
}
export const offboard = (id: string): Promise<Offboarded> => ask(api.POST('/nms/api/v2.1/users/{id}/offboard', of(id)));

export const readRules = (): Promise<AccountRules> => ask(api.GET('/nms/api/v2.1/nms/accounts'));
export const changeRules = (body: AccountRules): Promise<AccountRules> => ask(api.PUT('/nms/api/v2.1/nms/accounts', { body }));
