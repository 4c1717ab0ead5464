// Views that the reader has named: filters, time, columns. The browser keeps them.

import { element, say } from "./elements.js";
import { keep, kept } from "./storage.js";
import { visible } from "./texts.js";
import { readView, viewSearch } from "./view.js";

const STORED = "views";

export class SavedViews {
  #list = element("ul", { "aria-label": "Saved views" });
  #name = element("input", { id: "view-name", autocomplete: "off", maxlength: "80", required: true });
  #told = element("p", { class: "hint", role: "status" });
  #view;
  #go;

  /** `view()` returns the view that is shown; `go(view)` is called with the one that the reader chose. */
  constructor(menu, { view, go }) {
    this.#view = view;
    this.#go = go;
    const form = element("form", {}, element("label", { for: "view-name" }, "Name of this view"), this.#name, element("button", {}, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save(this.#name.value.trim());
    });
    menu.replaceChildren(element("summary", {}, "Views"), element("div", { class: "menu-panel" }, this.#list, form, this.#told));
    this.#show();
  }

  #save(name) {
    if (name === "") return;
    const search = viewSearch({ ...this.#view(), entry: "" });
    const others = views().filter((each) => each.name !== name);
    const isKept = keep(STORED, [...others, { name, search }]);
    this.#name.value = "";
    this.#show();
    say(this.#told, isKept ? `Saved as ${visible(name)}.` : "This browser keeps nothing: bookmark the address instead.");
  }

  #show() {
    const rows = views().map((each) => this.#row(each));
    this.#list.replaceChildren(...(rows.length ? rows : [element("li", { class: "hint" }, "None yet. Name what is shown to find it again here.")]));
  }

  #row({ name, search }) {
    const shown = visible(name);
    const row = element("li", {},
      element("a", { href: search || location.pathname, onclick: (event) => this.#open(event, search) }, element("bdi", {}, shown)),
      element("button", { type: "button", class: "quiet", "aria-label": `Rename ${shown}`, onclick: () => this.#askName(row, name) }, "Rename"),
      element("button", { type: "button", class: "quiet", "aria-label": `Delete ${shown}`, onclick: () => this.#delete(name) }, "Delete"));
    return row;
  }

  #open(event, search) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // in a tab or window of its own
    event.preventDefault();
    this.#go(readView(search));
  }

  #askName(row, name) {
    const field = element("input", { "aria-label": `New name of ${visible(name)}`, maxlength: "80", required: true, value: name });
    const form = element("form", {}, field, element("button", {}, "Rename"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rename(name, field.value.trim() || name);
    });
    row.replaceChildren(form);
    field.select();
  }

  #rename(name, next) {
    keep(STORED, views().filter((each) => each.name === name || each.name !== next)
      .map((each) => each.name === name ? { ...each, name: next } : each));
    this.#show();
    say(this.#told, `Renamed to ${visible(next)}.`);
    [...this.#list.querySelectorAll("a")].find((link) => link.textContent === visible(next))?.focus();
  }

  #delete(name) {
    keep(STORED, views().filter((each) => each.name !== name));
    this.#show();
    say(this.#told, `Deleted ${visible(name)}.`);
    this.#name.focus();
  }
}

function views() {
  const found = kept(STORED, []);
  return Array.isArray(found) ? found.filter(({ name, search }) => typeof name === "string" && typeof search === "string") : [];
}
