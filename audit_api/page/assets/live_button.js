// The button that shows the state of the live stream and pauses it.

import { say } from "./elements.js";

const STATES = {
  waiting: ["Live", "Connecting for new calls; press to pause"],
  live: ["Live", "New calls appear as they happen; press to pause"],
  lost: ["Retrying", "The live connection is lost and is being retried; press to pause"],
  paused: ["Paused", "New calls are counted, not shown; press to continue"],
  past: ["Past", "The selected time is over, so no new calls appear"],
};

export class LiveButton {
  #button;
  #state = "waiting";
  #isPaused = false;

  /** `changed()` is called when the reader pauses or continues. */
  constructor(button, changed) {
    this.#button = button;
    button.addEventListener("click", () => {
      this.#isPaused = !this.#isPaused;
      this.#show();
      changed();
    });
    this.#show();
  }

  get isPaused() { return this.#isPaused; }

  press() {
    this.#button.click();
  }

  /** Show the state of the connection: "waiting", "live", "lost" or "past". */
  tell(state) {
    this.#state = state;
    this.#show();
  }

  #show() {
    const state = this.#state !== "past" && this.#isPaused ? "paused" : this.#state;
    const [word, explanation] = STATES[state];
    this.#button.dataset.state = state;
    this.#button.disabled = state === "past";
    this.#button.title = explanation;
    say(this.#button, word);
  }
}
