// What was called around one call: the time, and a list that begins so that this call is in its middle.

import { withoutFilters } from "./view.js";

const MS = 5 * 60_000;

/** Return the view of 5 minutes before and after a call, without other filters. */
export function aroundView(view, call) {
  const moment = Date.parse(call.created_at);
  const [since, until] = [moment - MS, moment + MS].map((end) => new Date(end).toISOString());
  return { ...withoutFilters(view), byTool: !view.isBoth && "api_calls" in call, filters: { since, until }, around: call.id };
}

/** Whether a view is around a call, and does not say of which time. */
export function lacksTime({ around, span, filters }) {
  return around !== "" && !span && !("since" in filters || "until" in filters);
}
