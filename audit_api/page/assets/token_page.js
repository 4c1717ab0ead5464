// The page of one token: who has it, when it was used, and what it did. Each figure leads to its calls.

import * as api from "./api.js";
import { byId, element } from "./elements.js";
import { count, grouped, visible } from "./texts.js";
import { date, exact } from "./times.js";
import { TOKEN_FILTERS } from "./view.js";

/** How the filters by token are asked for: by an id, a name, or all unknown ones. */
const UNKNOWN_TOKENS = "Unknown tokens";
const MOMENTS = [["made", "created_at"], ["expires", "expires_at"], ["revoked", "revoked_at"]];
/** Calls that are counted: [figure, noun, the filters that ask for them beside those of the token]. */
const FIGURES = [
  ["calls", "API call", {}], ["changes", "change", { changes: "true" }], ["refused", "refused", { refused: "true" }],
  ["failed", "failed", { status: "5xx" }],
];

export class TokenPage {
  #part = byId("token-page");
  #go;
  #shown = "";

  /** `go(filters, { byTool })` is called with the filters that ask for the calls of a figure. */
  constructor(go) {
    this.#go = go;
  }

  /** Tell of the token that a query is about; a query about none, or several, hides the page. */
  async show(query, signal) {
    const token = tokenOf(query);
    const told = token === null ? null : await api.token(token, query, signal);
    if (signal?.aborted) return;
    this.#part.hidden = told === null;
    const news = told === null ? "" : JSON.stringify([told, query]);
    if (news === this.#shown) return;  // what has the focus stays
    this.#shown = news;
    this.#part.replaceChildren(...(told === null ? [] : this.#parts(told, query)));
  }

  #parts(told, { since, until }) {
    const span = since || until ? { since: told.since, ...(until ? { until } : {}) } : { since: told.since };
    const base = { ...told.filter, ...span };
    const period = `${date(new Date(told.since))} to ${until ? date(new Date(until)) : "now"}`;
    return [
      element("h2", {}, "Token ", element("bdi", {}, visible(told.token_name))),
      element("p", { class: "hint" }, ...identity(told)),
      element("p", { class: "token-figures" }, ...this.#figures(told, base)),
      element("div", { class: "facet-lists" },
        this.#list("Tools", told.tools, base, { byTool: true }, ["tool calls", "failed"]),
        this.#list("Addresses", told.clients, base, {}, ["calls", "refused"]),
        this.#list("Objects changed", told.objects, { ...base, changes: "true" }, {}, ["changes", "refused"])),
      element("p", { class: "hint" }, `Counted from ${period}, without the other filters.`),
    ];
  }

  #figures(told, base) {
    const calls = FIGURES.map(([name, noun, further]) =>
      this.#figure(told[name], words(told[name], noun), { ...base, ...further }));
    return [...calls, this.#figure(told.tool_calls, count(told.tool_calls, "tool call"), base, { byTool: true })]
      .flatMap((figure, index) => index ? [" · ", figure] : [figure]);
  }

  #figure(number, shown, filters, how = {}) {
    return number === 0 ? element("span", {}, shown) : this.#link(shown, filters, how);
  }

  #link(shown, filters, how) {
    return element("button", { type: "button", class: "value", title: "Press to show these calls", onclick: () => this.#go(filters, how) }, shown);
  }

  #list(title, values, base, how, [calls, other]) {
    const headings = [title, calls, other].map((name) => element("th", { scope: "col" }, name));
    const rows = values.map((value) => element("tr", {},
      element("th", { scope: "row" }, value.filter === null ? element("span", { class: "hint" }, "none")
        : this.#link(element("bdi", {}, visible(value.value)), { ...base, ...value.filter }, how)),
      element("td", {}, grouped(value.calls)), element("td", {}, grouped(value[other]))));
    const none = element("tr", {}, element("th", { scope: "row", class: "hint" }, "none"));
    return element("table", { class: "facet" }, element("thead", {}, element("tr", {}, ...headings)),
      element("tbody", {}, ...(rows.length ? rows : [none])));
  }
}

/** Return the id or the name of the one token that a query is about, or null. */
function tokenOf(query) {
  const [name] = TOKEN_FILTERS.filter((filter) => filter in query);
  if (name === undefined) return null;
  if (name === "unknown_tokens") return query[name] === "true" ? UNKNOWN_TOKENS : null;
  const [first, ...others] = query[name].split(/(?<!\\),/);
  return others.length ? null : first.replaceAll("\\,", ",");
}

function identity(told) {
  const known = [told.role, told.owner === null ? null : `owner ${told.owner}`, told.description, told.token_id].filter(Boolean).map(visible);
  const moments = MOMENTS.filter(([, name]) => told[name] !== null);
  const uses = [["first used", "first_used"], ["last used", "last_used"]];
  const dated = [...moments, ...uses].map(([word, name]) =>
    element("span", {}, `${word} `, element("time", { datetime: told[name] }, exact(new Date(told[name])))));
  return [...known.map((text) => element("bdi", {}, text)), ...dated].flatMap((part, index) => index ? [" · ", part] : [part]);
}

function words(number, noun) {
  return noun === "refused" || noun === "failed" ? `${grouped(number)} ${noun}` : count(number, noun);
}
