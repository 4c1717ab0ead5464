// Loads the calls of a view, keeps them up to date, and retries while the API is unavailable.

import * as api from "./api.js";
import { Log, askAround } from "./log.js";
import { TimelineLog } from "./timeline_log.js";
import { ToolLog } from "./tool_log.js";
import { queryOf } from "./view.js";

const FIRST_RETRY_MS = 3_000;
const SLOWEST_RETRY_MS = 20_000;

function logOf({ byTool, isBoth, around }) {
  if (isBoth) return new TimelineLog(around);
  return byTool ? new ToolLog(around) : new Log(askAround(api.entries, around), api.gaps);
}

export class Loader {
  #observer;
  #cancel = new AbortController();
  #timer = 0;
  #retryMs = FIRST_RETRY_MS;
  #view = null;
  #isBusy = false;
  #wanted = null;

  log = null;
  query = {};
  /** When the calls that are shown were loaded; null if there are none. */
  loadedAt = null;

  /**
   * The observer has `loaded({ isNew, isFresh })`, called after a first page or after newer calls;
   * `besides(signal)`, which loads the chart and the tokens; `failed(error)`; and `isHeld()`, which
   * says whether the reader is reading, so that rows must not move.
   */
  constructor(observer) {
    this.#observer = observer;
  }

  /** Load the first page of a view. */
  load(view) {
    this.#view = view;
    this.query = queryOf(view);
    this.loadedAt = null;
    const log = logOf(view);
    return this.#attempt(async (signal) => {
      await log.load(this.query, signal);
      if (!signal.aborted) this.log = log;
    }, { isNew: true });
  }

  /** Load newer calls, after the load in progress. Rows that are held move only if `isAsked`. */
  async refresh({ isAsked = false } = {}) {
    const mayMove = () => isAsked || !this.#observer.isHeld();
    if (this.#isBusy) this.#wanted = { isAsked: isAsked || this.#wanted?.isAsked };
    else if (this.loadedAt === null) await this.load(this.#view);
    else {
      await this.#attempt((signal) => mayMove() && this.log.refresh(this.query, signal, mayMove), { isFresh: true });
    }
  }

  /** Add older calls. */
  older() {
    return this.#attempt((signal) => this.log.older(this.query, signal));
  }

  /** Cancel the load in progress, and do not retry. */
  stop() {
    this.#cancel.abort();
    this.#isBusy = false;
    this.#wanted = null;
    clearTimeout(this.#timer);
  }

  async #attempt(work, { isNew = false, isFresh = false } = {}) {
    this.stop();
    this.#isBusy = true;
    this.#cancel = new AbortController();
    const { signal } = this.#cancel;
    try {
      await work(signal);
      if (signal.aborted) return;
      this.loadedAt = new Date();
      this.#observer.loaded({ isNew, isFresh });
      await this.#observer.besides(signal);
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof api.AwayError) this.#retryLater();
      this.#observer.failed(error);
    }
    if (signal.aborted) return;
    this.#isBusy = false;
    if (this.#wanted) this.refresh(this.#wanted);
  }

  #retryLater() {
    this.#timer = setTimeout(() => this.refresh(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, SLOWEST_RETRY_MS);
  }
}
