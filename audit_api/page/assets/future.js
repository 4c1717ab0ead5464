// Calls that are dated in the future, because their sidecar's clock was ahead. The API counts them
// and leaves them out of a list that does not ask for them; so does the page when they arrive.

import { byId, say } from "./elements.js";
import { grouped } from "./texts.js";

const LEFT_OUT_MS = 5 * 60_000;
const TOLD_MS = 5_000;
const MOST_COUNTED = 1_000;

/** Say how many calls are left out. */
export function showFuture(number) {
  const words = number === 1 ? "1 call is dated in the future: its sidecar's clock was ahead."
    : `${grouped(number)}${number < MOST_COUNTED ? "" : " or more"} calls are dated in the future: their sidecar's clock was ahead.`;
  say(byId("future-words"), words);
  byId("future").hidden = number === 0;
}

/** Whether the API would leave an entry that has just arrived out of the list of a query. */
export function isLeftOut(entry, query) {
  const { since, until, arrived_since: from, arrived_until: to, clock_ahead: isAsked } = query;
  if (until || from || to || isAsked || Date.parse(since) > Date.now() + LEFT_OUT_MS) return false;
  return aheadBy(entry) > LEFT_OUT_MS;
}

/** Return by how many ms the sidecar's clock was ahead, for certain; 0 if it may have been right. */
export function aheadBy({ created_at: made, arrived_at: arrived }) {
  if (!arrived) return 0;
  const ahead = Date.parse(made) - Date.parse(arrived);
  return ahead > TOLD_MS ? ahead : 0;
}
