// The tool calls that are shown, and below those that are open the API calls that they made.

import * as api from "./api.js";
import { Log } from "./log.js";

export class ToolLog {
  #log = new Log(askInvocations, (question, signal) => question.invocation_id ? [] : api.gaps(question, signal));
  #calls = new Map();

  get entries() { return this.#log.entries; }
  get size() { return this.#log.size; }
  get hasMore() { return this.#log.hasMore; }
  get newest() { return this.#log.newest; }

  async load(question, signal) {
    await this.#log.load(question, signal);
    this.#calls.clear();
    if (question.invocation_id) await this.toggle(question.invocation_id);
  }

  async refresh(question, signal, mayMove) {
    await this.#log.refresh(question, signal, mayMove);
    await Promise.all([...this.#calls.keys()].map((id) => this.#open(id)));
  }

  older(question, signal) {
    return this.#log.older(question, signal);
  }

  has(id) {
    return this.#log.has(id);
  }

  /** Show the API calls of a tool call, or stop showing them. */
  async toggle(id) {
    if (!this.#calls.delete(id)) await this.#open(id);
  }

  /** Return lines as `Log` does; kinds are "tool", "call" and "gap". */
  lines() {
    return this.#log.lines().flatMap((line) => {
      if (line.kind === "gap") return [line];
      const { id, outcome, api_calls: number } = line.value;
      const calls = this.#calls.get(id);
      return [
        { kind: "tool", key: `${id} ${outcome} ${number}`, value: line.value, isOpen: Boolean(calls) },
        ...(calls ?? []).map((call) => ({ kind: "call", key: `${id} ${call.id}`, value: call })),
        ...(calls?.length === 0 ? [{ kind: "no calls", key: `${id} no calls`, value: line.value }] : []),
      ];
    });
  }

  async #open(id) {
    this.#calls.set(id, (await api.invocation(id)).calls);
  }
}

/** A link to one tool call shows that one, whatever else there is. */
async function askInvocations(question, options) {
  const { invocation_id: id } = question;
  if (id === undefined) return api.invocations(question, options);
  return { items: [await api.invocation(id, options.signal)], next: null };
}
