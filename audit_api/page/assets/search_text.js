// Filters as text: `method=POST,DELETE status!=404 duration_ms>500 object=clusters/12`. Pure functions.

const TERM = /^([a-z_]+)(!=|>=|<=|=|>|<)(.*)$/;
const SIGNS = { "=": "", "!=": "!", ">=": ">", "<=": "<", ">": ">", "<": "<" };

/**
 * Return { filters }, or { problem } that says what is wrong.
 *
 * A term without a sign is a path if it begins with a slash. Values with spaces stand in quotes.
 */
export function readSearch(text) {
  const filters = {};
  for (const [term] of text.matchAll(/(?:[^\s"]+|"[^"]*"?)+/g)) {
    const plain = term.replaceAll('"', "");
    const [, name, sign, value] = TERM.exec(plain) ?? (plain.startsWith("/") ? [plain, "path", "=", plain] : []);
    if (name === undefined) return { problem: `“${plain}” is no filter: write for example path=/api/v1, tool=${plain} or status=4xx` };
    if (value === "") return { problem: `${name}${sign} has no value` };
    const filter = name + SIGNS[sign];
    if (filter in filters) return { problem: `${name}${sign} is given twice: separate several values by commas` };
    filters[filter] = value;
  }
  return { filters };
}

/** Return filters as text. */
export function searchText(filters) {
  return Object.entries(filters).map(([name, value]) => quoted(`${name}=${value}`)).join(" ");
}

/** Return what a text may go on with: `known` maps the name of a filter to values that there are. */
export function suggestions(text, known, history) {
  const before = text.slice(0, text.search(/\S*$/));
  const begun = text.slice(before.length);
  if (text === "") return [...history, ...Object.keys(known).map((name) => `${name}=`)];
  const [, name, sign, value] = TERM.exec(begun) ?? [];
  if (name === undefined) return Object.keys(known).filter((each) => each.startsWith(begun)).map((each) => `${before}${each}=`);
  const list = value.slice(0, value.lastIndexOf(",") + 1);
  return (known[name] ?? []).filter((each) => each.startsWith(value.slice(list.length)))
    .map((each) => `${before}${quoted(`${name}${sign}${list}${each.replaceAll(",", "\\,")}`)}`);
}

function quoted(term) {
  return /\s/.test(term) ? `"${term}"` : term;
}
