// Cells that rows of API calls and of tool calls share.

import { element } from "./elements.js";
import { cell, tableRow } from "./table.js";
import { between, exact, timeElement } from "./times.js";
import { count, spaced, visible } from "./texts.js";

/** Return a button with a value; pressing it filters by that value. */
export function filterButton(value, label, narrow, properties = {}) {
  const shown = visible(value);
  return element("button", {
    type: "button", class: "value", title: `${shown}\nPress to show only this ${label}`, onclick: narrow, ...properties,
  }, element("bdi", {}, shown));
}

/** Return the cell with the time, which is a button that opens the details. */
export function timeCell(iso, name, open) {
  return cell("time", element("button", {
    type: "button", class: "when", "aria-haspopup": "dialog", "data-exact": exact(new Date(iso)), onclick: open,
  }, timeElement(iso), element("span", { class: "unseen" }, `, details of ${visible(name)}`)));
}

/** Return the row of a gap, for its place in the order of time; no cell spans a column that a screen may leave out. */
export function gapRow(gap, columns, spanned) {
  const number = gap.count === null ? "Records" : count(gap.count, "record");
  const span = between(new Date(gap.from), new Date(gap.to));
  const sentence = `${number} missing between ${span}`;
  return tableRow({ class: "gap" },
    element("td", { colspan: spanned, role: "cell" },
      element("span", { class: "gap-sentence", title: `${gap.from} to ${gap.to}` }, sentence),
      element("span", { class: "gap-reason" }, `${visible(spaced(gap.reason))}, ${visible(gap.instance)}`)),
    ...columns.slice(spanned).map(([name]) => cell(name)));
}

/** Return the mark "inferred" if the call's tool call was inferred, otherwise null. */
export function inferredMark(attribution) {
  if (attribution !== "inferred") return null;
  return element("span", {
    class: "mark", title: "Inferred: it was the only tool call of this token in flight at that moment",
  }, "inferred");
}
