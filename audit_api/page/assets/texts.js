// Values as text.

// Controls, joiners and direction marks: invisible, or able to change how other text looks.
const DECEPTIVE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1_000]];
const NUMBERS = new Intl.NumberFormat("en");

/** Return untrusted text with its invisible characters escaped. */
export function visible(text) {
  return text.replace(DECEPTIVE, (character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Return "1 call", "1,204 calls". */
export function count(number, noun) {
  return `${NUMBERS.format(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return a number with thousands separators. */
export function grouped(number) {
  return NUMBERS.format(number);
}

/** Return a length of time in its largest unit: "90 seconds", "2 hours", "4,782 days". */
export function length(ms) {
  const [noun, unit] = UNITS.find(([, least]) => ms >= 2 * least) ?? UNITS.at(-1);
  return count(Math.round(ms / unit), noun);
}

/** Return `upstream_timed_out` as "upstream timed out". */
export function spaced(word) {
  return word.replaceAll("_", " ");
}

/** Return a duration with two or three significant digits. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 99_950) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
