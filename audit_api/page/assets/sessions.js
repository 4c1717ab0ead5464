// The list of agents' sessions, last used first. It is asked for only while it is open.

import { agentName } from "./agent.js";
import * as api from "./api.js";
import { filterButton } from "./cells.js";
import { byId, element, say } from "./elements.js";
import { Table, cell, tableRow } from "./table.js";
import { count, visible } from "./texts.js";
import { timeElement } from "./times.js";
import { TOKEN_FILTERS } from "./view.js";

const COLUMNS = [["agent", "Agent"], ["time", "Last call"], ["token", "Token"], ["calls-made", "Tool calls"], ["failures", "Failed"], ["calls-made", "API calls"]];
const FILTERS = [...TOKEN_FILTERS, "tool", "outcome", "client_name", "client_version", "protocol_version", "principal", "user_agent", "since", "until"];

export class Sessions {
  #place = byId("sessions");
  #table = new Table(byId("sessions-table"));
  #older = byId("sessions-older");
  #none = byId("sessions-none");
  #narrow;
  #query = null;
  #listed = new Map();
  #next = null;

  /** `narrow(name, value)` adds a filter; `failed(error)` is told when the API does not respond. */
  constructor(narrow, failed) {
    this.#narrow = narrow;
    this.#place.addEventListener("toggle", () => this.load(this.#query).catch(failed));
    this.#older.addEventListener("click", () => this.#add({ cursor: this.#next }).catch(failed));
  }

  /** Offer the sessions that have a tool call for this query; null offers none. */
  async load(query, signal) {
    this.#place.hidden = query === null || "session" in query || "invocation_id" in query;
    if (query !== this.#query) {
      this.#query = query;
      this.#listed.clear();
      this.#table.begin("Sessions, last used first", COLUMNS);
    }
    if (this.#place.open && !this.#place.hidden) await this.#add({ signal });
  }

  /** Add a page: the one after `cursor`, or the first one. */
  async #add({ cursor, signal }) {
    const query = this.#query;
    const known = Object.entries(query).filter(([name]) => FILTERS.includes(name));
    const page = await api.sessions(Object.fromEntries(known), { cursor, signal });
    if (query !== this.#query) return;
    const joins = page.items.some(({ id }) => this.#listed.has(id));
    if (!cursor && !joins) this.#listed.clear();
    if (cursor || !joins) this.#next = page.next;
    for (const session of page.items) this.#listed.set(session.id, session);
    this.#show();
  }

  #show() {
    const sessions = [...this.#listed.values()].sort((one, other) => Date.parse(other.last_call) - Date.parse(one.last_call));
    const lines = sessions.map((session) => ({ key: JSON.stringify(session), session }));
    this.#table.show(lines, { make: ({ session }) => this.#row(session) });
    this.#older.hidden = this.#next === null;
    say(this.#none, lines.length ? "" : "No tool call of a session matches.");
  }

  #row(session) {
    return tableRow({},
      cell("agent", filterButton(agentName(session) ?? "not known", "session", () => this.#narrow("session", session.id))),
      cell("time", timeElement(session.last_call)),
      cell("token", element("bdi", {}, visible(session.token_name))),
      cell("calls-made", count(session.tool_calls, "call")),
      cell("failures", session.failures || "–"),
      cell("calls-made", count(session.api_calls, "call")));
  }
}
