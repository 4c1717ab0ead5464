// The only module that calls the API. URLs are relative to the page's own, so that they work at
// the audit API's port and behind PodWarden's origin.

const SETTINGS = new URL("../../api/v1/settings/", document.baseURI);
const SESSION = new URL("activity/session", document.baseURI);
const TIMEOUT_MS = 30_000;
const PAGE_LENGTH = 100;

/** The API requires credentials (401). */
export class SignInNeededError extends Error {}

/** The API refuses this request (4xx); a retry would not help. The message says why. */
export class RefusedError extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : detail?.[0]?.msg ?? `The API responded ${status}`);
    this.status = status;
    this.parameter = typeof detail === "object" ? detail?.[0]?.loc?.at(-1) : undefined;
  }
}

/** The API or its database is unavailable. A retry may succeed. */
export class AwayError extends Error {}

/**
 * Return { items, next, future }: a page of entries, the cursor of the next page, and how many more
 * match and are left out, as they are dated in the future.
 */
export function entries(query, { cursor, signal } = {}) {
  return page("mcp-audit", { ...query, expand: "details", limit: PAGE_LENGTH, cursor }, signal);
}

/** Return { items, next, future } as `entries` does, of tool calls. */
export function invocations(query, { cursor, signal } = {}) {
  return page("mcp-audit/invocations", { ...query, limit: PAGE_LENGTH, cursor }, signal);
}

/** Return { items, next, future } as `entries` does: tool calls with their first API calls, and API calls without one. */
export function timeline(query, { cursor, signal } = {}) {
  return page("mcp-audit/timeline", { ...query, limit: PAGE_LENGTH, cursor }, signal);
}

/** Return one tool call with its API calls. */
export function invocation(id, signal) {
  return json(`mcp-audit/invocations/${encodeURIComponent(id)}`, {}, signal);
}

/** Return an agent's session, or null if it has no tool call. */
export async function session(id, signal) {
  try {
    return await json(`mcp-audit/sessions/${encodeURIComponent(id)}`, { limit: 1 }, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Return { items, next } as `entries` does, of agents' sessions. */
export function sessions(query, { cursor, signal } = {}) {
  return page("mcp-audit/sessions", { ...query, limit: PAGE_LENGTH, cursor }, signal);
}

/** Return { items, next } as `entries` does, of what readers of the log asked. */
export function reads(query, { cursor, signal } = {}) {
  return page("mcp-audit/reads", { ...query, limit: PAGE_LENGTH, cursor }, signal);
}

/** Return the gaps that overlap a span of time. */
export function gaps({ since, until }, signal) {
  return json("mcp-audit/gaps", { since, until, limit: PAGE_LENGTH }, signal);
}

/** Return the tokens in use. */
export function tokens(signal) {
  return json("mcp-audit/tokens", {}, signal);
}

/**
 * Return one token, by its id or its name, with its calls in the time of a query; null if none was made with it, or if
 * several tokens have the name.
 */
export async function token(idOrName, { since, until }, signal) {
  try {
    return await json(`mcp-audit/tokens/${encodeURIComponent(idOrName)}`, { since, until }, signal);
  } catch (error) {
    if ([404, 422].includes(error.status)) return null;
    throw error;
  }
}

/**
 * Return { buckets, bucket }: the counts of API calls or of tool calls by time and class of status,
 * in buckets that fit the time asked for, and their length. `zone` says whose days they are.
 */
export async function stats(query, { byTool, zone, offset }, signal) {
  const ask = (name) => send(
    address(`${listPath(byTool)}/stats`, { ...query, bucket: "auto", zone: name }), { signal });
  let response = await ask(zone);
  // The API may not know the browser's name of a zone.
  if (response.status === 422) response = await ask(offset);
  await checked(response);
  return { buckets: await read(response), bucket: response.headers.get("X-Audit-Bucket") };
}

/** Return { values, total }: the values of a kind with the most calls, and the number of all calls. */
export async function facets(query, by, signal) {
  const response = await checked(await send(
    address("mcp-audit/stats", { ...query, by, compare: true, limit: 8 }), { signal }));
  return { values: await read(response), total: Number(response.headers.get("X-Audit-Total")) };
}

/** Return the API call with this id, or the tool call if there is no such API call. */
export async function call(id) {
  try {
    return await json(`mcp-audit/entries/${encodeURIComponent(id)}`, {});
  } catch (error) {
    if (error.status !== 404) throw error;
    return invocation(id);
  }
}

/** Return what the seal says of an API call or tool call; RefusedError with 409 if it was altered. */
export function seal(call, signal) {
  return json(proofPath(call), { format: "json" }, signal);
}

/** Return the URL of the proof of an API call or tool call. */
export function proofAddress(call) {
  return address(proofPath(call), {});
}

function proofPath(call) {
  const kind = "api_calls" in call ? "invocations" : "entries";
  return `mcp-audit/${kind}/${encodeURIComponent(call.id)}/proof`;
}

/** Return the URL of the live stream of API calls or of tool calls. */
export function streamAddress(query, byTool) {
  return address(`${listPath(byTool)}/stream`, query);
}

/** Return the URL of an export of API calls or of tool calls. */
export function exportAddress(format, query, byTool) {
  return address(`${listPath(byTool)}/export`, { format, ...query });
}

/** Return the URL of the gaps in a span of time, as a file. */
export function gapsAddress({ since, until }) {
  return address("mcp-audit/export", { format: "csv", kind: "gaps", since, until });
}

/**
 * Return { name, role } of the reader, or null if it is not signed in. Both are null if PodWarden
 * admits the reader.
 */
export async function reader() {
  const response = await send(SESSION);
  return response.ok ? response.json() : null;
}

/** Exchange { token } or { code }, of a sign-in link, for a session. */
export async function signIn(shown) {
  await checked(await send(SESSION, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Requested-With": "activity-log" },
    body: JSON.stringify(shown),
  }));
}

/** End the session. */
export async function signOut() {
  await send(SESSION, { method: "DELETE", headers: { "X-Requested-With": "activity-log" } });
}

function listPath(byTool) {
  return byTool ? "mcp-audit/invocations" : "mcp-audit";
}

async function page(path, query, signal) {
  const response = await checked(await send(address(path, query), { signal }));
  return {
    items: await read(response),
    next: nextCursor(response.headers.get("Link")),
    future: Number(response.headers.get("X-Audit-Future")),
  };
}

async function json(path, query, signal) {
  return read(await checked(await send(address(path, query), { signal })));
}

/** Return the URL at which a list is asked for: API calls, tool calls or both. */
export function listAddress(query, { byTool, isBoth }) {
  if (isBoth) return address("mcp-audit/timeline", { ...query, limit: PAGE_LENGTH });
  return address(listPath(byTool), { ...query, ...(byTool ? {} : { expand: "details" }), limit: PAGE_LENGTH });
}

/** Return the SQL that finds the same as a list of API calls or of tool calls. */
export async function sql(query, { byTool }) {
  return (await checked(await send(address(`${listPath(byTool)}/sql`, { ...query, limit: PAGE_LENGTH })))).text();
}

/** Return the URL of a path below the settings, with the parameters that have a value. */
export function address(path, query) {
  const known = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const target = new URL(path, SETTINGS);
  target.search = new URLSearchParams(known);
  return target;
}

/** Return the cursor in a Link field, or null. Not the whole link: it may lack our prefix. */
function nextCursor(link) {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  return target ? new URL(target, SETTINGS).searchParams.get("cursor") : null;
}

async function send(target, { signal, ...init } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(target, {
      ...init,
      credentials: "same-origin",
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new AwayError("The audit API does not respond");
  }
}

async function checked(response) {
  if (response.ok) return response;
  const detail = await response.json().then((body) => body.detail, () => undefined);
  if (response.status === 401) throw new SignInNeededError(detail ?? "Not authenticated");
  if (response.status >= 500) throw new AwayError(detail ?? `The audit API responded ${response.status}`);
  throw new RefusedError(response.status, detail);
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    throw new AwayError("The response of the audit API broke off");
  }
}
