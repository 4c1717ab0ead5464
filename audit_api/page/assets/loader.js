// Loads what a view asks for, keeps it up to date, and tries again while the API is away.

import * as api from "./api.js";
import { Log } from "./log.js";
import { ToolLog } from "./tool_log.js";
import { questionOf } from "./view.js";

const FIRST_RETRY_MS = 3_000;
const SLOWEST_RETRY_MS = 20_000;

export class Loader {
  #listener;
  #cancel = new AbortController();
  #timer = 0;
  #retryMs = FIRST_RETRY_MS;
  #view = null;
  #isBusy = false;
  #wanted = null;

  log = null;
  question = {};
  /** When what is shown was loaded; null while nothing is. */
  loadedAt = null;

  /**
   * The listener has `loaded({ isNew, isFresh })`: a first page, or calls newer than it;
   * `besides(signal)`, which loads what is shown around them; `failed(error)`; and `isHeld()`,
   * which says whether somebody is reading, so that rows must stay where they are.
   */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Load a view from its beginning. */
  load(view) {
    this.#view = view;
    this.question = questionOf(view);
    this.loadedAt = null;
    const log = view.byTool ? new ToolLog() : new Log(api.entries, api.gaps);
    return this.#attempt(async (signal) => {
      await log.load(this.question, signal);
      if (!signal.aborted) this.log = log;
    }, { isNew: true });
  }

  /** Bring what is shown up to date, after what is under way; held rows only if the reader asked. */
  async refresh({ isAsked = false } = {}) {
    const mayMove = () => isAsked || !this.#listener.isHeld();
    if (this.#isBusy) this.#wanted = { isAsked: isAsked || this.#wanted?.isAsked };
    else if (this.loadedAt === null) await this.load(this.#view);
    else {
      await this.#attempt((signal) => mayMove() && this.log.refresh(this.question, signal, mayMove), { isFresh: true });
    }
  }

  /** Add older calls. */
  older() {
    return this.#attempt((signal) => this.log.older(this.question, signal));
  }

  /** Give up what is under way, and do not try again. */
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
      this.#listener.loaded({ isNew, isFresh });
      await this.#listener.besides(signal);
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof api.AwayError) this.#retryLater();
      this.#listener.failed(error);
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
