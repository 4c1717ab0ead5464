// What is looked at: filters, span of time, grouping. It lives in the address, so that it can be
// shared; values in, values out.

/** Spans of time that end now, and how long they are. */
export const SPANS = {
  "15m": ["Last 15 minutes", 15 * 60_000],
  "1h": ["Last hour", 3_600_000],
  "24h": ["Last 24 hours", 24 * 3_600_000],
  "7d": ["Last 7 days", 7 * 24 * 3_600_000],
  "30d": ["Last 30 days", 30 * 24 * 3_600_000],
};

/** The filters that tool calls have, too. */
export const TOOL_FILTERS = ["token_name", "token_id", "tool", "outcome", "invocation_id", "since", "until"];

const TOOLS = "tools";

/**
 * Return the view of an address's query string.
 *
 * Parameters that the page does not know count as filters: the API complains about them, so a
 * mistyped address never looks like an answer.
 */
export function readView(search) {
  const filters = Object.fromEntries(new URLSearchParams(search));
  const { span = "", show = "", entry = "" } = filters;
  delete filters.span;
  delete filters.show;
  delete filters.entry;
  return { filters, span: span in SPANS ? span : "", byTool: show === TOOLS, entry };
}

/** Return the query string of a view, "" for the plain one. */
export function viewSearch(view) {
  const search = new URLSearchParams(view.filters);
  if (view.span) search.set("span", view.span);
  if (view.byTool) search.set("show", TOOLS);
  if (view.entry) search.set("entry", view.entry);
  return search.size ? `?${search}` : "";
}

/** Return the view with one filter set, or taken away when there is no value. */
export function withFilter(view, name, value) {
  const filters = { ...view.filters, [name]: String(value ?? "") };
  if (filters[name] === "") delete filters[name];
  if (name === "token_id" && value) delete filters.token_name;
  if (name === "token_name" && value) delete filters.token_id;
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

/** Return the view of everything. */
export function withoutFilters(view) {
  return { ...view, filters: {}, span: "", entry: "" };
}

/** Say whether a view leaves anything out. */
export function isNarrowed(view) {
  return Boolean(view.span) || Object.keys(view.filters).length > 0;
}

/** Return what to ask the API for; a span that ends now begins at a fixed moment from here on. */
export function questionOf(view, now = Date.now()) {
  const question = { ...view.filters };
  if (view.span) question.since = new Date(now - SPANS[view.span][1]).toISOString();
  return question;
}

/** Return the same question about API calls, where it was one about tool calls. */
export function aboutCalls(view, question) {
  if (!view.byTool) return question;
  const { outcome: _ofTheTool, ...others } = question;
  return others;
}
