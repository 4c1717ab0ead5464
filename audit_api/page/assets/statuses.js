// Words for status codes and outcomes. Colours only repeat what the words say.

import { element } from "./elements.js";
import { spaced } from "./texts.js";

const PHRASES = {
  0: "result unknown", 101: "switching protocols",
  200: "OK", 201: "created", 202: "accepted", 204: "no content", 206: "partial content",
  301: "moved", 302: "found", 304: "not modified", 307: "redirect", 308: "redirect",
  400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "not found",
  405: "method not allowed", 408: "request timeout", 409: "conflict", 410: "gone",
  413: "too large", 415: "unsupported type", 422: "unprocessable", 429: "too many requests",
  499: "caller hung up",
  500: "server error", 501: "not implemented", 502: "bad gateway", 503: "unavailable",
  504: "gateway timeout",
};

/** The outcomes of an API call, as the filter offers them. */
export const OUTCOMES = {
  completed: "completed",
  streaming: "streaming",
  refused: "refused by the sidecar",
  upstream_unreachable: "API unreachable",
  upstream_timed_out: "API too slow",
  upstream_broke_off: "response broke off",
  client_closed: "caller hung up",
  interrupted: "result unknown",
};

/** The outcomes of a tool call. */
export const TOOL_OUTCOMES = {
  ok: "ok",
  tool_error: "tool failed",
  protocol_error: "protocol error",
  cancelled: "cancelled",
  unknown: "ending not seen",
  interrupted: "result unknown",
  asked: "waits for the client",
  working: "works as a task",
  declined: "declined by the client",
  abandoned: "client did not return",
};

/** Classes of status codes with their words, in the order in which charts stack them. */
export const CLASSES = [
  ["2xx", "success"],
  ["3xx", "redirect"],
  ["4xx", "client error"],
  ["5xx", "failed"],
  ["other", "other"],
];

/** Return "2xx", "3xx", "4xx", "5xx" or "other". */
export function classOf(status) {
  return status >= 200 && status < 600 ? `${Math.floor(status / 100)}xx` : "other";
}

/** Return what happened, in a word or two: the outcome if it says more than the status. */
export function meaning(status, outcome) {
  if (outcome && outcome !== "completed") return OUTCOMES[outcome] ?? spaced(outcome);
  return PHRASES[status] ?? "";
}

/** Return how a tool call ended, in a word or two, with the code of a JSON-RPC error. */
export function toolMeaning(outcome, errorCode) {
  if (outcome === null) return "ending not recorded";
  const words = TOOL_OUTCOMES[outcome] ?? spaced(outcome);
  return errorCode === null || errorCode === undefined ? words : `${words} ${errorCode}`;
}

/** Return the coloured badge of a status code: a button if it has properties, otherwise text. */
export function badge(status, properties = null) {
  const look = `badge is-${classOf(status)}`;
  const shown = String(status ?? "–");
  if (properties === null) return element("span", { class: look }, shown);
  return element("button", { type: "button", class: look, ...properties }, shown);
}
