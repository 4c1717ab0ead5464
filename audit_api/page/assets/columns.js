// The columns that there are, those that are shown, and the control that chooses them.

import { filterButton } from "./cells.js";
import { element } from "./elements.js";
import { keep, kept } from "./storage.js";
import { cell, tableRow } from "./table.js";
import { timeElement } from "./times.js";

const STORED = "columns";
/** Shown unless the reader chooses others: [name, heading]. Those after the first five are left out on narrow screens. */
const USUAL_OF_ENTRIES = [
  ["time", "Time"], ["token", "Token"], ["method", "Method"], ["path", "Path"], ["status", "Status"], ["tool", "Tool"], ["duration", "Duration"],
];
const USUAL_OF_TOOLS = [
  ["time", "Time"], ["token", "Token"], ["tool-name", "Tool"], ["calls-made", "API calls"], ["status", "Outcome"], ["agent", "Agent"], ["duration", "Duration"],
];
const MORE = [
  ["client_ip", "Client"], ["user_agent", "User agent"], ["request_id", "Request id"], ["instance", "Sidecar"], ["arrived_at", "Arrived"],
];
const MORE_OF_ENTRIES = [["object", "Object"], ["outcome", "Outcome"], ...MORE];
const MORE_OF_TOOLS = [["session", "Session"], ["protocol_version", "MCP version"], ["principal", "On behalf of"], ...MORE];
/** Always shown: the details are opened at the time, and a tool call's API calls stand below its name. */
const FIXED = ["time", "tool-name"];
const LAST_ON_NARROW = ["tool", "duration", "agent"];

/** Return the columns of a view: those in the URL, or those chosen before, or the usual ones. */
export function columnsOf(view) {
  const chosen = chosenOf(view);
  return chosen === "" ? usualOf(view) : allOf(view).filter(([name]) => FIXED.includes(name) || chosen.split(",").includes(name));
}

/** Return the class of the cells of a column. */
export function classOf(name) {
  return isMore(name) ? `extra extra-${name}` : name;
}

/** Return how many columns there are that no screen leaves out. */
export function alwaysShown(columns) {
  return columns.filter(([name]) => !LAST_ON_NARROW.includes(name) && !isMore(name)).length;
}

/** Return a row with the cells of the columns; those without one in `cells` have the value of `call`. */
export function rowOf(properties, columns, cells, call, narrow) {
  return tableRow(properties, ...columns.map((column) => cells[column[0]] ?? moreCell(column, call, narrow)));
}

export class ColumnChoice {
  #menu;
  #panel;
  #view = null;
  #go;

  /** `go(view)` is called with the view that has other columns. */
  constructor(menu, go) {
    this.#menu = menu;
    this.#go = go;
    this.#panel = element("div", { class: "menu-panel" });
    menu.replaceChildren(element("summary", {}, "Columns"), this.#panel);
    menu.addEventListener("toggle", () => this.#show());
  }

  /** Show the columns of a view in the control. */
  show(view) {
    this.#view = view;
    this.#show();
  }

  #show() {
    const view = this.#view;
    if (!this.#menu.open) {
      this.#panel.replaceChildren();
      return;
    }
    const shown = columnsOf(view).map(([name]) => name);
    const at = document.activeElement?.closest?.("#columns") ? document.activeElement.value : null;
    const boxes = allOf(view).map(([name, heading]) => element("label", {}, element("input", {
      type: "checkbox", value: name, checked: shown.includes(name), disabled: FIXED.includes(name), onchange: () => this.#choose(),
    }), heading));
    this.#panel.replaceChildren(
      element("fieldset", {}, element("legend", {}, "Columns"), ...boxes),
      element("p", { class: "hint" }, "A narrow screen leaves out the last ones."),
      element("button", { type: "button", onclick: () => this.#take("") }, "Usual columns"));
    if (at !== null) this.#panel.querySelector(`input[value="${CSS.escape(at)}"]`)?.focus();
  }

  #choose() {
    const chosen = [...this.#panel.querySelectorAll("input:checked")].map((box) => box.value).join(",");
    this.#take(chosen === usualOf(this.#view).map(([name]) => name).join(",") ? "" : chosen);
  }

  #take(columns) {
    keep(STORED, { ...kept(STORED, {}), [kindOf(this.#view)]: columns });
    this.#go({ ...this.#view, columns });
  }
}

function chosenOf(view) {
  return view.columns || String(kept(STORED, {})[kindOf(view)] ?? "");
}

function kindOf({ byTool, isBoth }) {
  return byTool || isBoth ? "tools" : "entries";
}

function usualOf(view) {
  return kindOf(view) === "tools" ? USUAL_OF_TOOLS : USUAL_OF_ENTRIES;
}

function allOf(view) {
  return [...usualOf(view), ...(kindOf(view) === "tools" ? MORE_OF_TOOLS : MORE_OF_ENTRIES)];
}

function isMore(name) {
  return [...MORE_OF_ENTRIES, ...MORE_OF_TOOLS].some(([other]) => other === name);
}

function moreCell([name, heading], call, narrow) {
  const value = call?.[name] ?? null;
  const content = value === null ? [] : name === "arrived_at" ? [timeElement(value)]
    : [filterButton(String(value), heading.toLowerCase(), () => narrow(name, value))];
  const made = cell(classOf(name), ...content);
  made.dataset.heading = heading;
  return made;
}
