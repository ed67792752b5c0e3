// The second factors of the own account: an app that shows codes, and the codes for the day that it is lost.
import { api, ask } from './client';
import { session, type User } from './session.svelte';
import type { components } from './schema';

export type TotpSecret = components['schemas']['NewTotpView'];

/** A fresh secret. The appliance keeps nothing of it until a code confirms it. */
export const newSecret = (): Promise<TotpSecret> => ask(api.GET('/nms/api/v2.1/user/totpauth'));

/** Confirms it. The account is as it is now; the recovery codes come this one time. */
export async function confirmTotp(totpAuthSecret: string, verificationCode: string, password: string): Promise<{ user: User; codes: string[] }> {
  const body = { password, verificationCode, totpAuthEnabled: true, totpAuthSecret };
  const user = await ask(api.PUT('/nms/api/v2.1/user/totpauth', { body }));
  return { user, codes: user.aerie.recoveryCodes ?? [] };
}

export async function turnTotpOff(password: string): Promise<void> {
  session.know(await ask(api.PUT('/nms/api/v2.1/user/disabledtotpauth', { body: { password, totpAuthEnabled: false } })));
}

/** Ten new ones; the old ones are void. */
export async function newRecoveryCodes(): Promise<string[]> {
  return (await ask(api.POST('/nms/api/v2.1/user/recovery-codes'))).codes;
}
