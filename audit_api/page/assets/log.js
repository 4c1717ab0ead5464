// The part of the audit log that is shown: the pages loaded so far, newer calls, and the gaps.

import { merged, woven } from "./timeline.js";

export class Log {
  #ask;
  #askGaps;
  #join;
  #entries = [];
  #gaps = [];
  #next = null;
  #future = 0;

  /**
   * `ask(query, { cursor, signal })` resolves to { items, next, future }; `askGaps` to an array.
   * `join(entries, page)` returns the entries shown with the newest page.
   */
  constructor(ask, askGaps, join = (shown, page) => merged(shown, page.items)) {
    this.#ask = ask;
    this.#askGaps = askGaps;
    this.#join = join;
  }

  get entries() { return this.#entries; }
  get size() { return this.#entries.length; }
  get hasMore() { return this.#next !== null; }
  /** How many calls more are left out, as they are dated in the future. */
  get future() { return this.#future; }
  get newest() { return this.#entries[0]?.created_at; }

  /** Replace the calls by the newest page. They stay if that fails. */
  async load(query, signal) {
    const [page, gaps] = await this.#firstPage(query, signal);
    [this.#entries, this.#next, this.#gaps] = [page.items, page.next, gaps];
    this.#future = page.future;
  }

  /**
   * Add newer calls, if rows may still move when they have been loaded. If the newest page does not
   * overlap the calls shown, it replaces them.
   */
  async refresh(query, signal, mayMove) {
    const [page, gaps] = await this.#firstPage(query, signal);
    if (!mayMove()) return;
    const joins = page.next === null || page.items.some(({ id }) => this.has(id));
    if (!joins) this.#next = page.next;
    this.#entries = joins ? this.#join(this.#entries, page) : page.items;
    this.#gaps = gaps;
    this.#future = page.future;
  }

  /** Add the page after the oldest entry shown. */
  async older(query, signal) {
    const page = await this.#ask(query, { cursor: this.#next, signal });
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

  /** Return lines, newest first: { kind: "gap" or "entry", key, value }. */
  lines() {
    return woven(this.#entries, this.#gaps, !this.hasMore).map(({ gap, entry }) => gap
      ? { kind: "gap", key: `gap ${gap.id} ${gap.to} ${gap.count}`, value: gap }
      : { kind: "entry", key: entry.id, value: entry });
  }

  #firstPage(query, signal) {
    return Promise.all([this.#ask(query, { signal }), this.#askGaps(query, signal)]);
  }
}
