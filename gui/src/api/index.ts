export { readAccount, logIn, logOut } from './account';
export { api, ask, askWhole } from './client';
export { ApiError, asApiError } from './error';
export { session, type User } from './session.svelte';
export { StepUpDeclined, stepUp, withStepUp } from './step-up.svelte';
