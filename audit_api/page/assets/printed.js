// The line that a printed page has in place of its controls.

import { byId, say } from "./elements.js";
import { searchText } from "./search_text.js";
import { count, visible } from "./texts.js";
import { shownZone } from "./times.js";
import { SPANS } from "./view.js";

/** Say what is shown: the filters, the time and its zone, the totals, and how much of it is in the table. */
export function showPrinted(view, log) {
  const { since, until, ...others } = view.filters;
  const filters = visible(searchText(others)) || "none";
  const time = view.span ? SPANS[view.span][0] : since || until ? `${since ?? "the first"} to ${until ?? "now"}` : "all time";
  const totals = document.querySelector(".chart-readout").dataset.resting ?? "";
  const kind = view.isBoth || view.byTool ? "tool call" : "call";
  const rows = `${count(log.size, view.isBoth ? "row" : kind)} below, ${log.hasMore ? "the newest of more" : "all of them"}`;
  say(byId("printed"), `Filters: ${filters}. Time: ${visible(time)}; times in ${shownZone().zone}. Totals: ${totals}. ${rows}.`);
}
