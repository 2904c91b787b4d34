import type { Problem } from "./types";

/** A call that did not succeed. `status` 0: the server was not reached. `code` is for programs, `message` for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

export interface Call {
  query?: Query;
  /** JSON, unless it is a Blob or a string, which goes as it is with `type`. */
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Outlives the page: what is sent while it is left. */
  keepalive?: boolean;
}

let csrf = "";
const listeners = new Set<() => void>();

/** Set the token that goes back with every change; the session query calls it. */
export function setCsrf(token: string): void {
  csrf = token;
}

export function csrfToken(): string {
  return csrf;
}

/** Call `listener` whenever the server says that nobody is signed in any more; returns the way to stop. */
export function onSignedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Return the address of a resource: `at("studies", uid, "series")` escapes each part. */
export function at(...parts: (string | number)[]): string {
  return `/api/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}

/** Return `path` with its query; lists repeat their name, empty values are left out. */
export function withQuery(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) for (const one of value) search.append(name, one);
    else search.append(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** Return the server's own words for a failed answer, or plain ones where it said nothing readable. */
export async function problem(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as Partial<Problem> & { detail?: unknown };
    if (body.error) return new ApiError(response.status, body.error.code, body.error.message);
    if (Array.isArray(body.detail)) {
      const said = (body.detail as { loc?: unknown[]; msg?: string }[]).map(
        (one) => `${(one.loc ?? []).slice(1).join(".")}: ${one.msg ?? "not valid"}`,
      );
      return new ApiError(response.status, "invalid", said.join("; "));
    }
    if (typeof body.detail === "string") return new ApiError(response.status, "failed", body.detail);
  } catch {
    // Not JSON: a proxy's page, or nothing at all.
  }
  const words: Record<number, string> = {
    413: "The file is larger than the server takes.",
    429: "Too many tries. Wait a minute and try again.",
    502: "The server is not running.",
    503: "The server is busy. Try again in a moment.",
  };
  return new ApiError(response.status, "failed", words[response.status] ?? `The server answered ${response.status}.`);
}

/** Return whether a failed call means that the session has ended (and not that a password was mistyped, or a proof is due). */
export function endsSession(error: ApiError): boolean {
  return error.status === 401 && !/^(wrong_password|proof_needed|oidc_)/.test(error.code);
}

async function once(method: string, path: string, call: Call): Promise<Response> {
  const headers = new Headers(call.headers);
  let body: BodyInit | undefined;
  if (call.body instanceof Blob || typeof call.body === "string") {
    body = call.body;
    headers.set("Content-Type", call.type ?? "application/octet-stream");
  } else if (call.body !== undefined) {
    body = JSON.stringify(call.body);
    headers.set("Content-Type", "application/json");
  }
  if (method !== "GET" && csrf) headers.set("X-CSRF-Token", csrf);
  if (!headers.has("Accept")) headers.set("Accept", "application/json");
  try {
    return await fetch(withQuery(path, call.query), {
      method,
      headers,
      body,
      signal: call.signal,
      keepalive: call.keepalive,
      credentials: "same-origin",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached. Your text is kept; try again in a moment.");
  }
}

/** Return the response of a call that succeeded; throw `ApiError` otherwise. A stale CSRF token is renewed once. */
export async function respond(method: string, path: string, call: Call = {}): Promise<Response> {
  let response = await once(method, path, call);
  if (response.status === 403 && method !== "GET") {
    const error = await problem(response.clone());
    if (error.code.includes("csrf")) {
      const session = await once("GET", "/api/session", { signal: call.signal });
      if (session.ok) setCsrf(((await session.json()) as { csrf: string }).csrf);
      response = await once(method, path, call);
    }
  }
  if (response.ok) return response;
  const error = await problem(response);
  if (endsSession(error) && path !== "/api/session") for (const listener of listeners) listener();
  throw error;
}

async function json<T>(method: string, path: string, call?: Call): Promise<T> {
  const response = await respond(method, path, call);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** The calls. `T` is what the server answers: a type of `types.ts`. */
export const api = {
  get: <T>(path: string, query?: Query, signal?: AbortSignal) => json<T>("GET", path, { query, signal }),
  post: <T>(path: string, body?: unknown, call?: Call) => json<T>("POST", path, { ...call, body }),
  put: <T>(path: string, body?: unknown, call?: Call) => json<T>("PUT", path, { ...call, body }),
  patch: <T>(path: string, body?: unknown, call?: Call) => json<T>("PATCH", path, { ...call, body }),
  remove: <T = void>(path: string, call?: Call) => json<T>("DELETE", path, call),
  /** Pixels and documents. */
  bytes: async (path: string, query?: Query, signal?: AbortSignal): Promise<ArrayBuffer> =>
    (await respond("GET", path, { query, signal, headers: { Accept: "*/*" } })).arrayBuffer(),
  blob: async (path: string, query?: Query, signal?: AbortSignal): Promise<Blob> =>
    (await respond("GET", path, { query, signal, headers: { Accept: "*/*" } })).blob(),
};

/** Return words for a person about anything that was thrown. */
export function words(error: unknown): string {
  if (typeof error === "string" && error) return error;
  return error instanceof Error && error.message ? error.message : "Something went wrong.";
}
