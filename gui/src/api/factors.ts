// The second factors of the own account: an app that shows codes, and the codes for the day that it is lost.
import { later } from './later';
import { session, type User } from './session.svelte';

export interface TotpSecret {
  base32: string;
  otpauth_url: string;
}

/** A fresh secret. The appliance keeps nothing of it until a code confirms it. */
export const newSecret = (): Promise<TotpSecret> => later('get', '/user/totpauth');

/** Confirms it. The account is as it is now; the recovery codes come this one time. */
export async function confirmTotp(secret: string, verificationCode: string, password: string): Promise<{ user: User; codes: string[] }> {
  const body = { password, verificationCode, totpAuthEnabled: true, totpAuthSecret: secret };
  const user = await later<User>('put', '/user/totpauth', { body });
  return { user, codes: user.aerie.recoveryCodes ?? [] };
}

export async function turnTotpOff(password: string): Promise<void> {
  session.know(await later<User>('put', '/user/disabledtotpauth', { body: { password, totpAuthEnabled: false } }));
}

/** Ten new ones; the old ones are void. */
export async function newRecoveryCodes(): Promise<string[]> {
  return (await later<{ codes: string[] }>('post', '/user/recovery-codes')).codes;
}
