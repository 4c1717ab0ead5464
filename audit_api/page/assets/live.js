// The live stream: new entries as they are written. Reconnects until it is stopped.

import { streamAddress } from "./api.js";

const SLOWEST_RETRY_MS = 30_000;

export class LiveStream {
  #subscriber;
  #source = null;
  #timer = 0;
  #failures = 0;

  /** The subscriber has `opened()`, `arrived(entry)` and `lost()`. */
  constructor(subscriber) {
    this.#subscriber = subscriber;
  }

  /** Stream the entries that match this query, instead of any earlier one. */
  start(query) {
    this.stop();
    const source = new EventSource(streamAddress(query));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#subscriber.opened();
    });
    source.addEventListener("entry", (event) => this.#subscriber.arrived(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      this.#subscriber.lost();
      // The browser reconnects after a cut connection, but gives up after any status but 200.
      if (source.readyState === EventSource.CLOSED) this.#startLater(query);
    });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #startLater(query) {
    this.stop();
    this.#failures += 1;
    const wait = Math.min(1_000 * 2 ** this.#failures, SLOWEST_RETRY_MS);
    this.#timer = setTimeout(() => this.start(query), wait);
  }
}
