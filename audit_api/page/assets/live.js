// The live stream: new entries as they are written. Reconnects until it is stopped.

import { streamAddress } from "./api.js";

const SLOWEST_RETRY_MS = 30_000;

export class LiveStream {
  #subscriber;
  #source = null;
  #timer = 0;
  #failures = 0;
  #isWaiting = false;

  /** The subscriber has `opened()`, `arrived(call)`, `missed()` for a gap, and `lost()`. */
  constructor(subscriber) {
    this.#subscriber = subscriber;
  }

  /** Stream the API calls or tool calls that match this query, instead of any earlier one. */
  start(query, byTool) {
    this.stop();
    const source = new EventSource(streamAddress(query, byTool));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#isWaiting = false;
      this.#subscriber.opened();
    });
    for (const kind of ["entry", "tool_call"]) {
      source.addEventListener(kind, (event) => this.#subscriber.arrived(JSON.parse(event.data)));
    }
    source.addEventListener("gap", () => this.#subscriber.missed());
    // The connection is there, and nothing comes over it: the API cannot read the log.
    source.addEventListener("waiting", () => {
      this.#isWaiting = true;
      this.#subscriber.lost();
    });
    source.addEventListener("resumed", () => {
      this.#isWaiting = false;
      this.#subscriber.opened();
    });
    source.addEventListener("error", () => {
      this.#subscriber.lost();
      // The browser reconnects after a cut connection, but gives up after any status but 200.
      if (source.readyState === EventSource.CLOSED) this.#startLater(query, byTool);
    });
  }

  /** Whether calls come as they are made. */
  get isLive() {
    return this.#source?.readyState === EventSource.OPEN && !this.#isWaiting;
  }

  stop() {
    this.#isWaiting = false;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #startLater(query, byTool) {
    this.stop();
    this.#failures += 1;
    const wait = Math.min(1_000 * 2 ** this.#failures, SLOWEST_RETRY_MS);
    this.#timer = setTimeout(() => this.start(query, byTool), wait);
  }
}
