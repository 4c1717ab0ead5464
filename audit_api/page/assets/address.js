// The view in the URL, and navigation between views.

import { readView, viewSearch } from "./view.js";

export class Address {
  #changed;

  /** The view in the URL. */
  view = readView(location.search);

  /** `changed({ isOther })` is called after each navigation; `isOther` is false if only the details differ. */
  constructor(changed) {
    this.#changed = changed;
    addEventListener("popstate", () => this.#arrive(readView(location.search)));
  }

  /** Go to another view. Adds a history entry, unless `replaces`. */
  go(next, { replaces = false } = {}) {
    if (viewSearch(next) === viewSearch(this.view)) return;
    const address = `${location.pathname}${viewSearch(next)}`;
    const opens = next.entry !== "" && this.view.entry === "";
    if (replaces) history.replaceState(history.state, "", address);
    else history.pushState({ opens }, "", address);
    this.#arrive(next);
  }

  /** Close the details of a call: go back in the history if this page opened them. */
  leaveEntry() {
    if (history.state?.opens) history.back();
    else this.go({ ...this.view, entry: "" }, { replaces: true });
  }

  #arrive(next) {
    const before = this.view;
    this.view = next;
    this.#changed({ isOther: searchBut(before) !== searchBut(next) });
  }
}

function searchBut(view) {
  return viewSearch({ ...view, entry: "" });
}
