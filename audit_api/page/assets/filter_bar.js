// The controls that filter the view.

import { element } from "./elements.js";
import { OUTCOMES, TOOL_OUTCOMES } from "./statuses.js";
import { visible } from "./texts.js";
import { SPANS, TOKEN_FILTERS, withFilter, withSpan } from "./view.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "TOOL"];
const STATUSES = [["2xx", "2xx success"], ["3xx", "3xx redirect"], ["4xx", "4xx refused"], ["5xx", "5xx failed"]];
const CALLS_ONLY = ["path", "method", "status"];

export class FilterBar {
  #view = null;
  #fields;
  #opener;
  #controls = {};
  #go;

  /** `go(view)` is called with the view that the reader chose. */
  constructor(form, go) {
    this.#go = go;
    for (const name of ["path", "tool"]) this.#controls[name] = this.#textField(name);
    for (const name of ["token", "method", "status", "outcome", "span"]) {
      this.#controls[name] = element("select", { id: `filter-${name}`, onchange: () => this.#selected(name) });
    }
    for (const name of ["since", "until"]) {
      this.#controls[name] = element("input", {
        id: `filter-${name}`, type: "datetime-local", step: "1", onchange: () => this.#apply(name, this.#moment(name)),
      });
    }
    this.#fields = element("div", { class: "fields", id: "filter-fields" },
      this.#labelled("path", "Path"), this.#labelled("token", "Token"), this.#labelled("method", "Method"),
      this.#labelled("status", "Status"), this.#labelled("outcome", "Outcome"), this.#labelled("tool", "Tool"),
      this.#labelled("span", "Time"), this.#labelled("since", "From"), this.#labelled("until", "To"));
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
    this.showTokens(tokens);
    offer(this.#controls.method, "All", METHODS.map((name) => [name, name]), filters.method);
    offer(this.#controls.status, "All", STATUSES, filters.status);
    offer(this.#controls.outcome, "All", Object.entries(view.byTool ? TOOL_OUTCOMES : OUTCOMES), filters.outcome);
    const between = filters.since || filters.until ? "between" : "";
    offer(this.#controls.span, "All time",
      [...Object.entries(SPANS).map(([name, [words]]) => [name, words]), ["between", "Between…"]], view.span || between);
    for (const name of ["path", "tool"]) this.#controls[name].value = filters[name] ?? "";
    for (const name of ["since", "until"]) {
      this.#controls[name].value = localInput(filters[name]);
      this.#field(name).hidden = !between;
    }
    for (const name of CALLS_ONLY) this.#field(name).hidden = view.byTool;
  }

  /** Open the filters and focus the first text field. */
  focus() {
    this.#unfold(true);
    const first = this.#view.byTool ? this.#controls.tool : this.#controls.path;
    first.focus();
    first.select();
  }

  #selected(name) {
    const { value } = this.#controls[name];
    if (name === "token") this.#go(tokenChosen(this.#view, value));
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

  #moment(name) {
    const { value } = this.#controls[name];
    return value ? new Date(value).toISOString() : "";
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

/** Return a moment as the value of a `datetime-local` field: local time, no zone. */
function localInput(iso) {
  const moment = new Date(iso ?? NaN);
  if (Number.isNaN(moment.getTime())) return "";
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
