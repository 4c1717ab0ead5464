// The tool calls that are shown, and the API calls of those that are expanded.

import * as api from "./api.js";
import { Log, askAround } from "./log.js";
import { renewed } from "./timeline.js";

export class ToolLog {
  // A tool call changes until it has ended: it may then no longer be one that was asked for.
  #log;
  #calls = new Map();

  /** With the id of a call as `around`, the list begins so that it is in the middle of the first page. */
  constructor(around = "") {
    this.#log = new Log(askAround(askInvocations, around), (query, signal) => query.invocation_id ? [] : api.gaps(query, signal), renewed);
  }

  get entries() { return this.#log.entries; }
  get size() { return this.#log.size; }
  get hasGaps() { return this.#log.hasGaps; }
  /** Whether a tool call is expanded. */
  get isOpen() { return this.#calls.size > 0; }
  get hasMore() { return this.#log.hasMore; }
  get future() { return this.#log.future; }
  get newest() { return this.#log.newest; }

  async load(query, signal) {
    await this.#log.load(query, signal);
    this.#calls.clear();
    if (query.invocation_id) await this.toggle(query.invocation_id);
  }

  async refresh(query, signal, mayMove) {
    await this.#log.refresh(query, signal, mayMove);
    for (const id of this.#calls.keys()) if (!this.has(id)) this.#calls.delete(id);
    await Promise.all([...this.#calls.keys()].map((id) => this.#open(id)));
  }

  older(query, signal) {
    return this.#log.older(query, signal);
  }

  /** Add tool calls that arrived, or have ended. */
  take(invocations) {
    this.#log.take(invocations);
  }

  has(id) {
    return this.#log.has(id);
  }

  /** Expand or collapse a tool call. */
  async toggle(id) {
    if (!this.#calls.delete(id)) await this.#open(id);
  }

  /** Return lines as `Log` does; kinds are "tool", "call", "no calls" and "gap". */
  lines() {
    return this.#log.lines().flatMap((line) => {
      if (line.kind === "gap") return [line];
      const { id, outcome } = line.value;
      const calls = this.#calls.get(id);
      // Those that came after it was recorded are counted with it once they are known.
      const number = Math.max(line.value.api_calls, calls?.length ?? 0);
      const value = { ...line.value, api_calls: number };
      return [
        { kind: "tool", key: `${id} ${outcome} ${number}`, value, isOpen: Boolean(calls) },
        ...(calls ?? []).map((call) => ({ kind: "call", key: `${id} ${call.id}`, value: call })),
        ...(calls?.length === 0 ? [{ kind: "no calls", key: `${id} no calls`, value: line.value }] : []),
      ];
    });
  }

  async #open(id) {
    this.#calls.set(id, (await api.invocation(id)).calls);
  }
}

/** Return a page of tool calls; only the one in `invocation_id`, if the view has that filter. */
async function askInvocations(query, options) {
  const { invocation_id: id } = query;
  if (id === undefined) return api.invocations(query, options);
  return { items: [await api.invocation(id, options.signal)], next: null, future: 0 };
}
