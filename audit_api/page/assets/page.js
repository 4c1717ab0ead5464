// Assembles the page. The view in the URL decides what is loaded and shown.

import { Address } from "./address.js";
import { OF_THE_AGENT, showSession, withoutAgent, withoutEnding } from "./agent.js";
import * as api from "./api.js";
import { aroundView, lacksTime } from "./around.js";
import { Arrivals } from "./arrivals.js";
import { Chart } from "./chart.js";
import { showChips } from "./chips.js";
import { ColumnChoice } from "./columns.js";
import { fillCopyMenu } from "./copying.js";
import { Details } from "./details.js";
import { byId } from "./elements.js";
import { Facets } from "./facets.js";
import { FilterBar } from "./filter_bar.js";
import { isLeftOut, showFuture } from "./future.js";
import { listenForKeys } from "./keyboard.js";
import { LiveStream } from "./live.js";
import { LiveButton } from "./live_button.js";
import { Loader } from "./loader.js";
import { joinMenus } from "./menus.js";
import * as notice from "./notice.js";
import { showObject } from "./object.js";
import { showPrinted } from "./printed.js";
import { Readers } from "./readers.js";
import { RulePanel } from "./rule.js";
import { SavedViews } from "./saved_views.js";
import { Session } from "./session.js";
import { Sessions } from "./sessions.js";
import { Sheet } from "./sheet.js";
import { count } from "./texts.js";
import { freshen, useUtc } from "./times.js";
import { TokenPage } from "./token_page.js";
import { Tokens } from "./tokens.js";
import { isNarrowed, withFilter, withGrouping, withSpan, withValue, withoutFilters } from "./view.js";

const PULSE_MS = 15_000;
const FRESHEN_MS = 5_000;
const TOOL_REFRESH_MS = 2_000;

let toolTimer = 0;
let isAway = false;
let showsArrivals = true;
let tokensShown = "";

const address = new Address(showView);
const go = (next, how) => address.go(next, how);
const clearFilters = () => go(withoutFilters(address.view));
const narrow = (name, value) => {
  const view = withValue(address.view, name, value);
  go(name === "object" ? withFilter(view, "changes", "true") : view);
};
const tokens = new Tokens();
const filters = new FilterBar(byId("filters"), go, knownValues);
const columnChoice = new ColumnChoice(byId("columns"), (next) => {
  // The usual ones are not in the URL.
  if (next.columns === address.view.columns) showView({ isOther: true });
  else go(next, { replaces: true });
});
new SavedViews(byId("views"), { view: () => address.view, go });
fillCopyMenu(byId("copy"), () => ({ query: loader.query, view: address.view, calls: loader.log?.entries ?? [] }));
joinMenus(byId("tools"));
const chart = new Chart(byId("chart"), {
  time: (since, until) => go(withSpan(address.view, "", since, until)),
  by: (name, value) => go(withFilter(address.view, name, value)),
});
const facets = new Facets(byId("facets"), (wanted) => {
  const view = Object.entries(wanted).reduce((before, [name, value]) => withFilter(before, name, value), address.view);
  go("object" in wanted ? withFilter(view, "changes", "true") : view);
});
const rule = new RulePanel(byId("rule"));
const details = new Details(byId("details"), {
  narrow,
  showInvocation: (id) => go({ ...withGrouping(address.view, true), filters: { invocation_id: id }, span: "" }),
  showAround: (call) => go(aroundView(address.view, call)),
  aboutToken: (call) => tokens.about(call),
  close: () => address.leaveEntry(),
});
const tokenPage = new TokenPage((filters, { byTool = false }) =>
  go({ ...withGrouping(withoutFilters(address.view), byTool), filters }));
const sheet = new Sheet({
  narrow,
  open: (call) => go({ ...address.view, entry: call.id }, { replaces: details.isOpen }),
  toggle: toggleTool,
  older: () => loader.older(),
});
const sessions = new Sessions(narrow, showFailure);
const loader = new Loader({ loaded: showLog, besides: loadBesides, failed: showFailure, isHeld: () => arrivals.areHeld });
const arrivals = new Arrivals(byId("table"), {
  show: showArrivals,
  isHeld: () => liveButton.isPaused || details.isOpen || loader.loadedAt === null,
});
const liveButton = new LiveButton(byId("live"), () => arrivals.settleSoon());
const stream = new LiveStream({
  opened: () => {
    liveButton.tell("live");
    refresh();  // calls written between the first page and now
  },
  // A tool call is told again when it has ended.
  arrived: (call) => !address.view.byTool && loader.log.has(call.id) || isLeftOut(call, loader.query) || arrivals.add(call),
  missed: () => refresh(),
  lost: () => {
    liveButton.tell("lost");
    refresh();  // shows the reason, if the API gives one
  },
});
const readers = new Readers(showFailure);
const session = new Session({
  signedIn: () => begin(),
  signedOut: () => {
    forget();
    begin();  // PodWarden may still admit the reader
  },
});

function showView({ isOther }) {
  showControls();
  if (isOther) load();
  showDetails();
}

function showControls() {
  useUtc(address.view.isUtc);
  const { byTool, isBoth } = address.view;
  for (const [id, isShown] of [["show-entries", !byTool && !isBoth], ["show-tools", byTool], ["show-both", isBoth]]) {
    byId(id).setAttribute("aria-pressed", String(isShown));
  }
  filters.show(address.view, tokens);
  columnChoice.show(address.view);
  showChips(byId("chips"), address.view, tokens, go);
}

/** Return values that the reader may search for, by filter. */
function knownValues() {
  const calls = loader.log?.entries ?? [];
  const valuesOf = (name) => [...new Set(calls.map((call) => call[name]).filter((value) => typeof value === "string"))];
  const names = ["tool", "path", "object", "client_ip", "user_agent", "instance", ...OF_THE_AGENT];
  return { token_name: tokens.names(), ...Object.fromEntries(names.map((name) => [name, valuesOf(name)])) };
}

/** Update the offered tokens, only if they changed: the reader may be using the control. */
function showTokens() {
  tokens.meet(loader.log.entries);
  const news = JSON.stringify(tokens.options());
  if (news === tokensShown) return;
  tokensShown = news;
  filters.showTokens(tokens);
  showChips(byId("chips"), address.view, tokens, go);
}

async function load() {
  stream.stop();
  arrivals.forget();
  sheet.fade();
  if (lacksTime(address.view) && await addTime(address.view)) return;
  await loader.load(address.view);
}

/** Go on to the time around a call, from a view that names the call alone; return false if it is not known now. */
async function addTime(view) {
  try {
    const call = await api.call(view.around);
    if (address.view === view) go({ ...aroundView(view, call), filters: { ...view.filters, ...aroundView(view, call).filters } }, { replaces: true });
  } catch (error) {
    if (error instanceof api.AwayError) return false;
    showFailure(error);
  }
  return true;
}

function refresh() {
  if (loader.loadedAt !== null) loader.refresh();
}

function showLog({ isNew, isFresh }) {
  session.leave();
  notice.clear();
  if (isAway) {
    isAway = false;
    if (stream.isLive) liveButton.tell("live");
  }
  if (isNew) {
    sheet.begin(address.view);
    listenLive();
  }
  const lines = sheet.show(loader.log, { fresh: isFresh });
  byId("around").hidden = address.view.around === "";
  sheet.mark(address.view.around, isNew);
  showFuture(loader.log.future);
  if (lines === 0 && loader.log.future === 0 || loader.log.size === 0 && loader.log.hasGaps) {
    notice.nothing(address.view, loader.log.hasGaps, clearFilters);
  }
  byId("gaps").hidden = !loader.log.hasGaps;
  if (isNew) notice.announce(`Showing ${count(loader.log.size, address.view.byTool ? "tool call" : "call")}`);
}

/** Show the chart, unless there are no calls at all. */
function showChart() {
  byId("chart").hidden = loader.log.size === 0 && !isNarrowed(address.view);
  showPrinted(address.view, loader.log);
}

function listenLive() {
  const { since, until, ...query } = loader.query;
  const { byTool, isBoth } = address.view;
  for (const format of ["csv", "ndjson"]) {
    byId(format).href = api.exportAddress(format, loader.query, byTool);
    byId(format).setAttribute("aria-label", `Download these ${isBoth ? "API calls, without the tool calls," : "calls"} as ${format.toUpperCase()}`);
  }
  byId("gaps").href = api.gapsAddress(loader.query);
  const isPast = Boolean(until || query.arrived_until);
  liveButton.tell(isPast ? "past" : "waiting");
  // The API tells of a call before it knows the agent behind it, and of the end of a tool call only if that is
  // asked for: then an arrival is a reason to ask.
  const wider = byTool ? withoutEnding(query) : withoutAgent(query);
  showsArrivals = !isBoth && Object.keys(wider).length === Object.keys(query).length;
  if (!isPast) stream.start(wider, byTool);
}

async function loadBesides(signal) {
  const { byTool } = address.view;
  await Promise.all([
    chart.load(loader.query, byTool, signal), tokens.load(signal), loadSession(signal), rule.show(address.view),
    showObject(byTool ? {} : loader.query, (changes) => go(withFilter(address.view, "changes", changes)), signal),
    tokenPage.show(loader.query, signal), facets.show(byTool ? null : loader.query, signal), sessions.load(byTool ? loader.query : null, signal)]);
  showTokens();
  details.showToken();
  showChart();
}

async function loadSession(signal) {
  const { session: id } = loader.query;
  showSession(id === undefined ? null : await api.session(id, signal));
}

function showArrivals(entries, { isAsked }) {
  if (entries === null || !showsArrivals || loader.log.isOpen) {
    if (isAsked) {
      loader.refresh({ isAsked });
      return;
    }
    toolTimer ||= setTimeout(() => {
      toolTimer = 0;
      refresh();
    }, TOOL_REFRESH_MS);
    return;
  }
  loader.log.take(entries);
  notice.clear();
  sheet.show(loader.log, { fresh: true });
  showTokens();
}

function showFailure(error) {
  if (error instanceof api.SignInNeededError) {
    leave(loader.loadedAt ? "The session has ended." : "");
    return;
  }
  if (loader.loadedAt === null) {
    sheet.clear();
    byId("chart").hidden = true;
  }
  if (error instanceof api.AwayError) {
    liveButton.tell("lost");
    isAway = true;
    notice.away(error, loader.loadedAt, () => loader.refresh({ isAsked: true }));
  }
  else if (error instanceof api.RefusedError) {
    notice.refused(error, { clearFilters, signIn: () => session.ask() });
    if (error.parameter) filters.explain(`${error.parameter}: ${error.message}`);
  }
  else throw error;
}

async function toggleTool(id) {
  try {
    await loader.log.toggle(id);
  } catch (error) {
    showFailure(error);
    return;
  }
  sheet.show(loader.log);
}

async function showDetails() {
  const { entry: id } = address.view;
  sheet.select(id);
  if (id === "") {
    closeDetails();
    return;
  }
  try {
    const call = loader.log?.lines().find((line) => line.value.id === id)?.value ?? await api.call(id);
    if (address.view.entry !== id) return;
    details.show(call);
    details.showToken();
    // Stored when it has ended: until then the agent is not known.
    if (call.invocation_id) details.showAgent(call, await api.invocation(call.invocation_id));
  } catch (error) {
    showFailure(error);
  }
}

function closeDetails() {
  if (!details.isOpen) return;
  const id = details.close();
  sheet.focus(id);
  arrivals.settleSoon();
}

function move(step) {
  const id = sheet.move(step, { isUnderWay: details.isOpen });
  if (id && details.isOpen) go({ ...address.view, entry: id }, { replaces: true });
}

function begin() {
  session.leave();
  sheet.begin(address.view);
  showControls();
  session.showReader().catch(() => {});  // the log reports an unavailable API
  load();
  showDetails();
  readers.openIfAsked();
}

async function followLink() {
  const refusal = await session.followLink();
  if (refusal) leave(refusal);
  else begin();
}

/** Show the sign-in in place of the log. */
function leave(reason = "") {
  forget();
  session.ask(reason);
}

/** Remove all data from the page. */
function forget() {
  stream.stop();
  loader.stop();
  loader.loadedAt = null;
  arrivals.forget();
  details.close();
  readers.forget();
  sheet.begin({});
  sheet.clear();
  notice.clear();
  showFuture(0);
  showSession(null);
  byId("object").hidden = true;
  tokenPage.show({});
  facets.show(null);
  rule.show(null);
  sessions.load(null);
  byId("chart").hidden = true;
}

byId("show-entries").addEventListener("click", () => go(withGrouping(address.view, false)));
byId("future-show").addEventListener("click", () => narrow("clock_ahead", "true"));
byId("print").addEventListener("click", () => print());
byId("show-both").addEventListener("click", () => go(withGrouping(address.view, false, true)));
byId("around-end").addEventListener("click", () => go({ ...address.view, around: "", entry: "" }));
byId("show-tools").addEventListener("click", () => go(withGrouping(address.view, true)));
listenForKeys(byId("keys"), {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => sheet.hasFocus && move(1),
  ArrowUp: () => sheet.hasFocus && move(-1),
  l: () => liveButton.press(),
  "/": () => filters.focus(),
  Escape: () => details.isOpen && address.leaveEntry(),
});
setInterval(() => freshen(byId("calls")), FRESHEN_MS);
setInterval(() => document.hidden || refresh(), PULSE_MS);
addEventListener("hashchange", () => session.hasLink && followLink());
if (session.hasLink) followLink();
else begin();
