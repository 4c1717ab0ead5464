// The tokens in use, as the filter offers them. All unknown tokens are one of them: a client can invent any number.

import * as api from "./api.js";
import { grouped } from "./texts.js";

const UNKNOWN = "unknown_tokens=true";
const UNKNOWN_NAME = "Unknown token (";

export class Tokens {
  #used = [];
  #met = [];

  async load(signal) {
    this.#used = await api.tokens(signal);
    this.#met = this.#met.filter((token) => !isAmong(token, this.#used));
  }

  /** Add the tokens of entries that arrived: the API's list of tokens is cached. */
  meet(entries) {
    for (const entry of entries) {
      if (!isAmong(entry, this.#known)) this.#met.unshift(entry);
    }
  }

  /** Return [value, label] of each token, last used first. Names that are not unique show the id. */
  options() {
    const known = this.#known;
    const options = new Map();
    for (const token of known) {
      const value = valueOf(token);
      // If there already: renamed, and its latest name came first.
      if (!options.has(value)) options.set(value, labelAmong(token, known));
    }
    return [...options];
  }

  /** Return the names of known tokens. */
  names() {
    return [...new Set(this.#known.map(({ token_name: name }) => name))].filter((name) => !name.startsWith("Unknown token"));
  }

  /** Return what is known of the token of a call: its owner, role, expiry; {} without an id. */
  about({ token_id: id }) {
    return this.#used.find((token) => id !== null && token.token_id === id) ?? {};
  }

  /** Return the label of the token in the filters; its id if the name is unknown. */
  labelOf({ token_id: id, token_name: name, unknown_tokens: unknown }) {
    if (unknown !== undefined) return unknown === "true" ? "Unknown tokens" : "all but unknown tokens";
    if (id === undefined) return name ?? "";
    return this.options().find(([value]) => value === `token_id=${id}`)?.[1] ?? id;
  }

  get #known() {
    return [...this.#met, ...this.#used];
  }
}

/** Return the filter of a token, as `name=value`. */
function valueOf({ token_id: id, token_name: name, unknown_tokens: unknown = null }) {
  if (id !== null) return `token_id=${id}`;
  return unknown !== null || name.startsWith(UNKNOWN_NAME) ? UNKNOWN : `token_name=${name}`;
}

function labelAmong(token, known) {
  const { token_id: id, token_name: name, unknown_tokens: unknown = null } = token;
  if (valueOf(token) === UNKNOWN) return unknown === null ? "Unknown tokens" : `Unknown tokens (${grouped(unknown)})`;
  const twice = known.some((other) => other.token_name === name && other.token_id !== id);
  return twice && id !== null ? `${name} (${id.slice(-8)})` : name;
}

function isAmong(token, tokens) {
  return tokens.some((other) => valueOf(other) === valueOf(token));
}
