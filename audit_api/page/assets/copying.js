// Calls as text to paste elsewhere: as lines, JSON, a curl command or SQL.

import * as api from "./api.js";
import { element } from "./elements.js";

/** Return a button that copies the text that `textOf()` resolves to; without a clipboard it is shown selected. */
export function copyButton(words, textOf, properties = {}) {
  const button = element("button", { type: "button", ...properties, onclick: async () => {
    let text;
    try {
      text = await textOf();
    } catch (error) {
      button.textContent = `${words}: ${error.message}`;
      return;
    }
    if (await copied(text)) button.textContent = `${words}: copied`;
    else showForCopying(button, text);
  } }, words);
  return button;
}

/** Return the buttons that copy one call as JSON, curl or SQL. */
export function callButtons(call) {
  const isToolCall = "api_calls" in call;
  const path = `mcp-audit/${isToolCall ? "invocations" : "entries"}/${call.id}`;
  // The time finds the partition.
  const sql = isToolCall
    ? `SELECT * FROM mcp_tool_invocation WHERE id = '${call.id}';`
    : `SELECT * FROM mcp_audit_log WHERE created_at = '${call.created_at}' AND id = '${call.id}';`;
  return group("Copy this call as", [
    ["JSON", () => JSON.stringify(call, null, 2)], ["curl", () => curl(api.address(path, {}))], ["SQL", () => sql]]);
}

/** Fill the menu that copies what is shown; `shown()` returns { query, view, calls }. */
export function fillCopyMenu(menu, shown) {
  const panel = element("div", { class: "menu-panel" });
  menu.replaceChildren(element("summary", {}, "Copy"), panel);
  menu.addEventListener("toggle", () => panel.replaceChildren(...(menu.open ? parts(shown()) : [])));
}

function parts({ query, view, calls }) {
  const asked = view.around ? { ...query, around: view.around } : query;
  const ways = [
    ["JSON", () => JSON.stringify(calls, null, 2)],
    ["curl", () => curl(api.listAddress(asked, view))],
    ...(view.isBoth ? [] : [["SQL", () => api.sql(asked, view)]]),
  ];
  return [
    group("Copy what is shown as", ways),
    element("p", { class: "hint" }, `JSON has the ${calls.length} rows that are loaded, ${view.isBoth ? "curl asks" : "curl and SQL ask"} for the first 100. `,
      "curl takes the token from ", element("code", {}, "$TOKEN"), "."),
  ];
}

function group(label, ways) {
  return element("span", { class: "copy-ways", role: "group", "aria-label": label },
    element("span", { class: "hint" }, label), ...ways.map(([words, textOf]) => copyButton(words, textOf)));
}

/** Return the command that asks for the same. It holds no secret: the shell puts in the token. */
function curl(target) {
  return `curl -fsS -H "Authorization: Bearer $TOKEN" "${target}"`;
}

function showForCopying(button, text) {
  const field = element("textarea", { readonly: true, "aria-label": "The text to copy" });
  field.value = text;
  button.replaceWith(field);
  field.select();
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
