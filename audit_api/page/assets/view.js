// The view: filters, span of time, zone, grouping. It is kept in the URL, so that it can be shared.

import { startOfDay, startOfMonth } from "./times.js";

const HOUR = 3_600_000;
const ending = (length) => (now) => [now - length];

/** Spans of time: [label, (now) => [since, until]]; without `until` they go on. */
export const SPANS = {
  "15m": ["Last 15 minutes", ending(HOUR / 4)],
  "1h": ["Last hour", ending(HOUR)],
  "24h": ["Last 24 hours", ending(24 * HOUR)],
  "7d": ["Last 7 days", ending(7 * 24 * HOUR)],
  "30d": ["Last 30 days", ending(30 * 24 * HOUR)],
  today: ["Today", (now) => [startOfDay(now)]],
  yesterday: ["Yesterday", (now) => [startOfDay(now, -1), startOfDay(now)]],
  month: ["This month", (now) => [startOfMonth(now)]],
};

/** The filters by token: each excludes the others. */
export const TOKEN_FILTERS = ["token_id", "token_name", "unknown_tokens"];

/** The filters that only API calls have; all others are those of tool calls as well. */
const CALLS_ONLY = ["method", "path", "object", "changes", "refused"];

/** The filters of which one value may hold a comma. */
const NO_LISTS = ["path", "user_agent"];

const TOOLS = "tools";
const BOTH = "both";
const UTC = "utc";

/**
 * Return the view in a URL's query string.
 *
 * Parameters that the page does not know become filters: the API refuses them, so a mistyped URL
 * never shows the wrong calls.
 */
export function readView(search) {
  const filters = Object.fromEntries(new URLSearchParams(search));
  const { span = "", show = "", entry = "", zone = "", around = "", columns = "" } = filters;
  for (const name of ["span", "show", "entry", "zone", "around", "columns"]) delete filters[name];
  return { filters, span: Object.hasOwn(SPANS, span) ? span : "", byTool: show === TOOLS, isBoth: show === BOTH, columns, entry, around, isUtc: zone === UTC };
}

/** Return the query string of a view; "" without filters. */
export function viewSearch(view) {
  const search = new URLSearchParams(view.filters);
  if (view.span) search.set("span", view.span);
  if (view.byTool || view.isBoth) search.set("show", view.isBoth ? BOTH : TOOLS);
  if (view.isUtc) search.set("zone", UTC);
  if (view.columns) search.set("columns", view.columns);
  if (view.around) search.set("around", view.around);
  if (view.entry) search.set("entry", view.entry);
  return search.size ? `?${search}` : "";
}

/** Return the view with one filter set, or removed if the value is empty. */
export function withFilter(view, name, value) {
  const filters = { ...view.filters };
  for (const other of TOKEN_FILTERS.includes(name) && value ? TOKEN_FILTERS : [name]) delete filters[other];
  if (String(value ?? "") !== "") filters[name] = String(value);
  return { ...view, filters, entry: "" };
}

/** Return the view with the one value of a filter: its commas separate no values. */
export function withValue(view, name, value) {
  const text = String(value ?? "");
  return withFilter(view, name, NO_LISTS.includes(name) ? text : text.replaceAll(",", "\\,"));
}

/** Return the view with other filters; a span of time is kept unless they say since when. */
export function withSearch(view, filters) {
  const isTimed = "since" in filters || "until" in filters;
  return { ...view, filters, span: isTimed ? "" : view.span, entry: "" };
}

/** Return the view over another span: one of SPANS, or between two moments. */
export function withSpan(view, span, since = "", until = "") {
  const spanless = withFilter(withFilter(view, "since", since), "until", until);
  return { ...spanless, span, around: "" };
}

/** Return the view of API calls, of tool calls or of both, without the filters that it does not have. */
export function withGrouping(view, byTool, isBoth = false) {
  const kept = Object.entries(view.filters).filter(
    ([name]) => !(byTool || isBoth ? [...CALLS_ONLY, "outcome"] : ["outcome"]).includes(name.replace("!", "")));
  const isAlike = (view.byTool || view.isBoth) === (byTool || isBoth);
  return { ...view, byTool, isBoth, columns: isAlike ? view.columns : "", filters: Object.fromEntries(kept), entry: "" };
}

/** Return the view without filters. */
export function withoutFilters(view) {
  return { ...view, filters: {}, span: "", around: "", entry: "" };
}

/** Whether a view has filters. */
export function isNarrowed(view) {
  return Boolean(view.span) || Object.keys(view.filters).length > 0;
}

/** Return the API's parameters for a view, with a fixed start for a span that ends now. */
export function queryOf(view, now = Date.now()) {
  const query = { ...view.filters };
  if (!view.span) return query;
  const [since, until] = SPANS[view.span][1](now);
  query.since = new Date(since).toISOString();
  if (until !== undefined) query.until = until.toISOString();
  return query;
}
