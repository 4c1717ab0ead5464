// The filter in use as a rule: TOML to paste into the file of rules, and how often it would have fired.

import { OF_THE_AGENT } from "./agent.js";
import * as api from "./api.js";
import { element, say } from "./elements.js";
import { count } from "./texts.js";

const WEEK_MS = 7 * 24 * 3_600_000;

/** A rule is about what is yet to come: these are no part of one. */
const TIMES = ["since", "until", "arrived_since", "arrived_until"];
const CLASSES = ["2xx", "3xx", "4xx", "5xx", "other"];
const MORE = [
  '# new = "address"    # or "tool": the token never had it before',
  '# hours = { outside = "08:00-18:00", days = "mon-fri", zone = "UTC" }',
  '# every = "15m"      # one event at most in that time',
];

export class RulePanel {
  #panel;
  #verdict = element("p", { role: "status" });
  #text = element("textarea", { readonly: true, rows: 6, spellcheck: "false", "aria-label": "The rule in TOML" });
  #copy = element("button", { type: "button", onclick: () => this.#copyText() }, "Copy");
  #view = null;

  constructor(panel) {
    this.#panel = panel;
    panel.replaceChildren(element("summary", {}, "As a rule"), this.#verdict, this.#text, element("p", {}, this.#copy, element("span", { class: "hint" },
      " Paste it into the file that AUDIT_PUSH_RULES_FILE names; ", element("code", {}, "podwarden-audit rules test"), " tests it with all of its lines.")));
    panel.addEventListener("toggle", () => this.#load());
  }

  /** Offer the filters of a view as a rule; null, or a view without filters, offers none. */
  async show(view) {
    this.#view = view;
    this.#panel.hidden = view === null || lasting(view).length === 0;
    await this.#load();
  }

  async #load() {
    const view = this.#view;
    if (!this.#panel.open || this.#panel.hidden) return;
    const isKnownLater = !view.byTool && lasting(view).some(([name]) => OF_THE_AGENT.includes(name.replace("!", "")));
    for (const part of [this.#text, this.#copy.parentElement]) part.hidden = isKnownLater;
    if (isKnownLater) {
      say(this.#verdict, "Rules by the agent are about tool calls: show those to make one.");
      return;
    }
    this.#write(view);
    const verdict = await fired(view).catch(() => null);
    if (view !== this.#view) return;
    say(this.#verdict, verdict === null ? "How often it would have fired is not known now." : `It would have fired ${count(verdict, "time")} in the last 7 days.`);
  }

  /** Write the rule, if it is another one: the reader may have selected a part of it. */
  #write(view) {
    const text = ruleText(view);
    if (this.#text.value === text) return;
    this.#text.value = text;
    say(this.#verdict, "…");
    say(this.#copy, "Copy");
  }

  async #copyText() {
    try {
      await navigator.clipboard.writeText(this.#text.value);
      say(this.#copy, "Copied");
    } catch {
      this.#text.select();  // without clipboard access (plain HTTP) the reader copies
    }
  }
}

function lasting({ filters }) {
  return Object.entries(filters).filter(([name]) => !TIMES.includes(name));
}

async function fired(view) {
  const since = new Date(Date.now() - WEEK_MS).toISOString();
  const query = { ...Object.fromEntries(lasting(view)), since };
  const { buckets } = await api.stats(query, { byTool: view.byTool, zone: "UTC", offset: "+00:00" });
  return buckets.reduce((sum, bucket) => sum + CLASSES.reduce((calls, name) => calls + bucket[name], 0), 0);
}

function ruleText(view) {
  const filters = lasting(view);
  // What is encoded ends no string of TOML; what is not is easier to read.
  const query = new URLSearchParams(view.byTool ? [["show", "tools"], ...filters] : filters).toString()
    .replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%21", "!");
  return ["[[rule]]", `name = "${nameOf(filters)}"`, `filter = "${query}"`, ...MORE, ""].join("\n");
}

function nameOf(filters) {
  const word = ([name, value]) => ({ true: name, false: `not-${name}` })[value] ?? value;
  const words = filters.map(word).join("-").toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return words.slice(0, 40).replaceAll(/^-+|-+$/g, "") || "my-rule";
}
