// The tokens that have been used.

import * as api from "./api.js";

export class Tokens {
  #tokens = [];

  async load(signal) {
    this.#tokens = await api.tokens(signal);
  }

  /** Say whether an entry is of a token that is not yet known. */
  lacks({ token_id: id, token_name: name }) {
    return !this.#tokens.some((token) => id === null ? token.token_name === name : token.token_id === id);
  }

  /** Return [value, label] of each token, the last used first; names given twice tell the id too. */
  options() {
    const options = new Map();
    for (const { token_id: id, token_name: name } of this.#tokens) {
      const value = id === null ? `token_name=${name}` : `token_id=${id}`;
      if (options.has(value)) continue;  // renamed: the name it had last was first
      const twice = this.#tokens.some((other) => other.token_name === name && other.token_id !== id);
      options.set(value, twice && id !== null ? `${name} (${id.slice(-8)})` : name);
    }
    return [...options];
  }

  /** Return the name of the token that filters name, however little is known of it. */
  labelOf({ token_id: id, token_name: name }) {
    if (id === undefined) return name ?? "";
    return this.options().find(([value]) => value === `token_id=${id}`)?.[1] ?? id;
  }
}
