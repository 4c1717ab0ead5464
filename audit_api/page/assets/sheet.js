// Shows the lines of a log in the table; each kind of line has its kind of row.

import { byId, say } from "./elements.js";
import { gapRow } from "./cells.js";
import { alwaysShown, classOf, columnsOf } from "./columns.js";
import { entryRow } from "./entry_row.js";
import { Table } from "./table.js";
import { aloneRow, callRow, moreCallsRow, noCallsRow, toolRow } from "./tool_row.js";

export class Sheet {
  #element = byId("table");
  #older = byId("older");
  #table = new Table(this.#element);
  #columns = [];
  #actions;
  #selected = "";

  /** `actions` has `narrow(name, value)`, `open(call)`, `toggle(id)` and `older()`. */
  constructor(actions) {
    this.#actions = actions;
    this.#older.addEventListener("click", () => actions.older());
  }

  /** Empty the table and set its columns, for API calls, tool calls or both. */
  begin(view) {
    const { byTool = false, isBoth = false } = view;
    this.#columns = columnsOf(view);
    const shown = isBoth ? "Tool calls and API calls" : byTool ? "Tool calls" : "API calls";
    this.#table.begin(`${shown}, newest first`, this.#columns.map(([name, heading]) => [classOf(name), heading]));
    this.#element.classList.toggle("by-tool", byTool || isBoth);
  }

  /** Show a log and return its number of lines; `fresh` rows are highlighted for a moment. */
  show(log, { fresh = false } = {}) {
    const lines = log.lines();
    this.#table.show(lines, { make: (line) => this.#row(line), keep: keepOpener, fresh });
    this.#element.hidden = lines.length === 0;
    this.#element.classList.remove("stale");
    this.#older.hidden = !log.hasMore;
    say(this.#older, "Show older calls");
    this.select(this.#selected);
    return lines.length;
  }

  /** Fade the rows: they belong to the previous view. */
  fade() {
    this.#element.classList.add("stale");
  }

  /** Hide the table. */
  clear() {
    this.#element.hidden = true;
    this.#older.hidden = true;
  }

  /** Mark the row of the call whose details are shown. */
  select(id) {
    this.#selected = id;
    this.#element.querySelector("tr.selected")?.classList.remove("selected");
    const row = this.#rowOf(id);
    row?.classList.add("selected");
    this.#table.makeCurrent(row);
  }

  /** Mark the row of the call that the list is around; `isNew` lists are scrolled to it. */
  mark(id, isNew) {
    const row = this.#rowOf(id);
    row?.classList.add("around");
    row?.setAttribute("aria-current", "true");
    if (isNew) row?.scrollIntoView({ block: "center" });
  }

  /** Move the focus by `step` rows and return the id of the call at the new row. */
  move(step, options) {
    return this.#table.move(step, options)?.dataset.id;
  }

  get hasFocus() {
    return this.#element.contains(document.activeElement);
  }

  /** Focus the row of a call, or the table if there is no such row. */
  focus(id) {
    (this.#rowOf(id)?.querySelector("button") ?? byId("calls")).focus();
  }

  #row(line) {
    const columns = this.#columns;
    switch (line.kind) {
      case "gap": return gapRow(line.value, columns, alwaysShown(columns));
      case "tool": return toolRow(line, columns, this.#actions);
      case "call": return callRow(line.value, columns, this.#actions);
      case "no calls": return noCallsRow(columns);
      case "alone": return aloneRow(line.value, columns, this.#actions);
      case "more calls": return moreCallsRow(line.value, columns);
      default: return entryRow(line.value, columns, this.#actions);
    }
  }

  #rowOf(id) {
    return id ? this.#element.querySelector(`tr[data-id="${CSS.escape(id)}"]`) : null;
  }
}

function keepOpener(line, row) {
  if (line.kind === "tool") row.querySelector(".opener")?.setAttribute("aria-expanded", String(line.isOpen));
}
