// One box for all filters: it shows those in use, takes others, and suggests what there is.

import { element, say } from "./elements.js";
import { readSearch, searchText, suggestions } from "./search_text.js";
import { keep, kept } from "./storage.js";
import { visible } from "./texts.js";

const STORED = "searches";
const MOST_KEPT = 8;

export class SearchBox {
  #input;
  #options = element("datalist", { id: "search-options" });
  #problem = element("p", { id: "search-problem", class: "complaint", role: "alert" });
  #known;
  element;

  /** `search(filters)` is called with the filters that were written; `known()` returns values by filter. */
  constructor(search, known) {
    this.#known = known;
    this.#input = element("input", {
      id: "search", type: "search", list: "search-options", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "method=POST,DELETE status!=404 object=clusters/12 duration_ms>=500", "aria-describedby": "search-problem",
      oninput: () => this.#suggest(), onfocus: () => this.#suggest(),
      onkeydown: (event) => event.key === "Enter" && this.#submit(search),
      onsearch: () => this.#input.value === "" && this.#submit(search),
    });
    this.element = element("div", { class: "field field-search" },
      element("label", { for: "search" }, "Search"), this.#input, this.#options, this.#problem);
  }

  /** Show the filters in use. */
  show(filters) {
    if (document.activeElement !== this.#input || this.#input.value === "") this.#input.value = visible(searchText(filters));
    this.explain("");
  }

  /** Say what is wrong; "" says nothing. */
  explain(problem) {
    say(this.#problem, problem);
    this.#input.setAttribute("aria-invalid", String(problem !== ""));
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  #submit(search) {
    const text = this.#input.value.trim();
    const { filters, problem } = readSearch(text);
    this.explain(problem ?? "");
    if (problem) return;
    if (text !== "") keep(STORED, [text, ...kept(STORED, []).filter((other) => other !== text)].slice(0, MOST_KEPT));
    search(filters);
  }

  #suggest() {
    const found = suggestions(this.#input.value, this.#known(), kept(STORED, []));
    this.#options.replaceChildren(...found.slice(0, 30).map((value) => element("option", { value })));
  }
}
