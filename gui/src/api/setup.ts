import { api, ask } from './client';
import type { components } from './schema';

export type SetupState = components['schemas']['SetupState'];

/** How far the set-up is, and what stands in its way. Needs no login. */
export const readSetup = (): Promise<SetupState> => ask(api.GET('/nms/api/v2.1/nms/setup'));
