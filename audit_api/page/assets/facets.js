// The values with the most calls, beside the table: by token, tool, object and others.

import * as api from "./api.js";
import { element } from "./elements.js";
import { grouped, visible } from "./texts.js";

const LISTS = [
  ["token", "Tokens"], ["tool", "Tools"], ["object", "Objects"], ["path_template", "Paths"], ["client", "Clients"],
  ["status", "Status"], ["session", "Sessions"],
];

export class Facets {
  #panel;
  #lists = element("div", { class: "facet-lists" });
  #narrow;
  #query = null;
  #signal = null;

  /** `narrow(filters)` is called with the filters of the value that the reader pressed. */
  constructor(panel, narrow) {
    this.#panel = panel;
    this.#narrow = narrow;
    panel.replaceChildren(element("summary", {}, "Most calls by token, tool, object …"), this.#lists);
    panel.addEventListener("toggle", () => this.#load());
  }

  /** Count the calls of a query anew, if the lists are open; null hides them. */
  async show(query, signal) {
    this.#panel.hidden = query === null;
    [this.#query, this.#signal] = [query, signal];
    await this.#load();
  }

  async #load() {
    const [query, signal] = [this.#query, this.#signal];
    if (!this.#panel.open || query === null) return;
    // One after another: they are no reason to keep others waiting.
    const shown = [];
    for (const [by, words] of LISTS) {
      const found = await api.facets(query, by, signal).catch(() => null);
      if (query !== this.#query) return;
      if (found?.values.some(({ value }) => value !== null)) shown.push(this.#list(by, words, found));
    }
    this.#lists.replaceChildren(...shown);
  }

  #list(by, words, { values, total }) {
    const headings = ["", "calls", "changes", "refused", "before"].map((name) => element("th", { scope: "col" }, name || words));
    const told = values.reduce((sum, { calls }) => sum + calls, 0);
    return element("table", { class: `facet facet-${by}` },
      element("thead", {}, element("tr", {}, ...headings)),
      element("tbody", {}, ...values.map((value) => this.#row(value)),
        total > told ? element("tr", {}, element("th", { scope: "row", class: "hint" }, "all others"), element("td", {}, grouped(total - told))) : null));
  }

  #row({ value, filter, calls, changes, refused, before }) {
    const shown = visible(value ?? "none");
    const name = filter === null ? element("span", { class: "hint" }, shown) : element("button", {
      type: "button", class: "value", title: `${shown}\nPress to show only these`, onclick: () => this.#narrow(filter),
    }, element("bdi", {}, shown));
    return element("tr", {}, element("th", { scope: "row" }, name),
      ...[calls, changes, refused, before].map((number) => element("td", {}, number === null ? "" : grouped(number))));
  }
}
