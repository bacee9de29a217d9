// The REST API, the same for everybody. The token travels only in a header. It is kept for this tab (sessionStorage),
// or, for who stays signed in on this computer, for all tabs (localStorage).

const KEY = "lake-token";
const BY_CODE = "lake-by-code"; // names the token that came for a code of the printed address, which only the owner has
const SCOPE = "lake-scope"; // beside the token: what it may
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

export function token() {
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
}

/** Keep the token for this tab, or with `stay` for every tab until it ends; null forgets it everywhere. */
export function setToken(value, { stay = false, byCode = false, scope: may = "" } = {}) {
  for (const store of [sessionStorage, localStorage]) for (const key of [KEY, BY_CODE, SCOPE]) store.removeItem(key);
  if (!value) return;
  const store = stay ? localStorage : sessionStorage;
  store.setItem(KEY, value);
  if (byCode) store.setItem(BY_CODE, digest(value));
  if (may) store.setItem(SCOPE, may);
}

/** What the token may: run, read, or (listener) see one listener's pages. Asked once for a token that was pasted. */
export async function scope() {
  await signedIn;
  const store = sessionStorage.getItem(KEY) ? sessionStorage : localStorage;
  const asked = token();
  if (!store.getItem(SCOPE) && asked) {
    const told = await get("session").catch(() => null); // whatever else is asked says what is wrong
    if (told && token() === asked) store.setItem(SCOPE, told.scope);
  }
  return store.getItem(SCOPE);
}

function isByCode() {
  return [sessionStorage, localStorage].some((store) => store.getItem(BY_CODE) === digest(token()));
}

/** Who is signed in, as a name for what this browser keeps of theirs: the owner, or whoever has this very token. */
export function reader() {
  return isByCode() ? "owner" : digest(token());
}

/** A short name of a token, from which no token can be made. */
function digest(text) {
  let [low, high] = [0xdeadbeef, 0x41c6ce57];
  for (const letter of text ?? "") {
    low = Math.imul(low ^ letter.codePointAt(0), 2654435761);
    high = Math.imul(high ^ letter.codePointAt(0), 1597334677);
  }
  return ((high >>> 0) * 2 ** 21 + (low >>> 11)).toString(36);
}

export function staysSignedIn() {
  return Boolean(localStorage.getItem(KEY));
}

/** The code in the address, which is taken out of it, history included; null when there is none. */
function takeCode() {
  const address = new URL(location.href);
  const code = address.searchParams.get("code");
  if (code === null) return null;
  address.searchParams.delete("code");
  history.replaceState(null, "", address);
  return code;
}

/** Exchange the code in the address, which works once, for a token of this tab. Answers why not, or null. */
async function signIn(code) {
  if (!code) return null;
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(new URL("session", ROOT), { method: "POST", headers, body: JSON.stringify({ code }) }).catch(() => null);
  if (!answer) return new Unreachable().message;
  const document = await answer.json().catch(() => null);
  if (!answer.ok) return token() ? null : document?.error?.message ?? "The address does not sign you in.";
  setToken(document.token, { byCode: true, scope: document.scope });
  return null;
}

/** The token in a shared address, which is taken out of it. It stands behind the #, which no server is sent. */
function takeShare() {
  const share = /^#share=(.+)$/.exec(location.hash);
  if (!share) return;
  history.replaceState(null, "", location.pathname + location.search);
  setToken(decodeURIComponent(share[1]), { scope: "listener" });
}

takeShare();

/** Settles when the address has been asked for a code: with why it does not sign in, or null. */
export const signedIn = signIn(takeCode());

/** Stay signed in: the token lasts for months, in all tabs of this browser. */
export async function staySignedIn() {
  const [kept, byCode, may] = [token(), isByCode(), await scope()];
  await send("PUT", "session").catch((fault) => {
    if (fault.code !== "invalid_request") throw fault; // a token that was pasted lasts as long as it was made for
  });
  setToken(kept, { stay: true, byCode, scope: may });
}

export async function signOut() {
  await send("DELETE", "session").catch(() => {}); // a token that has ended is gone too
  setToken(null);
}

/** One request; answers the Response, or raises ApiError or Unreachable. */
export async function request(path, { method = "GET", body, query, accept = "application/json", signal } = {}) {
  const address = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, value);
  }
  await signedIn;
  const headers = { Accept: accept };
  if (token()) headers.Authorization = `Bearer ${token()}`;
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
