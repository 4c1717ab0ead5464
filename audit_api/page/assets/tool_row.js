// The rows of tool calls: one for the tool call, and one for each of its API calls.

import { agentName } from "./agent.js";
import { element } from "./elements.js";
import { filterButton, inferredMark, timeCell } from "./cells.js";
import { opensRow, tokenCell } from "./entry_row.js";
import { badge, meaning, toolMeaning } from "./statuses.js";
import { cell, tableRow } from "./table.js";
import { count, duration, visible } from "./texts.js";

export const TOOL_COLUMNS = [
  ["time", "Time"], ["token", "Token"], ["tool-name", "Tool"], ["calls-made", "API calls"],
  ["status", "Outcome"], ["agent", "Agent"], ["duration", "Duration"],
];

const UNKNOWN = "unknown tool";

/** Return the row of a tool call. `toggle(id)` expands or collapses it. */
export function toolRow({ value: invocation, isOpen }, { narrow, open, toggle }) {
  const { id, tool, outcome, status_code: status } = invocation;
  return tableRow(
    { "data-id": id, class: "tool-call", onclick: (event) => opensRow(event) && toggle(id) },
    timeCell(invocation.created_at, tool ?? UNKNOWN, () => open(invocation)),
    tokenCell(invocation, narrow),
    cell("tool-name", element("div", { class: "pair" },
      tool === null ? UNKNOWN : filterButton(tool, "tool", () => narrow("tool", tool)),
      invocation.origin === "hub" ? element("span", { class: "mark" }, "Hub") : null)),
    cell("calls-made", element("button", {
      type: "button", class: "opener", "aria-expanded": String(isOpen),
      "aria-label": `${count(invocation.api_calls, "API call")} of ${visible(tool ?? UNKNOWN)}`,
      onclick: () => toggle(id),
    }, element("span", { class: "chevron", "aria-hidden": "true" }), count(invocation.api_calls, "call"))),
    cell("status", badge(status), element("span", { class: "meaning" },
      visible(toolMeaning(outcome, invocation.error_code)))),
    agentCell(invocation, narrow),
    cell("duration", duration(invocation.duration_ms)));
}

/** Return the row of an API call below its tool call. */
export function callRow(call, { open }) {
  const name = `${call.method} ${call.path}`;
  return tableRow(
    { "data-id": call.id, class: "made-call", onclick: (event) => opensRow(event) && open(call) },
    timeCell(call.created_at, name, () => open(call)),
    cell("token"),
    cell("tool-name", element("bdi", { class: "call-made", title: visible(name) }, visible(name))),
    cell("calls-made", inferredMark(call.attribution)),
    cell("status", badge(call.status_code), element("span", { class: "meaning" },
      visible(meaning(call.status_code, call.outcome)))),
    cell("agent"),
    cell("duration", duration(call.duration_ms)));
}

/** Return the row of an API call that stands among tool calls: without one, or with one that is not shown. */
export function aloneRow(call, actions) {
  const row = callRow(call, actions);
  row.classList.remove("made-call");
  row.querySelector(".token").replaceWith(tokenCell(call, actions.narrow));
  row.querySelector(".calls-made").prepend(call.tool === null ? "" : element("span", { class: "hint" }, visible(`by ${call.tool}`)));
  for (const button of row.querySelectorAll("button")) button.tabIndex = -1;
  return row;
}

/** Return the row that says how many more API calls a tool call has made. */
export function moreCallsRow(number) {
  return tableRow({ class: "made-call" },
    cell("time"), cell("token"),
    element("td", { class: "tool-name hint", colspan: 3, role: "cell" }, `and ${count(number, "more call")}: press the number of calls above to show them`),
    cell("agent"), cell("duration"));
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

/** Return the row of an expanded tool call without API calls. */
export function noCallsRow() {
  return tableRow({ class: "made-call" },
    cell("time"), cell("token"),
    element("td", { class: "tool-name hint", colspan: 3, role: "cell" }, "The audit log has no API calls of this tool call."),
    cell("agent"), cell("duration"));
}
