// Calls that arrive while the page is open. They are held back while the reader is reading, so that
// no row moves under a pointer, a finger or the focus.

import { byId, say } from "./elements.js";
import { grouped } from "./texts.js";

const SETTLE_MS = 200;
const TOP_PIXELS = 60;
const MOST_WAITING = 500;

export class Arrivals {
  #waiting = new Map();
  #number = 0;
  #timer = 0;
  #isPointedAt = false;
  #pill = byId("arrivals");
  #table;
  #isHeld;
  #show;

  /**
   * `show(entries, { isAsked })` is called with the calls that waited, or with null if they were too
   * many to keep; `isAsked` says that the reader has pressed the button.
   * `isHeld()` gives further reasons to hold calls back.
   */
  constructor(table, { show, isHeld }) {
    this.#table = table;
    this.#isHeld = isHeld;
    this.#show = show;
    table.addEventListener("pointerenter", (event) => { this.#isPointedAt = event.pointerType === "mouse"; });
    table.addEventListener("pointerleave", () => {
      this.#isPointedAt = false;
      this.settleSoon();
    });
    table.addEventListener("focusout", () => this.settleSoon());
    addEventListener("scroll", () => this.settleSoon(), { passive: true });
    this.#pill.addEventListener("click", () => {
      scrollTo({ top: 0 });
      this.#release({ isAsked: true });
    });
  }

  /** Whether the reader is reading, so that rows must not move. */
  get areHeld() {
    return this.#isHeld() || this.#isPointedAt || scrollY > TOP_PIXELS
      || (this.#table.contains(document.activeElement) && document.activeElement !== this.#table)
      || !document.getSelection().isCollapsed;
  }

  /** Keep a call until rows may move; a tool call that has changed meanwhile takes its own place. */
  add(entry) {
    const isKnown = this.#waiting.has(entry.id);
    if (!isKnown) this.#number += 1;
    if (isKnown || this.#waiting.size <= MOST_WAITING) this.#waiting.set(entry.id, entry);
    this.settleSoon();
  }

  /** Show the waiting calls after a short delay, or count them while the reader is reading. */
  settleSoon() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      if (this.areHeld) this.#count();
      else this.#release({ isAsked: false });
    }, SETTLE_MS);
  }

  forget() {
    this.#waiting.clear();
    this.#number = 0;
    this.#pill.hidden = true;
  }

  #release(how) {
    if (this.#number === 0) return;
    const entries = this.#waiting.size > MOST_WAITING ? null : [...this.#waiting.values()];
    this.forget();
    this.#show(entries, how);
  }

  #count() {
    if (this.#number === 0) return;
    say(this.#pill, `${grouped(this.#number)} new ${this.#number === 1 ? "call" : "calls"}`);
    this.#pill.hidden = false;
  }
}
