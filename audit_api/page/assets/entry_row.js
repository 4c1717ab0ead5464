// The row of one API call.

import { element } from "./elements.js";
import { filterButton, inferredMark, timeCell } from "./cells.js";
import { rowOf } from "./columns.js";
import { badge, meaning } from "./statuses.js";
import { cell } from "./table.js";
import { duration, visible } from "./texts.js";

/** Return the row of an entry, with these columns. `narrow(name, value)` sets a filter; `open(entry)` shows its details. */
export function entryRow(entry, columns, { narrow, open }) {
  const { method, path, status_code: status, tool } = entry;
  const cells = {
    time: timeCell(entry.created_at, `${method} ${path}`, () => open(entry)),
    token: tokenCell(entry, narrow),
    method: cell("method", filterButton(method, "method", () => narrow("method", method))),
    path: cell("path", filterButton(path, "path", () => narrow("path", path))),
    status: cell("status",
      badge(status, { title: `Press to show only ${status}`, onclick: () => narrow("status", status) }),
      element("span", { class: "meaning" }, visible(meaning(status, entry.outcome)))),
    tool: tool === null ? cell("tool") : cell("tool", element("div", { class: "pair" },
      filterButton(tool, "tool", () => narrow("tool", tool)), inferredMark(entry.attribution))),
    duration: cell("duration", duration(entry.duration_ms)),
  };
  return rowOf({ "data-id": entry.id, onclick: (event) => opensRow(event) && open(entry) }, columns, cells, entry, narrow);
}

/** Return the cell of a token. It filters by id if there is one, because names are not unique. */
export function tokenCell({ token_id: id, token_name: name }, narrow) {
  return cell("token", filterButton(name, "token",
    () => id === null ? narrow("token_name", name) : narrow("token_id", id)));
}

/** Whether a click is meant for the row: not for one of its buttons, and no selection of text. */
export function opensRow(event) {
  return event.target.closest("button") === null && document.getSelection().isCollapsed;
}
