// Calls over time, stacked by class of status, with the same numbers in a table below.

import { endOf, totalOf } from "./buckets.js";
import * as api from "./api.js";
import { drawing, element, say } from "./elements.js";
import { CLASSES } from "./statuses.js";
import { count, grouped } from "./texts.js";
import { date, shownZone, timeOfDay } from "./times.js";

const HEIGHT = 84;
const BASE = 66;
const TICK_WIDTH = 110;

export class Chart {
  #figure;
  #narrow;
  #buckets = [];
  #bucket = "";
  #picture = drawing("svg", { role: "img", height: HEIGHT, class: "chart-picture" });
  #readout = element("p", { class: "chart-readout" });
  #title = element("h2", { id: "chart-title" }, "Calls over time");
  #legend = element("ul", { class: "chart-legend", "aria-label": "Calls by status" });
  #rows = element("tbody");
  #from = null;

  /** `narrow` has `time(since, until)` and `by(name, value)`. */
  constructor(figure, narrow) {
    this.#figure = figure;
    this.#narrow = narrow;
    figure.replaceChildren(
      element("div", { class: "chart-head" },
        element("figcaption", {}, this.#title, this.#readout), this.#legend),
      this.#picture, this.#tableOfNumbers());
    this.#listen();
    new ResizeObserver(() => this.#draw()).observe(this.#picture);
  }

  /** Load and draw the numbers of a query: of exactly what the list shows. */
  async load(query, byTool, signal) {
    const { buckets, bucket } = await api.stats(query, { byTool, ...shownZone() }, signal);
    [this.#buckets, this.#bucket] = [buckets, bucket];
    this.#figure.hidden = false;
    this.#tell(query, byTool);
    this.#draw();
  }

  /** Update the texts, the legend and the table from the numbers. */
  #tell({ since, until }, byTool) {
    const sumOf = (name) => this.#buckets.reduce((sum, counts) => sum + counts[name], 0);
    const totals = Object.fromEntries(CLASSES.map(([name]) => [name, sumOf(name)]));
    const shown = CLASSES.filter(([name]) => totals[name] > 0);
    const refused = sumOf("refused");
    this.#legend.replaceChildren(
      ...shown.map(([name, word]) => element("li", {}, this.#legendEntry("status", name, name, word, totals[name]))),
      ...(refused > 0 ? [element("li", {}, this.#legendEntry("refused", "true", "refused", "by sidecar, 401 or 403", refused))] : []));
    const end = until ? date(new Date(until)) : "now";
    const span = this.#buckets.length === 0 ? "no time" : since || until
      ? `${date(new Date(since ?? this.#buckets[0].start))} to ${end}` : `all time, since ${date(new Date(this.#buckets[0].start))}`;
    const parts = shown.map(([name, word]) => `${grouped(totals[name])} ${word} (${name})`);
    const all = Object.values(totals).reduce((sum, number) => sum + number, 0);
    this.#picture.setAttribute("aria-label", `Calls per ${this.#bucket}, ${span}: ${parts.join(", ") || "none"}`);
    say(this.#title, byTool ? "Tool calls over time" : "API calls over time");
    this.#readout.dataset.resting = `${count(all, byTool ? "tool call" : "call")} · per ${this.#bucket} · ${span}`;
    say(this.#readout, this.#readout.dataset.resting);
    this.#rows.replaceChildren(...this.#buckets.flatMap((counts, index) => totalOf(counts) > 0 ? [this.#numbers(counts, index)] : []));
  }

  #draw() {
    const width = this.#picture.clientWidth;
    if (width === 0 || this.#bucket === "") return;
    const step = width / Math.max(this.#buckets.length, 1);
    const most = Math.max(1, ...this.#buckets.map(totalOf));
    const bars = this.#buckets.flatMap((counts, index) => stack(counts, index * step, step, (BASE - 8) / most));
    this.#picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#picture.replaceChildren(
      drawing("line", { class: "chart-line", x1: 0, x2: width, y1: BASE + 0.5, y2: BASE + 0.5 }),
      ...bars, ...this.#ticks(width, step),
      drawing("text", { class: "chart-label", x: 0, y: 9 }, totalOf({ "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, other: most }) > 1 ? grouped(most) : ""),
      drawing("rect", { class: "chart-selection", y: 0, height: BASE, width: 0 }));
  }

  #ticks(width, step) {
    const number = Math.max(2, Math.floor(width / TICK_WIDTH));
    const every = Math.max(1, Math.ceil(this.#buckets.length / number));
    const words = this.#hasDays ? (moment) => date(moment).split(",")[0] : timeOfDay;
    return this.#buckets.flatMap((counts, index) => index % every !== 0 || index * step > width - 50 ? [] : [
      drawing("text", { class: "chart-label", x: index * step, y: HEIGHT - 4 }, words(new Date(counts.start)))]);
  }

  #listen() {
    const picture = this.#picture;
    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.#from = this.#indexAt(event);
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointermove", (event) => this.#hover(this.#indexAt(event)));
    picture.addEventListener("pointerleave", () => this.#rest());
    picture.addEventListener("pointercancel", () => this.#rest());
    picture.addEventListener("pointerup", (event) => {
      if (this.#from === null) return;
      const [first, last] = [this.#from, this.#indexAt(event)].sort((one, other) => one - other);
      this.#rest();
      this.#choose(first, last);
    });
  }

  #indexAt(event) {
    const { left, width } = this.#picture.getBoundingClientRect();
    const index = Math.floor((event.clientX - left) / width * this.#buckets.length);
    return Math.min(Math.max(index, 0), this.#buckets.length - 1);
  }

  #hover(index) {
    const counts = this.#buckets[index];
    if (counts === undefined) return;
    const [first, last] = [this.#from ?? index, index].sort((one, other) => one - other);
    const step = this.#picture.clientWidth / this.#buckets.length;
    const selection = this.#picture.lastElementChild;
    selection.setAttribute("x", first * step);
    selection.setAttribute("width", (last - first + 1) * step);
    const parts = CLASSES.filter(([name]) => counts[name] > 0).map(([name]) => `${grouped(counts[name])} ${name}`);
    say(this.#readout, `${this.#nameOf(counts)} · ${[count(totalOf(counts), "call"), ...parts].join(" · ")}`);
  }

  #rest() {
    this.#from = null;
    this.#picture.lastElementChild?.setAttribute("width", 0);
    say(this.#readout, this.#readout.dataset.resting ?? "");
  }

  #choose(first, last) {
    if (!this.#buckets[last]) return;
    this.#narrow.time(new Date(this.#buckets[first].start).toISOString(), endOf(this.#buckets, last, this.#bucket).toISOString());
  }

  #nameOf({ start }) {
    const moment = new Date(start);
    return this.#hasDays ? date(moment).split(",")[0] : date(moment);
  }

  get #hasDays() { return ["day", "week", "month"].includes(this.#bucket); }

  #legendEntry(filter, value, name, word, total) {
    const content = [
      element("span", { class: `swatch is-${name}`, "aria-hidden": "true" }),
      element("span", {}, name), name === word ? null : element("span", { class: "legend-word" }, word),
      element("b", {}, grouped(total))];
    if (name === "other") return element("span", { class: "legend-entry" }, ...content);
    return element("button", {
      type: "button", class: "legend-entry", title: `Press to show only ${name}`, onclick: () => this.#narrow.by(filter, value),
    }, ...content);
  }

  #tableOfNumbers() {
    const headings = ["Time", ...CLASSES.map(([name]) => name)].map((words) => element("th", { scope: "col" }, words));
    return element("details", { class: "chart-numbers" }, element("summary", {}, "Show as table"),
      element("div", { class: "scrolling", tabindex: "0", role: "region", "aria-label": "Calls over time as a table" },
        element("table", {}, element("thead", {}, element("tr", {}, ...headings)), this.#rows)));
  }

  #numbers(counts, index) {
    const choose = element("button", {
      type: "button", class: "value", title: "Press to show only this time", onclick: () => this.#choose(index, index),
    }, this.#nameOf(counts));
    return element("tr", {}, element("th", { scope: "row" }, choose),
      ...CLASSES.map(([name]) => element("td", {}, grouped(counts[name]))));
  }
}

/** Return the bars of one bucket, from the bottom up, each at least 1.5 pixels high. */
function stack(counts, x, step, scale) {
  let bottom = BASE;
  return CLASSES.flatMap(([name]) => {
    if (counts[name] === 0) return [];
    const height = Math.max(counts[name] * scale, 1.5);
    bottom -= height;
    const gap = step > 4 ? 1 : 0;
    return [drawing("rect", { class: `bar-${name}`, x, y: bottom, width: Math.max(step - gap, 0.5), height })];
  });
}
