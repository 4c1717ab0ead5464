// Agents: what calls a tool, and the session that it is in. All of it is the client's claim.

import { byId, element } from "./elements.js";
import { count, visible } from "./texts.js";
import { between } from "./times.js";

/** The filters of API calls by the tool call behind them: arrivals cannot be held against them. */
export const OF_THE_AGENT = ["session", "client_name", "client_version", "protocol_version", "principal"];

/** Return the client of a tool call or a session as text, or null if it is not known. */
export function agentName({ client_name: name, client_version: version }) {
  if (name === null || name === undefined) return null;
  return visible(version === null ? name : `${name} ${version}`);
}

/** Return the query without these filters. */
export function withoutAgent(query) {
  return without(query, OF_THE_AGENT);
}

/** Return the query of tool calls without the filters by what changes when one ends. */
export function withoutEnding(query) {
  return without(query, ["outcome", "status", "duration_ms"]);
}

function without(query, names) {
  return Object.fromEntries(Object.entries(query).filter(([name]) => !names.includes(name.replace(/[!<>]$/, ""))));
}

/** Say in one line what a session was; null hides the line. */
export function showSession(session) {
  const line = byId("agent-session");
  line.hidden = session === null;
  if (session === null) return;
  const span = between(new Date(session.first_call), new Date(session.last_call));
  line.replaceChildren(
    element("b", {}, "Session"), " of ",
    element("bdi", {}, agentName(session) ?? "a client that is not known"), ", token ",
    element("bdi", {}, visible(session.token_name)), `, between ${span}: `,
    `${count(session.tool_calls, "tool call")} (${session.failures} failed), ${count(session.api_calls, "API call")}`);
}
