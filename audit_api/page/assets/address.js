// The view in the address: where the reader is, and the way there and back.

import { readView, viewSearch } from "./view.js";

export class Address {
  #changed;

  /** The view that the address names. */
  view = readView(location.search);

  /** `changed({ isOther })` is called after each step; `isOther` unless only the details differ. */
  constructor(changed) {
    this.#changed = changed;
    addEventListener("popstate", () => this.#arrive(readView(location.search)));
  }

  /** Go to another view, as a step that the Back button takes back. */
  go(next, { replaces = false } = {}) {
    if (viewSearch(next) === viewSearch(this.view)) return;
    const address = `${location.pathname}${viewSearch(next)}`;
    const opens = next.entry !== "" && this.view.entry === "";
    if (replaces) history.replaceState(history.state, "", address);
    else history.pushState({ opens }, "", address);
    this.#arrive(next);
  }

  /** Leave the details of a call: back to where they were opened, if that was on this page. */
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
