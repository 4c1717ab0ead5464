// The reader's session, and the form to sign in.

import * as api from "./api.js";
import { byId, say } from "./elements.js";
import { visible } from "./texts.js";

const LINK = /^#sign-in=(.+)$/;

export class Session {
  #form = byId("sign-in").querySelector("form");
  #signedIn;

  /** `signedIn()` is called after signing in, `signedOut()` after signing out. */
  constructor({ signedIn, signedOut }) {
    this.#signedIn = signedIn;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#signIn();
    });
    byId("sign-out").addEventListener("click", async () => {
      await api.signOut();
      signedOut();
    });
  }

  /** Show the reader's name. A reader that PodWarden admits has no name and no session here. */
  async showReader() {
    const reader = await api.reader();
    byId("account").hidden = !reader?.name;
    if (reader?.name) say(byId("reader"), visible(`${reader.name} (${reader.role})`));
  }

  /** Whether the address is a sign-in link. */
  get hasLink() {
    return LINK.test(location.hash);
  }

  /**
   * Trade the code in the address for a session. Resolves to why that was refused, or to "".
   * The code leaves the address and the history first. It does not replace a session: a stranger's
   * link must not make the reader somebody else.
   */
  async followLink() {
    const [, code] = LINK.exec(location.hash);
    history.replaceState(history.state, "", location.pathname + location.search);
    try {
      if (await api.reader() === null) await api.signIn({ code });
    } catch (error) {
      if (error instanceof api.SignInNeededError || error instanceof api.RefusedError) return `${visible(error.message)}.`;
      if (!(error instanceof api.AwayError)) throw error;  // the log reports an unavailable API
    }
    return "";
  }

  /** Ask for a token in place of the log. */
  ask(reason = "") {
    document.body.classList.add("signed-out");
    byId("sign-in").hidden = false;
    byId("account").hidden = true;
    say(byId("sign-in-error"), reason);
    byId("token").focus();
  }

  /** Show the log again. */
  leave() {
    document.body.classList.remove("signed-out");
    byId("sign-in").hidden = true;
  }

  async #signIn() {
    const field = byId("token");
    say(byId("sign-in-error"), "");
    field.removeAttribute("aria-invalid");
    try {
      await api.signIn({ token: field.value.trim() });
    } catch (error) {
      field.setAttribute("aria-invalid", "true");
      say(byId("sign-in-error"), `${visible(error.message)}.`);
      field.select();
      return;
    }
    field.value = "";
    this.#signedIn();
  }
}
