// The active filters, each as a button that removes it.

import { element } from "./elements.js";
import { spaced, visible } from "./texts.js";
import { date } from "./times.js";
import { SPANS, TOKEN_FILTERS, isNarrowed, withFilter, withoutFilters } from "./view.js";

const MOMENTS = ["since", "until", "arrived_since", "arrived_until"];
const WORDS = {
  token_id: "token", token_name: "token", unknown_tokens: "token", client_ip: "client", invocation_id: "tool call", client_name: "agent", client_version: "agent's version", protocol_version: "MCP version", principal: "on behalf of", since: "from", until: "to",
  arrived_since: "arrived from", arrived_until: "arrived to",
};

/** Show the filters of a view in a list; `go(view)` is called with the view without one. */
export function showChips(list, view, tokens, go) {
  const chips = Object.entries(view.filters).map(([name, value]) =>
    chip(wordsOf(name), valueOf(name, value, view, tokens), () => go(withFilter(view, name, ""))));
  if (view.span) chips.push(chip("time", SPANS[view.span][0], () => go({ ...view, span: "" })));
  if (chips.length > 1) {
    chips.push(element("li", {}, element("button", {
      type: "button", class: "chip-clear", onclick: () => go(withoutFilters(view)),
    }, "Clear all")));
  }
  list.replaceChildren(...chips);
  list.hidden = !isNarrowed(view);
}

function wordsOf(name) {
  const [, plain, sign] = /^(.*?)([!<>]?)$/.exec(name);
  return (WORDS[plain] ?? spaced(plain)) + { "": "", "!": " not", ">": " at least", "<": " at most" }[sign];
}

function chip(name, value, remove) {
  const shown = visible(value);
  return element("li", {}, element("button", {
    type: "button", class: "chip", title: `${shown}\nPress to remove this filter`,
    "aria-label": `Remove filter: ${visible(name)} ${shown}`, onclick: remove,
  }, element("span", { class: "chip-name" }, visible(name)), " ",
  element("bdi", { class: "chip-value" }, shown),
  element("span", { class: "chip-cross", "aria-hidden": "true" }, "×")));
}

function valueOf(name, value, view, tokens) {
  if (TOKEN_FILTERS.includes(name)) return tokens.labelOf(view.filters);
  const isMoment = MOMENTS.includes(name) && !Number.isNaN(Date.parse(value));
  return isMoment ? date(new Date(value)) : value;
}
