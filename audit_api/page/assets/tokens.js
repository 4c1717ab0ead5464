// The tokens in use, as the filter offers them.

import * as api from "./api.js";

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
    for (const { token_id: id, token_name: name } of known) {
      const value = id === null ? `token_name=${name}` : `token_id=${id}`;
      if (options.has(value)) continue;  // renamed: its latest name came first
      const twice = known.some((other) => other.token_name === name && other.token_id !== id);
      options.set(value, twice && id !== null ? `${name} (${id.slice(-8)})` : name);
    }
    return [...options];
  }

  /** Return the label of the token in the filters; its id if the name is unknown. */
  labelOf({ token_id: id, token_name: name }) {
    if (id === undefined) return name ?? "";
    return this.options().find(([value]) => value === `token_id=${id}`)?.[1] ?? id;
  }

  get #known() {
    return [...this.#met, ...this.#used];
  }
}

function isAmong({ token_id: id, token_name: name }, tokens) {
  return tokens.some((token) => token.token_id === id && (id !== null || token.token_name === name));
}
