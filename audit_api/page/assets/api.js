// The only door to the API. Addresses are relative to the page's own, so that it works at the
// audit API's port and behind PodWarden's origin alike.

const SETTINGS = new URL("../../api/v1/settings/", document.baseURI);
const SESSION = new URL("activity/session", document.baseURI);
const PATIENCE_MS = 30_000;
const PAGE_LENGTH = 100;

/** The API wants to know who is asking. */
export class SignInNeededError extends Error {}

/** The API will not answer this, however often it is asked. The message says why. */
export class RefusedError extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : detail?.[0]?.msg ?? `The API answered ${status}`);
    this.status = status;
    this.parameter = typeof detail === "object" ? detail?.[0]?.loc?.at(-1) : undefined;
  }
}

/** Not now: the API or its database is away. Asking again may help. */
export class AwayError extends Error {}

/** Return { items, next }: a page of entries and the cursor of the one after it. */
export function entries(question, { cursor, signal } = {}) {
  return page("mcp-audit", { ...question, expand: "details", limit: PAGE_LENGTH, cursor }, signal);
}

/** Return { items, next }: a page of tool calls and the cursor of the one after it. */
export function invocations(question, { cursor, signal } = {}) {
  return page("mcp-audit/invocations", { ...question, limit: PAGE_LENGTH, cursor }, signal);
}

/** Return one tool call with the API calls that it made. */
export function invocation(id, signal) {
  return json(`mcp-audit/invocations/${encodeURIComponent(id)}`, {}, signal);
}

/** Return the gaps within a span of time. */
export function gaps({ since, until }, signal) {
  return json("mcp-audit/gaps", { since, until, limit: PAGE_LENGTH }, signal);
}

/** Return the tokens that have been used. */
export function tokens(signal) {
  return json("mcp-audit/tokens", {}, signal);
}

/** Return the counts of calls by time and by class of status. */
export function stats(question, signal) {
  return json("mcp-audit/stats", question, signal);
}

/** Return the call with this id: an API call, or else a tool call. */
export async function call(id) {
  try {
    return await json(`mcp-audit/entries/${encodeURIComponent(id)}`, {});
  } catch (error) {
    if (error.status !== 404) throw error;
    return invocation(id);
  }
}

/** Return where new entries can be listened for. */
export function streamAddress(question) {
  return address("mcp-audit/stream", question);
}

/** Return where the entries can be fetched as a file. */
export function exportAddress(format, question) {
  return address("mcp-audit/export", { format, ...question });
}

/** Return { name, role } of who is asking, or null for a stranger; both null if PodWarden knows. */
export async function reader() {
  const answer = await send(SESSION);
  return answer.ok ? answer.json() : null;
}

/** Trade a token for a session. */
export async function signIn(token) {
  await checked(await send(SESSION, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Requested-With": "activity-log" },
    body: JSON.stringify({ token }),
  }));
}

/** End the session. */
export async function signOut() {
  await send(SESSION, { method: "DELETE", headers: { "X-Requested-With": "activity-log" } });
}

async function page(path, question, signal) {
  const answer = await checked(await send(address(path, question), { signal }));
  return { items: await read(answer), next: nextCursor(answer.headers.get("Link")) };
}

async function json(path, question, signal) {
  return read(await checked(await send(address(path, question), { signal })));
}

function address(path, question) {
  const known = Object.entries(question).filter(([, value]) => value !== undefined && value !== null);
  const target = new URL(path, SETTINGS);
  target.search = new URLSearchParams(known);
  return target;
}

/** Return the cursor in a Link field, or null. The cursor alone: the rest may lack our prefix. */
function nextCursor(link) {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  return target ? new URL(target, SETTINGS).searchParams.get("cursor") : null;
}

async function send(target, { signal, ...init } = {}) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(target, {
      ...init,
      credentials: "same-origin",
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new AwayError("The audit API does not answer");
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  const detail = await answer.json().then((body) => body.detail, () => undefined);
  if (answer.status === 401) throw new SignInNeededError(detail ?? "Not authenticated");
  if (answer.status >= 500) throw new AwayError(detail ?? `The audit API answers ${answer.status}`);
  throw new RefusedError(answer.status, detail);
}

async function read(answer) {
  try {
    return await answer.json();
  } catch {
    throw new AwayError("The answer of the audit API broke off");
  }
}
