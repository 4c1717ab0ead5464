// The page of one object: what happened to it, by whom, by which tool; changes only, unless asked otherwise.

import * as api from "./api.js";
import { byId, element } from "./elements.js";
import { count, grouped, visible } from "./texts.js";

/** Say in one line what happened to an object; a query without one hides the line. */
export async function showObject(query, go, signal) {
  const line = byId("object");
  if (query.object === undefined) {
    line.hidden = true;
    return;
  }
  const ask = (by) => api.facets(query, by, signal);
  const [tokens, tools, sessions] = await Promise.all([ask("token"), ask("tool"), ask("session")]);
  if (signal.aborted) return;
  const refused = tokens.values.reduce((sum, value) => sum + value.refused, 0);
  const onlyChanges = query.changes === "true";
  line.replaceChildren(
    element("span", {}, element("b", {}, "Object "), element("bdi", {}, visible(query.object)), " · ",
      `${count(tokens.total, onlyChanges ? "change" : "call")}, ${grouped(refused)} refused`, ...by("by", tokens), ...by("with tool", tools),
      ...by("in session of", sessions)),
    element("button", { type: "button", onclick: () => go(onlyChanges ? "" : "true") }, onlyChanges ? "Show reads as well" : "Show changes only"));
  line.hidden = false;
}

function by(word, { values }) {
  const known = values.filter(({ value }) => value !== null);
  if (known.length === 0) return [];
  const more = known.length > 3 ? ` and ${known.length - 3} more` : "";
  return [`, ${word} `, element("bdi", {}, visible(known.slice(0, 3).map(({ value }) => value).join(", "))), more];
}
