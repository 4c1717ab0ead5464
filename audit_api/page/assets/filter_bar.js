// The controls that filter the view.

import { element } from "./elements.js";
import { OUTCOMES, TOOL_OUTCOMES } from "./statuses.js";
import { SearchBox } from "./search_box.js";
import { visible } from "./texts.js";
import { fromInput, toInput } from "./times.js";
import { SPANS, TOKEN_FILTERS, withFilter, withSearch, withSpan } from "./view.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "TOOL"];
const STATUSES = [["2xx", "2xx success"], ["3xx", "3xx redirect"], ["4xx", "4xx client error"], ["5xx", "5xx failed"]];
/** The filters that the search suggests, with the values that are always known. */
const KNOWN = {
  token_name: [], tool: [], method: METHODS, status: ["2xx", "4xx", "5xx", "401", "403", "404"], path: [], object: [], changes: ["true"],
  refused: ["true"], outcome: Object.keys(OUTCOMES), client_ip: [], user_agent: [], request_id: [], instance: [], session: [],
  client_name: [], client_version: [], protocol_version: [], principal: [], duration_ms: [],
};
const CALLS_ONLY = ["path", "method", "status"];

export class FilterBar {
  #view = null;
  #fields;
  #opener;
  #controls = {};
  #go;
  #search;

  /** `go(view)` is called with the view that the reader chose; `known()` returns values by filter. */
  constructor(form, go, known) {
    this.#go = go;
    this.#search = new SearchBox((filters) => go(withSearch(this.#view, filters)), () => ({ ...KNOWN, ...known() }));
    for (const name of ["path", "tool"]) this.#controls[name] = this.#textField(name);
    for (const name of ["token", "method", "status", "outcome", "span", "zone"]) {
      this.#controls[name] = element("select", { id: `filter-${name}`, onchange: () => this.#selected(name) });
    }
    for (const name of ["since", "until"]) {
      this.#controls[name] = element("input", {
        id: `filter-${name}`, type: "datetime-local", step: "1", onchange: () => this.#apply(name, fromInput(this.#controls[name].value)),
      });
    }
    this.#fields = element("div", { class: "fields", id: "filter-fields" }, this.#search.element,
      this.#labelled("path", "Path"), this.#labelled("token", "Token"), this.#labelled("method", "Method"),
      this.#labelled("status", "Status"), this.#labelled("outcome", "Outcome"), this.#labelled("tool", "Tool"),
      this.#labelled("span", "Time"), this.#labelled("zone", "Times in"), this.#labelled("since", "From"), this.#labelled("until", "To"));
    this.#opener = element("button", {
      type: "button", class: "filters-opener", "aria-expanded": "false", "aria-controls": "filter-fields",
      onclick: () => this.#unfold(!form.classList.contains("unfolded")),
    }, "Filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.replaceChildren(this.#opener, this.#fields);
  }

  /** Offer the tokens. The control is hidden if there is only one. */
  showTokens(tokens) {
    const { filters } = this.#view;
    const name = TOKEN_FILTERS.find((filter) => filters[filter]);
    const chosen = name ? `${name}=${filters[name]}` : "";
    const known = tokens.options();
    offer(this.#controls.token, "All tokens", known, chosen, tokens.labelOf(filters));
    this.#field("token").hidden = known.length < 2;
  }

  /** Show the filters of a view in the controls. */
  show(view, tokens) {
    this.#view = view;
    const { filters } = view;
    this.#search.show(filters);
    this.showTokens(tokens);
    offer(this.#controls.method, "All", METHODS.map((name) => [name, name]), filters.method);
    offer(this.#controls.status, "All", STATUSES, filters.status);
    offer(this.#controls.outcome, "All", Object.entries(view.byTool ? TOOL_OUTCOMES : OUTCOMES), filters.outcome);
    offer(this.#controls.zone, "Local time", [["utc", "UTC"]], view.isUtc ? "utc" : "");
    const between = filters.since || filters.until ? "between" : "";
    offer(this.#controls.span, "All time",
      [...Object.entries(SPANS).map(([name, [words]]) => [name, words]), ["between", "Between…"]], view.span || between);
    for (const name of ["path", "tool"]) this.#controls[name].value = filters[name] ?? "";
    for (const name of ["since", "until"]) {
      this.#controls[name].value = toInput(filters[name]);
      this.#field(name).hidden = !between;
    }
    for (const name of CALLS_ONLY) this.#field(name).hidden = view.byTool || view.isBoth;
    this.#field("outcome").hidden = view.isBoth;
  }

  /** Open the filters and focus the search. */
  focus() {
    this.#unfold(true);
    this.#search.focus();
  }

  /** Say what the API finds wrong with the filters. */
  explain(problem) {
    this.#search.explain(problem);
  }

  #selected(name) {
    const { value } = this.#controls[name];
    if (name === "zone") this.#go({ ...this.#view, isUtc: value !== "" });
    else if (name === "token") this.#go(tokenChosen(this.#view, value));
    else if (name !== "span") this.#apply(name, value);
    else if (value !== "between") this.#go(withSpan(this.#view, value));
    else this.#askBetween();
  }

  #askBetween() {
    for (const name of ["since", "until"]) this.#field(name).hidden = false;
    this.#controls.since.focus();
  }

  #apply(name, value) {
    const view = ["since", "until"].includes(name) ? { ...this.#view, span: "" } : this.#view;
    if ((view.filters[name] ?? "") !== value) this.#go(withFilter(view, name, value));
  }

  #textField(name) {
    const apply = () => this.#apply(name, this.#controls[name].value.trim());
    return element("input", {
      id: `filter-${name}`, type: "search", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: name === "path" ? "prefix, or *pattern*" : "name of a tool",
      onchange: apply,
      oninput: (event) => event.target.value === "" && apply(),
    });
  }

  #labelled(name, words) {
    return element("div", { class: `field field-${name}` },
      element("label", { for: `filter-${name}` }, words), this.#controls[name]);
  }

  #field(name) {
    return this.#controls[name].parentElement;
  }

  #unfold(isUnfolded) {
    this.#opener.parentElement.classList.toggle("unfolded", isUnfolded);
    this.#opener.setAttribute("aria-expanded", String(isUnfolded));
  }
}

/** Offer options, and the chosen one even if it is not among them: the URL may contain any. */
function offer(select, all, options, chosen = "", label = chosen) {
  const there = chosen === "" || options.some(([value]) => value === chosen);
  const offered = [["", all], ...options, ...(there ? [] : [[chosen, label]])];
  select.replaceChildren(...offered.map(([value, words]) => element("option", { value }, visible(words))));
  select.value = chosen;
}

function tokenChosen(view, chosen) {
  const end = chosen.indexOf("=");
  if (chosen) return withFilter(view, chosen.slice(0, end), chosen.slice(end + 1));
  return TOKEN_FILTERS.reduce((narrowed, name) => withFilter(narrowed, name, ""), view);
}
