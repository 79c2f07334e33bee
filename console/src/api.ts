/** What the gateway answered with when it refused: always a fact and a next step. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;
  readonly detail: string | undefined;
  constructor(status: number, error: { code?: string; message?: string; hint?: string; detail?: string }) {
    super(error.message ?? 'The gateway refused, and did not say why.');
    this.name = 'ApiError';
    this.status = status;
    this.code = error.code ?? 'unknown';
    this.hint = error.hint ?? '';
    this.detail = error.detail;
  }
}

/** The gateway did not answer at all. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super('The gateway does not answer.', { cause });
    this.name = 'Unreachable';
  }
}

let csrf = '';

/** What only a page of the gateway's own can know; sent with all that changes something. */
export function rememberCsrf(token: string): void {
  csrf = token;
}

export function get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return ask<Answer>(path, signal === undefined ? {} : { signal });
}

/** How the person shows anew who they are, where the gateway asks for it. */
let showWho: () => Promise<void> = () => Promise.reject(new Error('nobody is asked yet'));

export function showWhoBy(way: () => Promise<void>): void {
  showWho = way;
}

/** Where the gateway first wants to know who is there, the device is asked, and it is sent once more. */
export async function send<Answer>(path: string, body: unknown = {}, method = 'POST'): Promise<Answer> {
  try {
    return await sendOnce<Answer>(path, body, method);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'step_up_needed') throw error;
    try {
      await showWho();
    } catch (cause) {
      // What the gateway said tells the other ways; what the device said would not.
      throw Object.assign(error, { cause });
    }
    return sendOnce<Answer>(path, body, method);
  }
}

function sendOnce<Answer>(path: string, body: unknown, method: string): Promise<Answer> {
  return ask<Answer>(path, {
    method,
    headers: { 'content-type': 'application/json', 'x-countersign-csrf': csrf },
    body: JSON.stringify(body),
  });
}

async function ask<Answer>(path: string, init: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Unreachable(error);
  }
  const text = await response.text();
  const answer = parsed(text);
  if (response.ok) return answer as Answer;
  const body = answer as { error?: ConstructorParameters<typeof ApiError>[1]; login?: unknown } | null;
  throw Object.assign(new ApiError(response.status, body?.error ?? {}), { login: body?.login });
}

function parsed(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
