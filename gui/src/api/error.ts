import { words } from '../words/errors';

/** A call that did not succeed: what happened, and what to do. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** The HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The appliance's word for programs, such as `StepUpRequired`; ours are `Unreachable`, `Aborted`, `Unexpected`, `NoToken`. */
    readonly code: string,
    message: string,
    /** Under this id the appliance's log has the cause. */
    readonly requestId?: string,
    /** Seconds to wait. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** Reads a refusal of the appliance. `body` is what stood in the answer, if it was JSON. */
export function refusal(response: Response, body: unknown): ApiError {
  const told = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const wait = Number(response.headers.get('retry-after'));
  return new ApiError(
    response.status,
    typeof told.error === 'string' ? told.error : response.statusText || 'Error',
    typeof told.message === 'string' ? told.message : words.answerUnknown(response.status),
    response.headers.get('x-request-id') ?? undefined,
    Number.isFinite(wait) && wait > 0 ? wait : undefined,
  );
}

/** Whatever was thrown, as something that can be shown. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const { name, message } = thrown instanceof Error ? thrown : { name: '', message: '' };
  if (name === 'AbortError') return new ApiError(0, 'Aborted', words.aborted);
  // `fetch` says nothing but TypeError when there is no answer.
  if (name === 'TimeoutError' || (name === 'TypeError' && /fetch|network|load failed/i.test(message))) {
    return new ApiError(0, 'Unreachable', words.unreachable);
  }
  return new ApiError(0, 'Unexpected', words.unexpected(message));
}
