// The view: filters, span of time, grouping. It is kept in the URL, so that it can be shared. Pure
// functions.

/** Spans of time that end now: [label, length in ms]. */
export const SPANS = {
  "15m": ["Last 15 minutes", 15 * 60_000],
  "1h": ["Last hour", 3_600_000],
  "24h": ["Last 24 hours", 24 * 3_600_000],
  "7d": ["Last 7 days", 7 * 24 * 3_600_000],
  "30d": ["Last 30 days", 30 * 24 * 3_600_000],
};

/** The filters by token: each excludes the others. */
export const TOKEN_FILTERS = ["token_id", "token_name", "unknown_tokens"];

/** The filters that tool calls have as well. */
export const TOOL_FILTERS = [...TOKEN_FILTERS, "tool", "outcome", "invocation_id", "session", "client_name", "principal", "since", "until",
  "arrived_since", "arrived_until", "clock_ahead"];

const TOOLS = "tools";

/**
 * Return the view in a URL's query string.
 *
 * Parameters that the page does not know become filters: the API refuses them, so a mistyped URL
 * never shows the wrong calls.
 */
export function readView(search) {
  const filters = Object.fromEntries(new URLSearchParams(search));
  const { span = "", show = "", entry = "" } = filters;
  delete filters.span;
  delete filters.show;
  delete filters.entry;
  return { filters, span: span in SPANS ? span : "", byTool: show === TOOLS, entry };
}

/** Return the query string of a view; "" without filters. */
export function viewSearch(view) {
  const search = new URLSearchParams(view.filters);
  if (view.span) search.set("span", view.span);
  if (view.byTool) search.set("show", TOOLS);
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

/** Return the view over another span: one of SPANS, or between two moments. */
export function withSpan(view, span, since = "", until = "") {
  const spanless = withFilter(withFilter(view, "since", since), "until", until);
  return { ...spanless, span };
}

/** Return the view of API calls or of tool calls, without the filters that it does not have. */
export function withGrouping(view, byTool) {
  const kept = Object.entries(view.filters).filter(
    ([name]) => TOOL_FILTERS.includes(name) && name !== "outcome");
  return { ...view, byTool, filters: Object.fromEntries(kept), entry: "" };
}

/** Return the view without filters. */
export function withoutFilters(view) {
  return { ...view, filters: {}, span: "", entry: "" };
}

/** Whether a view has filters. */
export function isNarrowed(view) {
  return Boolean(view.span) || Object.keys(view.filters).length > 0;
}

/** Return the API's parameters for a view. A span that ends now gets a fixed start. */
export function queryOf(view, now = Date.now()) {
  const query = { ...view.filters };
  if (view.span) query.since = new Date(now - SPANS[view.span][1]).toISOString();
  return query;
}

/** Return the parameters for API calls, without those that only tool calls have. */
export function aboutCalls(view, query) {
  if (!view.byTool) return query;
  const { outcome: _ofTheTool, user_agent: _ofTheAgent, ...others } = query;
  return others;
}
