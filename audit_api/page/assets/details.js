// The details of one call: beside the table, or as a modal dialog on narrow screens.

import { agentName } from "./agent.js";
import { callButtons, copyButton } from "./copying.js";
import { element } from "./elements.js";
import { aheadBy } from "./future.js";
import { showSeal } from "./seal.js";
import { OUTCOMES, TOOL_OUTCOMES, badge, meaning, toolMeaning } from "./statuses.js";
import { duration, length, visible } from "./texts.js";
import { exact } from "./times.js";

const BESIDE = matchMedia("(min-width: 70rem)");

/** The fields of an API call: [name, label, whether the value can be a filter]. */
const ENTRY_FIELDS = [
  ["token_name", "Token", true], ["token_id", "Token id", true], ["method", "Method", true], ["path", "Path", true], ["object", "Object", true],
  ["outcome", "Outcome", true], ["duration_ms", "Duration", false], ["tool", "Tool", true],
  ["attribution", "Attribution", false], ["client_ip", "Client", true], ["user_agent", "User agent", true],
  ["request_id", "Request id", true], ["instance", "Sidecar", true], ["id", "Entry id", false],
];
const TOOL_FIELDS = [
  ["token_name", "Token", true], ["token_id", "Token id", true], ["tool", "Tool", true], ["outcome", "Outcome", true],
  ["error_code", "JSON-RPC error", false], ["api_calls", "API calls", false], ["rounds", "Requests", false],
  ["duration_ms", "Duration", false],
  ["client_name", "Agent", true], ["session", "Session", true], ["client_version", "Agent's version", true], ["protocol_version", "MCP version", true],
  ["principal", "On behalf of", true], ["claims", "Client's claims", false],
  ["origin", "Came by", false], ["client_ip", "Client", true], ["user_agent", "User agent", true],
  ["request_id", "Request id", true],
  ["instance", "Sidecar", true], ["id", "Tool call id", false],
];

/** The fields of its tool call that are told of an API call. */
const OF_THE_AGENT = ["client_name", "session", "principal"];

/** What is told of a token, if it is known: [name, label]. */
const TOKEN_FIELDS = [
  ["owner", "Owner"], ["description", "Token is for"], ["role", "Role"],
  ["created_at", "Token made"], ["expires_at", "Token expires"], ["revoked_at", "Token revoked"],
];

export class Details {
  #dialog;
  #actions;
  #id = "";
  #call = null;

  /** `actions` has `narrow(name, value)`, `showInvocation(id)`, `showAround(call)`, `aboutToken(call)` and `close()`. */
  constructor(dialog, actions) {
    this.#dialog = dialog;
    this.#actions = actions;
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      actions.close();
    });
  }

  get isOpen() { return this.#dialog.open; }
  get isModal() { return this.#dialog.matches(":modal"); }

  show(call) {
    this.#id = call.id;
    this.#call = call;
    const isToolCall = "api_calls" in call;
    const seal = element("dd", { class: "detail-seal" }, element("span", { class: "hint" }, "…"));
    const title = element("h2", { id: "details-title", tabindex: "-1" }, isToolCall ? "Tool call" : "API call");
    this.#dialog.replaceChildren(
      element("header", {}, title, element("button", {
        type: "button", class: "quiet", onclick: () => this.#actions.close(), "aria-label": "Close details",
      }, "Close")),
      element("p", { class: "details-lead" },
        badge(call.status_code),
        element("span", {}, isToolCall ? toolMeaning(call.outcome, call.error_code) : meaning(call.status_code, call.outcome))),
      element("p", { class: "details-call" }, element("bdi", {}, nameOf(call))),
      element("dl", {}, ...timeFields(call), ...this.#fields(call, isToolCall ? TOOL_FIELDS : ENTRY_FIELDS),
        element("dt", {}, "Seal"), seal),
      element("p", { class: "details-actions" }, this.#invocationButton(call, isToolCall),
        element("button", { type: "button", onclick: () => this.#actions.showAround(call) }, "Show 5 minutes around it"),
        copyButton("Copy as text", () => asText(call)), callButtons(call)));
    showSeal(seal, call);
    if (!this.#dialog.open) {
      if (BESIDE.matches) this.#dialog.show();
      else this.#dialog.showModal();
      title.focus();
    }
  }

  /** Say what is known of the token of the call that is shown, once it is known. */
  showToken() {
    if (!this.isOpen || this.#dialog.querySelector(".detail-token")) return;
    const token = this.#actions.aboutToken(this.#call);
    const known = TOKEN_FIELDS.filter(([name]) => token[name] !== null && token[name] !== undefined);
    this.#dialog.querySelector(".detail-token_id").after(...known.flatMap(([name, words]) => [
      element("dt", {}, words), element("dd", { class: `detail-token token-${name}` }, element("bdi", {}, tokenText(name, token[name]))),
    ]));
  }

  /** Say which agent is behind the API call that is shown: that of its tool call. */
  showAgent(call, invocation) {
    if (this.#id !== call.id || !this.isOpen) return;
    const agent = TOOL_FIELDS.filter(([name]) => OF_THE_AGENT.includes(name));
    this.#dialog.querySelector(".detail-attribution").after(...this.#fields(invocation, agent));
  }

  /** Close, and return the id of the call that was shown. */
  close() {
    this.#dialog.close();
    return this.#id;
  }

  #fields(call, fields) {
    return fields.flatMap(([name, words, isFilter]) => {
      const value = name === "client_name" && agentName(call) || textOf(name, call[name]);
      const isKnown = call[name] !== null && call[name] !== undefined;
      const shown = !isFilter || !isKnown
        ? element("bdi", { class: isKnown ? null : "hint" }, value)
        : element("button", {
          type: "button", class: "value", title: "Press to show only these", onclick: () => this.#narrow(name, call),
        }, element("bdi", {}, value));
      return [element("dt", {}, words), element("dd", { class: `detail-${name}` }, shown)];
    });
  }

  /** Names of tokens are not unique: one that has an id is meant by that. */
  #narrow(name, call) {
    const by = name === "token_name" && call.token_id ? "token_id" : name;
    this.#actions.narrow(by, call[by]);
  }

  #invocationButton(call, isToolCall) {
    const id = isToolCall ? call.id : call.invocation_id;
    if (id === null) return null;
    return element("button", { type: "button", onclick: () => this.#actions.showInvocation(id) },
      isToolCall ? "Show only this tool call" : "Show its tool call");
  }
}

function timeFields(call) {
  const ahead = aheadBy(call);
  const mark = ahead === 0 ? [] : [element("br"), element("span", { class: "mark" }, aheadWords(ahead))];
  return [
    element("dt", {}, "Time"), element("dd", { class: "detail-created_at" }, ...moment(call.created_at), ...mark),
    element("dt", {}, "Arrived"), element("dd", { class: "detail-arrived_at" },
      ...(call.arrived_at ? moment(call.arrived_at) : [element("span", { class: "hint" }, "not known")])),
  ];
}

function moment(iso) {
  return [element("time", { datetime: iso }, exact(new Date(iso))), element("br"), element("span", { class: "hint" }, iso)];
}

function aheadWords(ms) {
  return `The sidecar's clock was ahead by ${length(ms)} or more`;
}

function nameOf(call) {
  return visible("api_calls" in call ? call.tool ?? "unknown tool" : `${call.method} ${call.path}`);
}

function textOf(name, value) {
  if (value === null || value === undefined) return "not known";
  if (name === "duration_ms") return duration(value);
  if (name === "claims") return Object.entries(value).map(([claim, said]) => visible(`${claim}: ${said}`)).join("\n");
  if (name === "outcome") return OUTCOMES[value] ?? TOOL_OUTCOMES[value] ?? visible(value);
  return visible(String(value));
}

function tokenText(name, value) {
  return name.endsWith("_at") ? exact(new Date(value)) : visible(value);
}

/** Return a call as lines of text, for pasting into a ticket. */
function asText(call) {
  const fields = "api_calls" in call ? TOOL_FIELDS : ENTRY_FIELDS;
  const known = fields.filter(([name]) => call[name] !== null && call[name] !== undefined);
  const arrived = call.arrived_at ? [`Arrived: ${call.arrived_at}`] : [];
  return [`Time: ${call.created_at}`, ...arrived, `Status: ${call.status_code ?? "not known"}`,
    ...known.map(([name, words]) => `${words}: ${asWords(name, call)}`)].join("\n");
}

function asWords(name, call) {
  if (name === "outcome") return call[name];
  return name === "client_name" ? agentName(call) : textOf(name, call[name]);
}
