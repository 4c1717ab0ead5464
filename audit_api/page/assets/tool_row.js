// The rows of tool calls: one for the tool call, and one for each of its API calls.

import { agentName } from "./agent.js";
import { element } from "./elements.js";
import { filterButton, inferredMark, timeCell } from "./cells.js";
import { rowOf } from "./columns.js";
import { opensRow, tokenCell } from "./entry_row.js";
import { badge, meaning, toolMeaning } from "./statuses.js";
import { cell } from "./table.js";
import { count, duration, visible } from "./texts.js";

const UNKNOWN = "unknown tool";
/** The cells that a sentence below a tool call covers, beside that of its name. */
const COVERED = ["calls-made", "status"];

/** Return the row of a tool call, with these columns. `toggle(id)` expands or collapses it. */
export function toolRow({ value: invocation, isOpen }, columns, { narrow, open, toggle }) {
  const { id, tool, outcome, status_code: status } = invocation;
  const cells = {
    time: timeCell(invocation.created_at, tool ?? UNKNOWN, () => open(invocation)),
    token: tokenCell(invocation, narrow),
    "tool-name": cell("tool-name", element("div", { class: "pair" },
      tool === null ? UNKNOWN : filterButton(tool, "tool", () => narrow("tool", tool)),
      invocation.origin === "hub" ? element("span", { class: "mark" }, "Hub") : null)),
    "calls-made": cell("calls-made", element("button", {
      type: "button", class: "opener", "aria-expanded": String(isOpen),
      "aria-label": `${count(invocation.api_calls, "API call")} of ${visible(tool ?? UNKNOWN)}`,
      onclick: () => toggle(id),
    }, element("span", { class: "chevron", "aria-hidden": "true" }), count(invocation.api_calls, "call"))),
    status: cell("status", badge(status), element("span", { class: "meaning" },
      visible(toolMeaning(outcome, invocation.error_code)))),
    agent: agentCell(invocation, narrow),
    duration: cell("duration", duration(invocation.duration_ms)),
  };
  const properties = { "data-id": id, class: "tool-call", onclick: (event) => opensRow(event) && toggle(id) };
  return rowOf(properties, columns, cells, invocation, narrow);
}

/** Return the row of an API call below its tool call. */
export function callRow(call, columns, actions) {
  return rowOf({ ...opening(call, actions), class: "made-call" }, columns, callCells(call, actions), call, actions.narrow);
}

/** Return the row of an API call that stands among tool calls: without one, or with one that is not shown. */
export function aloneRow(call, columns, actions) {
  const by = call.tool === null ? null : element("span", { class: "hint" }, visible(`by ${call.tool}`));
  const cells = {
    ...callCells(call, actions),
    token: tokenCell(call, actions.narrow),
    "calls-made": cell("calls-made", by, inferredMark(call.attribution)),
  };
  return rowOf(opening(call, actions), columns, cells, call, actions.narrow);
}

function opening(call, { open }) {
  return { "data-id": call.id, onclick: (event) => opensRow(event) && open(call) };
}

function callCells(call, { open }) {
  const name = `${call.method} ${call.path}`;
  return {
    time: timeCell(call.created_at, name, () => open(call)),
    token: cell("token"),
    "tool-name": cell("tool-name", element("bdi", { class: "call-made", title: visible(name) }, visible(name))),
    "calls-made": cell("calls-made", inferredMark(call.attribution)),
    status: cell("status", badge(call.status_code), element("span", { class: "meaning" },
      visible(meaning(call.status_code, call.outcome)))),
    agent: cell("agent"),
    duration: cell("duration", duration(call.duration_ms)),
  };
}

/** Return the row that says how many more API calls a tool call has made. */
export function moreCallsRow(number, columns) {
  return sentenceRow(`and ${count(number, "more call")}: press the number of calls above to show them`, columns);
}

/** Return the row of an expanded tool call without API calls. */
export function noCallsRow(columns) {
  return sentenceRow("The audit log has no API calls of this tool call.", columns);
}

function sentenceRow(sentence, columns) {
  const left = columns.filter(([name]) => !COVERED.includes(name));
  const cells = {
    ...Object.fromEntries(left.map(([name]) => [name, cell(name)])),
    "tool-name": element("td", { class: "tool-name hint", colspan: 1 + columns.length - left.length, role: "cell" }, sentence),
  };
  return rowOf({ class: "made-call" }, left, cells);
}

/** Return the cell of the agent. It filters by the session, or by the client where there is none. */
function agentCell(invocation, narrow) {
  const { session, client_name: name } = invocation;
  const shown = agentName(invocation);
  if (session !== null) {
    return cell("agent", filterButton(shown ?? "not known", "session", () => narrow("session", session)));
  }
  return shown === null ? cell("agent") : cell("agent", filterButton(shown, "client", () => narrow("client_name", name)));
}
