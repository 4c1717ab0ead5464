// Tool calls and API calls in one order of time. API calls stand below the tool call that made them.

import * as api from "./api.js";
import { Log, askAround } from "./log.js";
import { renewed } from "./timeline.js";

/** How many API calls the API tells with each tool call. */
const TOLD = 20;

export class TimelineLog {
  // A tool call changes until it has ended, and API calls then stand below it.
  #log;
  #closed = new Set();
  #whole = new Map();

  /** With the id of a call as `around`, the list begins so that it is on the first page. */
  constructor(around = "") {
    this.#log = new Log(askAround(api.timeline, around), api.gaps, renewed);
  }

  get entries() { return this.#log.entries; }
  get size() { return this.#log.size; }
  get hasGaps() { return this.#log.hasGaps; }
  /** What arrives is not held against what is open, but asked for anew. */
  get isOpen() { return true; }
  get hasMore() { return this.#log.hasMore; }
  get future() { return this.#log.future; }
  get newest() { return this.#log.newest; }

  load(query, signal) { return this.#log.load(query, signal); }
  refresh(query, signal, mayMove) { return this.#log.refresh(query, signal, mayMove); }
  older(query, signal) { return this.#log.older(query, signal); }

  has(id) {
    return this.entries.some((item) => item.id === id || item.calls?.some((call) => call.id === id));
  }

  /** Collapse a tool call; or expand it, with all its API calls. */
  async toggle(id) {
    const { api_calls: number, calls } = this.entries.find((item) => item.id === id);
    const isPart = calls.length >= TOLD && number > calls.length && !this.#whole.has(id);
    if (!this.#closed.has(id) && !isPart) {
      this.#closed.add(id);
      return;
    }
    if (isPart) this.#whole.set(id, (await api.invocation(id)).calls);
    this.#closed.delete(id);
  }

  /** Return lines as `Log` does; kinds are "tool", "call", "more calls", "alone" and "gap". */
  lines() {
    const made = new Set(this.entries.flatMap((item) => item.calls?.map((call) => call.id) ?? []));
    return this.#log.lines().flatMap((line) => {
      if (line.kind === "gap") return [line];
      if (line.value.kind === "entry") return made.has(line.key) ? [] : [{ ...line, kind: "alone" }];
      return this.#toolLines(line.value);
    });
  }

  #toolLines(value) {
    const { id, outcome, api_calls: number } = value;
    const isOpen = !this.#closed.has(id);
    const calls = isOpen ? this.#whole.get(id) ?? value.calls : [];
    const left = isOpen && calls.length === TOLD ? number - calls.length : 0;
    return [
      { kind: "tool", key: `${id} ${outcome} ${number}`, value, isOpen: calls.length > 0 },
      ...calls.map((call) => ({ kind: "call", key: `${id} ${call.id}`, value: call })),
      ...(left > 0 ? [{ kind: "more calls", key: `${id} ${left} more`, value: left }] : []),
    ];
  }
}
