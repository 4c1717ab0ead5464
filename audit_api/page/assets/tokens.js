// The tokens that have been used.

import * as api from "./api.js";

export class Tokens {
  #used = [];
  #met = [];

  async load(signal) {
    this.#used = await api.tokens(signal);
    this.#met = this.#met.filter((token) => !isAmong(token, this.#used));
  }

  /** Know the tokens of entries that arrived: the API may take a while to count them in. */
  meet(entries) {
    for (const entry of entries) {
      if (!isAmong(entry, this.#known)) this.#met.unshift(entry);
    }
  }

  /** Return [value, label] of each token, the last used first; names given twice tell the id too. */
  options() {
    const known = this.#known;
    const options = new Map();
    for (const { token_id: id, token_name: name } of known) {
      const value = id === null ? `token_name=${name}` : `token_id=${id}`;
      if (options.has(value)) continue;  // renamed: the name it had last was first
      const twice = known.some((other) => other.token_name === name && other.token_id !== id);
      options.set(value, twice && id !== null ? `${name} (${id.slice(-8)})` : name);
    }
    return [...options];
  }

  /** Return the name of the token that filters name, however little is known of it. */
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
