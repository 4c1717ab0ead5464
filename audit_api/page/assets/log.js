// The part of the audit log that is shown: the pages loaded so far, newer calls, and the gaps.

import { merged, woven } from "./timeline.js";

/** How many calls a page that stays open keeps, if the reader has not asked for older ones. */
const MOST_LIVE = 500;

export class Log {
  #ask;
  #askGaps;
  #join;
  #entries = [];
  #gaps = [];
  /** What leads to the next page: { cursor, until }, or null. */
  #next = null;
  #room = MOST_LIVE;
  #future = 0;
  /** What has arrived since the newest page was asked for, which may be older; null if none is. */
  #taken = null;

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
  get hasGaps() { return this.#gaps.length > 0; }
  get hasMore() { return this.#next !== null; }
  /** How many calls more are left out, as they are dated in the future. */
  get future() { return this.#future; }
  get newest() { return this.#entries[0]?.created_at; }

  /** Replace the calls by the newest page. They stay if that fails. */
  async load(query, signal) {
    const [page, gaps] = await this.#firstPage(query, signal);
    [this.#entries, this.#next, this.#gaps] = [page.items, after(page), gaps];
    this.#room = MOST_LIVE;
    this.#future = page.future;
  }

  /**
   * Add newer calls, if rows may still move when they have been loaded. If the newest page does not
   * overlap the calls shown, it replaces them.
   */
  async refresh(query, signal, mayMove) {
    const taken = this.#taken = [];
    const [page, gaps] = await this.#firstPage(query, signal).finally(() => {
      if (this.#taken === taken) this.#taken = null;
    });
    if (!mayMove()) return;
    const joins = page.next === null || page.items.some(({ id }) => this.has(id));
    if (!joins) this.#next = after(page);
    this.#entries = merged(joins ? this.#join(this.#entries, page) : page.items, taken);
    this.#gaps = gaps;
    this.#future = page.future;
    this.#trim();
  }

  /** Add the page after the oldest entry shown. */
  async older(query, signal) {
    const { cursor, until } = this.#next;
    const page = await this.#ask(until ? { ...query, until } : query, { cursor, signal });
    this.#entries = merged(this.#entries, page.items);
    this.#next = after(page, until);
    this.#room = Math.max(MOST_LIVE, this.#entries.length);
  }

  /** Add entries that arrived. */
  take(entries) {
    this.#taken?.push(...entries);
    this.#entries = merged(this.#entries, entries);
    this.#trim();
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

  /** Forget the oldest calls beyond the room: "Show older calls" brings them back. */
  #trim() {
    if (this.#entries.length <= this.#room) return;
    this.#entries.length = this.#room;
    this.#next = { until: justAfter(this.#entries.at(-1).created_at) };
  }

  #firstPage(query, signal) {
    return Promise.all([this.#ask(query, { signal }), this.#askGaps(query, signal)]);
  }
}

/** Return `ask` for a list that begins so that the call `id` is in the middle of its first page; "" begins with the newest. */
export function askAround(ask, id) {
  return id === "" ? ask : (query, options) => ask({ ...query, around: id }, options);
}

/** Return the moment a microsecond later, or a millisecond at the end of a second; a `Date` has no finer ones. */
function justAfter(iso) {
  const [, second, fraction = ""] = /^(.{19})(?:\.(\d{1,6}))?/.exec(iso);
  const micros = Number(fraction.padEnd(6, "0")) + 1;
  if (micros === 1_000_000) return new Date(Date.parse(iso) + 1).toISOString();
  return `${second}.${String(micros).padStart(6, "0")}Z`;
}

function after(page, until) {
  return page.next === null ? null : { cursor: page.next, until };
}
