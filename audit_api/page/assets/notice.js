// Messages in place of the calls or above them: no calls yet, no match, API unavailable.

import { byId, element } from "./elements.js";
import { visible } from "./texts.js";
import { clock } from "./times.js";
import { isNarrowed } from "./view.js";

// The default ports of the audit API and of the sidecar.
const AUDIT_API_PORT = "8110";
const SIDECAR_PORT = "8100";
const SIDECAR = "$SIDECAR";

/** Remove all messages. */
export function clear() {
  byId("notice").replaceChildren();
  byId("place").replaceChildren();
}

/** Say why there are no calls to show; `hasGaps` says that records are missing in that time. */
export function nothing(view, hasGaps, clearFilters) {
  if (isNarrowed(view)) nothingFound(hasGaps, clearFilters);
  else if (hasGaps) onlyGaps();
  else if (view.byTool) noToolCalls();
  else noCalls();
}

/** Say that there are no calls at all, and how to make the first one. */
function noCalls() {
  const line = `curl -H "Authorization: Bearer $TOKEN" ${callOrigin()}/api/v1/clusters`;
  const copy = element("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(line);
    copy.textContent = "Copied";
  } }, "Copy");
  if (!navigator.clipboard) copy.hidden = true;
  const names = [["a token (pwm_…)", "$TOKEN"], ...(line.includes(SIDECAR) ? [["the address of the sidecar", SIDECAR]] : [])];
  place("No calls yet",
    element("p", {}, "Every call that an MCP token makes through the sidecar appears here. To make the first one, ",
      ...names.flatMap(([what, name], index) => [`${index ? ", " : ""}put ${what} into `, element("code", {}, name)]), " and run:"),
    element("div", { class: "command" }, element("code", {}, line), copy));
}

function noToolCalls() {
  place("No tool calls yet", element("p", {},
    "A tool call appears here when an assistant has called a tool through the sidecar, at ", element("code", {}, "/mcp"), "."));
}

function onlyGaps() {
  place("No calls, but records are missing", element("p", {}, "Calls were made whose records were lost: the gaps above say when and why."));
}

function nothingFound(hasGaps, clearFilters) {
  place("No calls match these filters",
    hasGaps ? element("p", {}, "Records are missing in this time: calls that match may be among them. The gaps above say when and why.") : null,
    element("p", {}, "Remove a filter, or choose a longer time."),
    element("p", {}, element("button", { type: "button", onclick: clearFilters }, "Clear all filters")));
}

/** Say that the log is unavailable; calls that were loaded stay. */
export function away(error, loadedAt, retry) {
  const title = loadedAt ? "Not up to date" : "Nothing to show at the moment";
  const consequence = loadedAt
    ? `These calls were loaded at ${clock(loadedAt)}. Newer ones are still recorded and appear`
    : "Calls are still recorded and appear";
  banner(title, element("p", {}, `${visible(error.message)}. ${consequence} when it is back; the page retries every few seconds.`),
    element("button", { type: "button", onclick: retry }, "Try now"));
  byId("place").replaceChildren();
}

/** Say that the API refuses this query. */
export function refused(error, { clearFilters, signIn }) {
  const mayNotRead = error.status === 403;
  const place = error.parameter ? `${visible(String(error.parameter))}: ` : "";
  const [words, act] = mayNotRead ? ["Use another token", signIn] : ["Clear all filters", clearFilters];
  banner(mayNotRead ? "You may not read the audit log" : "This query is not valid",
    element("p", {}, `${place}${visible(error.message)}.`),
    element("button", { type: "button", onclick: act }, words));
  byId("place").replaceChildren();
}

/** Announce a text to screen readers only. */
export function announce(words) {
  byId("announcer").textContent = words;
}

function banner(title, ...content) {
  byId("notice").replaceChildren(element("div", { class: "trouble" }, element("h2", {}, title), ...content));
}

function place(title, ...content) {
  byId("place").replaceChildren(element("div", { class: "empty" }, element("h2", {}, title), ...content.filter(Boolean)));
}

/** Return where calls go: beside our default port is the sidecar's; another port tells nothing. */
function callOrigin() {
  const { protocol, hostname, port, origin } = location;
  if (port === AUDIT_API_PORT) return `${protocol}//${hostname}:${SIDECAR_PORT}`;
  return port === "" ? origin : SIDECAR;
}
