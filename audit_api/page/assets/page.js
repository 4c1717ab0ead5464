// The page put together: the view in the address decides what is asked for and shown.

import * as api from "./api.js";
import { Arrivals } from "./arrivals.js";
import { Chart } from "./chart.js";
import { showChips } from "./chips.js";
import { Details } from "./details.js";
import { byId } from "./elements.js";
import { FilterBar } from "./filter_bar.js";
import { listenForKeys } from "./keyboard.js";
import { LiveTail } from "./live.js";
import { LiveButton } from "./live_button.js";
import { Loader } from "./loader.js";
import * as notice from "./notice.js";
import { Session } from "./session.js";
import { Sheet } from "./sheet.js";
import { count } from "./texts.js";
import { freshen } from "./times.js";
import { Tokens } from "./tokens.js";
import { aboutCalls, isNarrowed, readView, viewSearch, withFilter, withGrouping, withSpan, withoutFilters } from "./view.js";

const PULSE_MS = 15_000;
const FRESHEN_MS = 5_000;
const TOOL_REFRESH_MS = 2_000;

let view = readView(location.search);
let toolTimer = 0;

const narrow = (name, value) => go(withFilter(view, name, value));
const tokens = new Tokens();
const filters = new FilterBar(byId("filters"), go);
const chart = new Chart(byId("chart"), {
  time: (since, until) => go(withSpan(view, "", since, until)),
  status: (name) => go(withFilter(view.byTool ? withGrouping(view, false) : view, "status", name)),
});
const details = new Details(byId("details"), {
  narrow,
  showInvocation: (id) => go({ ...withGrouping(view, true), filters: { invocation_id: id }, span: "" }),
  close: closeDetails,
});
const sheet = new Sheet({
  narrow,
  open: (call) => go({ ...view, entry: call.id }, { replaces: details.isOpen }),
  toggle: toggleTool,
  older: () => loader.older(),
});
const loader = new Loader({ loaded: showLog, besides: loadBesides, failed: showFailure });
const arrivals = new Arrivals(byId("table"), {
  show: showArrivals,
  isHeld: () => liveButton.isPaused || details.isOpen || loader.loadedAt === null,
});
const liveButton = new LiveButton(byId("live"), () => arrivals.settleSoon());
const tail = new LiveTail({
  opened: () => {
    liveButton.tell("live");
    refresh();  // what was written between the first answer and now
  },
  arrived: (entry) => arrivals.add(entry),
  lost: () => {
    liveButton.tell("lost");
    refresh();  // says why, if the API says so
  },
});
const session = new Session({
  signedIn: () => begin(),
  signedOut: () => {
    forget();
    begin();  // PodWarden may still let the reader in
  },
});

/** Go to another view, as a step that the Back button takes back. */
function go(next, { replaces = false } = {}) {
  if (viewSearch(next) === viewSearch(view)) return;
  const address = `${location.pathname}${viewSearch(next)}`;
  if (replaces) history.replaceState(history.state, "", address);
  else history.pushState({ opened: next.entry !== "" && view.entry === "" }, "", address);
  show(next);
}

function show(next) {
  const before = viewSearch({ ...view, entry: "" });
  view = next;
  showControls();
  if (viewSearch({ ...view, entry: "" }) !== before) load();
  showDetails();
}

function showControls() {
  byId("show-entries").setAttribute("aria-pressed", String(!view.byTool));
  byId("show-tools").setAttribute("aria-pressed", String(view.byTool));
  filters.show(view, tokens);
  showChips(byId("chips"), view, tokens, go);
}

async function load() {
  tail.stop();
  arrivals.forget();
  sheet.fade();
  await loader.load(view);
}

function refresh() {
  if (loader.loadedAt !== null) loader.refresh({ rows: !arrivals.areHeld });
}

function showLog({ isNew, isFresh }) {
  session.leave();
  notice.clear();
  if (isNew) {
    sheet.begin(view.byTool);
    listenLive();
  }
  const lines = sheet.show(loader.log, { fresh: isFresh });
  if (lines === 0) showNothing();
  if (isNew) notice.announce(`Showing ${count(loader.log.size, view.byTool ? "tool call" : "call")}`);
}

function showNothing() {
  if (isNarrowed(view)) notice.nothingFound(() => go(withoutFilters(view)));
  else if (view.byTool) notice.emptyTools();
  else notice.empty();
}

/** Nothing is drawn where nothing is known to have happened. */
function showChart() {
  byId("chart").hidden = loader.log.size === 0 && !isNarrowed(view);
}

function listenLive() {
  const { since, until, ...question } = aboutCalls(view, loader.question);
  for (const format of ["csv", "ndjson"]) {
    byId(format).href = api.exportAddress(format, aboutCalls(view, loader.question));
  }
  liveButton.tell(until ? "past" : "waiting");
  if (!until) tail.start(question);
}

async function loadBesides(signal) {
  await Promise.all([chart.load(aboutCalls(view, loader.question), loader.log.newest, signal), tokens.load(signal)]);
  showControls();
  showChart();
}

function showArrivals(entries) {
  if (entries === null || view.byTool) {
    toolTimer ||= setTimeout(() => {
      toolTimer = 0;
      refresh();
    }, TOOL_REFRESH_MS);
    return;
  }
  loader.log.take(entries);
  notice.clear();
  sheet.show(loader.log, { fresh: true });
  if (entries.some((entry) => tokens.lacks(entry))) loader.refresh();
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
  if (error instanceof api.AwayError) notice.away(error, loader.loadedAt, () => loader.refresh());
  else if (error.status === 403) notice.refused(error, [["Use another token", () => session.ask()]]);
  else if (error instanceof api.RefusedError) {
    notice.refused(error, [["Clear all filters", () => go(withoutFilters(view))]]);
  } else throw error;
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
  const { entry: id } = view;
  sheet.select(id);
  if (id === "") {
    details.close();
    return;
  }
  try {
    const call = loader.log?.lines().find((line) => line.value.id === id)?.value ?? await findCall(id);
    if (view.entry === id) details.show(call);
  } catch (error) {
    showFailure(error);
  }
}

/** Ask for a call that the table does not hold: an API call, or else a tool call. */
async function findCall(id) {
  try {
    return await api.entry(id);
  } catch (error) {
    if (error.status !== 404) throw error;
    return api.invocation(id);
  }
}

function closeDetails() {
  const { entry: id } = view;
  if (history.state?.opened) {
    addEventListener("popstate", () => sheet.focus(id), { once: true });
    history.back();
  } else {
    go({ ...view, entry: "" }, { replaces: true });
    sheet.focus(id);
  }
}

function move(step) {
  const id = sheet.move(step);
  if (id && details.isOpen) go({ ...view, entry: id }, { replaces: true });
}

function begin() {
  session.leave();
  showControls();
  session.showReader().catch(() => {});  // whoever is away is told of by the log itself
  load();
  showDetails();
}

/** Show the sign-in in place of the log. */
function leave(reason = "") {
  forget();
  session.ask(reason);
}

/** Keep nothing of what was shown. */
function forget() {
  tail.stop();
  loader.stop();
  loader.loadedAt = null;
  arrivals.forget();
  details.close();
  sheet.begin(false);
  sheet.clear();
  notice.clear();
  byId("chart").hidden = true;
}

addEventListener("popstate", () => show(readView(location.search)));
byId("show-entries").addEventListener("click", () => go(withGrouping(view, false)));
byId("show-tools").addEventListener("click", () => go(withGrouping(view, true)));
listenForKeys(byId("keys"), {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => sheet.hasFocus && move(1),
  ArrowUp: () => sheet.hasFocus && move(-1),
  l: () => liveButton.press(),
  "/": () => filters.focus(),
  Escape: () => details.isOpen && closeDetails(),
});
setInterval(() => freshen(byId("table")), FRESHEN_MS);
setInterval(() => document.hidden || refresh(), PULSE_MS);
begin();
