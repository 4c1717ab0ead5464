// Who read the log: what the audit API has recorded of its readers, newest first, in a dialog.

import * as api from "./api.js";
import { filterButton } from "./cells.js";
import { byId, element, say } from "./elements.js";
import { badge } from "./statuses.js";
import { Table, cell, tableRow } from "./table.js";
import { count, grouped, visible } from "./texts.js";
import { timeElement } from "./times.js";

const KINDS = {
  question: "Question", export: "Export", stream: "Live stream", evidence: "Evidence", sign_in: "Signed in", refused: "Refused",
};
const COLUMNS = [["time", "Time"], ["who", "Reader"], ["what", "What"], ["asked", "Question"], ["rows", "Rows told"], ["status", "Status"]];
const HASH = "#who-read";
const SIGNED_OUT = "signed out";

export class Readers {
  #dialog = byId("readers");
  #table = new Table(byId("readers-table"));
  #kind = byId("readers-kind");
  #name = byId("readers-name");
  #older = byId("readers-older");
  #words = byId("readers-words");
  #signedOut;
  #reads = [];
  #next = null;
  #asked = 0;

  /** `signedOut(error)` is called if the API requires credentials. */
  constructor(signedOut) {
    this.#signedOut = signedOut;
    byId("readers-open").addEventListener("click", () => this.#open());
    byId("readers-close").addEventListener("click", () => this.#dialog.close());
    this.#kind.replaceChildren(
      element("option", { value: "" }, "All"),
      ...Object.entries(KINDS).map(([value, words]) => element("option", { value }, words)));
    for (const field of [this.#kind, this.#name]) field.addEventListener("change", () => this.#load());
    this.#older.addEventListener("click", () => this.#load(this.#next));
    this.#dialog.addEventListener("close", () => {
      if (location.hash === HASH && this.#dialog.returnValue !== SIGNED_OUT) history.replaceState(history.state, "", location.pathname + location.search);
    });
  }

  /** Open the dialog if the page's address asks for it. */
  openIfAsked() {
    if (location.hash === HASH && !this.#dialog.open) this.#open();
  }

  /** Empty the dialog and close it; after the next sign-in it opens again. */
  forget() {
    this.#asked += 1;
    this.#reads = [];
    this.#table.begin("", []);
    this.#dialog.close(SIGNED_OUT);
  }

  #open() {
    history.replaceState(history.state, "", HASH);
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
    this.#load();
  }

  async #load(cursor = null) {
    this.#asked += 1;
    const asked = this.#asked;
    const query = { kind: this.#kind.value || null, reader: this.#name.value.trim().replaceAll(",", "\\,") || null };
    try {
      const page = await api.reads(query, { cursor });
      if (asked !== this.#asked) return;
      this.#reads = cursor === null ? page.items : [...this.#reads, ...page.items];
      this.#next = page.next;
      this.#show();
    } catch (error) {
      if (error instanceof api.SignInNeededError) this.#signedOut(error);
      else say(this.#words, `${visible(error.message)}.`);
    }
  }

  #show() {
    this.#table.begin("Reads of the audit log, newest first", COLUMNS);
    this.#table.show(this.#reads.map((read) => ({ key: read.id, read })), { make: ({ read }) => this.#row(read) });
    this.#older.hidden = this.#next === null;
    say(this.#words, this.#reads.length ? "" : "No read matches.");
  }

  #row(read) {
    return tableRow({ class: `read read-${read.kind}` },
      cell("time", timeElement(read.created_at)),
      cell("who", this.#reader(read), element("span", { class: "hint" }, read.client_ip === null ? "" : ` ${read.client_ip}`)),
      cell("what", KINDS[read.kind] ?? visible(read.kind), read.times > 1 ? element("span", { class: "hint" }, ` ${count(read.times, "time")}`) : ""),
      cell("asked", element("bdi", {}, visible(read.question))),
      cell("rows", rowsOf(read)),
      cell("status", read.status_code === null ? "" : badge(read.status_code)));
  }

  #reader({ reader, role, kind }) {
    if (reader === null) return kind === "refused" ? "not known" : "admitted by PodWarden";
    const name = role === null ? reader : `${reader} (${role})`;
    return filterButton(name, "reader", () => {
      this.#name.value = reader;
      this.#load();
    });
  }
}

function rowsOf({ kind, rows_told: rows, status_code: status, ended_at: ended }) {
  if (rows !== null) return kind === "sign_in" ? "" : grouped(rows);
  return ["export", "evidence", "stream"].includes(kind) && status === null && ended === null ? "under way" : "";
}
