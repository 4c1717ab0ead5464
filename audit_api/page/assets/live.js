// The live tail: new entries as they are written. It keeps trying until it is stopped.

import { streamAddress } from "./api.js";

const SLOWEST_RETRY_MS = 30_000;

export class LiveTail {
  #listener;
  #source = null;
  #timer = 0;
  #failures = 0;

  /** The listener has `opened()`, `arrived(entry)` and `lost()`. */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Listen for the entries that answer this question, and for no others. */
  start(question) {
    this.stop();
    const source = new EventSource(streamAddress(question));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#listener.opened();
    });
    source.addEventListener("entry", (event) => this.#listener.arrived(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      this.#listener.lost();
      // The browser tries again after a cut connection, but gives up after any answer but 200.
      if (source.readyState === EventSource.CLOSED) this.#startLater(question);
    });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #startLater(question) {
    this.stop();
    this.#failures += 1;
    const wait = Math.min(1_000 * 2 ** this.#failures, SLOWEST_RETRY_MS);
    this.#timer = setTimeout(() => this.start(question), wait);
  }
}
