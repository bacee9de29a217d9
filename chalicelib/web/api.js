// The REST API, the same for everybody. The token lives in sessionStorage and travels only in a header.

const KEY = "lake-token";
export const ROOT = new URL("..", import.meta.url);

/** What the API answers when it says no: its code, message, details and HTTP status. */
export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = error?.code ?? "unknown";
    this.details = error?.details ?? {};
  }
}

/** Nothing answered: the server is away or the network is. */
export class Unreachable extends Error {
  constructor() {
    super("The lake's server does not answer. Is it still running?");
  }
}

let onUnauthorized = () => {};

export function whenUnauthorized(handler) {
  onUnauthorized = handler;
}

export function hasToken() {
  return Boolean(sessionStorage.getItem(KEY));
}

export function setToken(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

/** Take ?token=… out of the address (history included) and keep it for the session. */
export function adoptTokenFromAddress() {
  const address = new URL(location.href);
  const token = address.searchParams.get("token");
  if (token === null) return;
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
  if (token) setToken(token);
}

/** One request; answers the Response, or raises ApiError or Unreachable. */
export async function request(path, { method = "GET", body, query, accept = "application/json", signal } = {}) {
  const address = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, value);
  }
  const headers = { Accept: accept };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  let content = body;
  if (body !== undefined && !(body instanceof Blob)) {
    headers["Content-Type"] = "application/json";
    content = JSON.stringify(body);
  } else if (body instanceof Blob) {
    headers["Content-Type"] = body.type || "application/octet-stream";
  }
  const answer = await fetch(address, { method, headers, body: content, signal }).catch((fault) => {
    if (fault.name === "AbortError") throw fault;
    throw new Unreachable();
  });
  if (answer.ok) return answer;
  const error = await errorOf(answer);
  if (answer.status === 401) onUnauthorized(error);
  throw error;
}

async function errorOf(answer) {
  const document = await answer.json().catch(() => null);
  const error = document?.error ?? (document?.message && { code: document.code, message: document.message });
  return new ApiError(answer.status, error);
}

export async function get(path, query, signal) {
  return (await request(path, { query, signal })).json();
}

export async function send(method, path, body, signal) {
  const answer = await request(path, { method, body, signal });
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

/** Wait, unless `signal` says that nobody waits any more. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left the page", "AbortError"));
    });
  });
}
