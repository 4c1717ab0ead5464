// A table that keeps unchanged rows in place when others are added or removed.

import { element } from "./elements.js";

export class Table {
  #table;
  #body;
  #rows = new Map();

  constructor(table) {
    this.#table = table;
    table.addEventListener("focusin", (event) => this.makeCurrent(event.target.closest("tr")));
  }

  /** Empty the table and set its columns: [class, heading]. */
  begin(caption, columns) {
    this.#rows.clear();
    this.#body = element("tbody", { role: "rowgroup" });
    const headings = columns.map(([name, heading]) =>
      element("th", { class: name, scope: "col", role: "columnheader" }, heading));
    this.#table.replaceChildren(
      element("caption", { class: "unseen" }, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...headings)),
      this.#body);
  }

  /**
   * Show these lines, each { key, … }. Existing rows are reused, so that focus, selection and scroll
   * position are kept; `keep(line, row)` may adjust them. `make(line)` makes the other rows.
   */
  show(lines, { make, keep = () => {}, fresh = false }) {
    const keys = new Set(lines.map((line) => line.key));
    for (const [key, row] of this.#rows) {
      if (!keys.has(key)) this.#remove(key, row);
    }
    let place = this.#body.firstElementChild;
    for (const line of lines) {
      let row = this.#rows.get(line.key);
      if (row === undefined) {
        row = make(line);
        row.classList.toggle("fresh", fresh);
        this.#rows.set(line.key, row);
        this.#body.insertBefore(row, place);
      } else {
        keep(line, row);
        place = row.nextElementSibling;
      }
    }
    if (this.#current === null) this.makeCurrent(this.#stops[0] ?? null);
  }

  /** Focus the row `step` rows from the current one; the current one if the focus was elsewhere. */
  move(step, { isUnderWay = false } = {}) {
    const stops = this.#stops;
    const moves = isUnderWay || this.#table.contains(document.activeElement);
    const here = stops.indexOf(this.#current) + (moves ? step : 0);
    const next = stops[Math.min(Math.max(here, 0), stops.length - 1)];
    if (next === undefined) return null;
    next.querySelector("button").focus();
    return next;
  }

  /** Let Tab reach the buttons of one row only, not those of every row. */
  makeCurrent(row) {
    if (row === null || row.parentElement !== this.#body || row === this.#current) return;
    const before = this.#current;
    before?.classList.remove("current");
    row.classList.add("current");
    for (const button of before?.querySelectorAll("button") ?? []) button.tabIndex = -1;
    for (const button of row.querySelectorAll("button")) button.tabIndex = 0;
  }

  get #current() {
    return this.#body.querySelector("tr.current");
  }

  get #stops() {
    return [...this.#body.rows].filter((row) => row.querySelector("button") !== null);
  }

  #remove(key, row) {
    this.#rows.delete(key);
    row.remove();
  }
}

/** Return a table row. Roles are explicit, because the narrow layout removes the implicit ones. */
export function tableRow(properties, ...cells) {
  const row = element("tr", { role: "row", ...properties }, ...cells);
  for (const button of row.querySelectorAll("button")) button.tabIndex = -1;
  return row;
}

/** Return a cell of the column with this name. */
export function cell(name, ...children) {
  return element("td", { class: name, role: "cell" }, ...children);
}
