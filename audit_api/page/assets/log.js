// What is shown of the audit log: the pages loaded so far, what arrived since, and the gaps.

import { merged, woven } from "./timeline.js";

export class Log {
  #ask;
  #askGaps;
  #entries = [];
  #gaps = [];
  #next = null;

  /** `ask(question, { cursor, signal })` answers { items, next }; `askGaps` an array. */
  constructor(ask, askGaps) {
    this.#ask = ask;
    this.#askGaps = askGaps;
  }

  get entries() { return this.#entries; }
  get size() { return this.#entries.length; }
  get hasMore() { return this.#next !== null; }
  get newest() { return this.#entries[0]?.created_at; }

  /** Replace what is shown by the newest page. What was shown stays if that fails. */
  async load(question, signal) {
    const [page, gaps] = await this.#firstPage(question, signal);
    [this.#entries, this.#next, this.#gaps] = [page.items, page.next, gaps];
  }

  /**
   * Add what is new, if rows still may move when it is known. If it no longer joins on to what is
   * shown, it takes its place.
   */
  async refresh(question, signal, mayMove) {
    const [page, gaps] = await this.#firstPage(question, signal);
    if (!mayMove()) return;
    const joins = page.next === null || page.items.some(({ id }) => this.has(id));
    if (!joins) this.#next = page.next;
    this.#entries = joins ? merged(this.#entries, page.items) : page.items;
    this.#gaps = gaps;
  }

  /** Add the page after the oldest entry shown. */
  async older(question, signal) {
    const page = await this.#ask(question, { cursor: this.#next, signal });
    this.#entries = merged(this.#entries, page.items);
    this.#next = page.next;
  }

  /** Add entries that arrived. */
  take(entries) {
    this.#entries = merged(this.#entries, entries);
  }

  has(id) {
    return this.#entries.some((entry) => entry.id === id);
  }

  /** Return lines, newest first: { kind: "gap", … } or { kind: "entry", … }, each with its key. */
  lines() {
    return woven(this.#entries, this.#gaps, !this.hasMore).map(({ gap, entry }) => gap
      ? { kind: "gap", key: `gap ${gap.id} ${gap.to} ${gap.count}`, value: gap }
      : { kind: "entry", key: entry.id, value: entry });
  }

  #firstPage(question, signal) {
    return Promise.all([this.#ask(question, { signal }), this.#askGaps(question, signal)]);
  }
}
