// Moments as text.

import { element, say } from "./elements.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", ...CLOCK });
const LONG_DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", ...CLOCK });
const EXACT = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric",
  ...CLOCK, second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "shortOffset",
});
const SECONDS = new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" });
const OF_DAY = new Intl.DateTimeFormat("en-GB", CLOCK);

/** Return the age of a moment if it is less than a day, otherwise its date. */
export function relative(moment, now = new Date()) {
  const age = now - moment;
  if (age < -MINUTE || age >= DAY) return date(moment, now);
  if (age < 5 * SECOND) return "just now";
  if (age < MINUTE) return `${Math.floor(age / SECOND)} s ago`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min ago`;
  return `${Math.floor(age / HOUR)} h ago`;
}

/** Return a moment to the millisecond, in the reader's own time zone. */
export function exact(moment) {
  return EXACT.format(moment);
}

/** Return day, hour and minute, and the year if it is not this one. */
export function date(moment, now = new Date()) {
  return (moment.getFullYear() === now.getFullYear() ? DATE : LONG_DATE).format(moment);
}

/** Return hour, minute and second. */
export function clock(moment) {
  return SECONDS.format(moment);
}

/** Return hour and minute. */
export function timeOfDay(moment) {
  return OF_DAY.format(moment);
}

/** Return "14:03:22 and 14:05:01", with dates unless both are today. */
export function between(from, to) {
  const oneDay = from.toDateString() === to.toDateString();
  const day = oneDay && from.toDateString() === new Date().toDateString();
  if (day) return `${clock(from)} and ${clock(to)}`;
  return oneDay ? `${date(from)} and ${clock(to)}` : `${date(from)} and ${date(to)}`;
}

/** Return a `<time>` with the age as text and the exact time as title. */
export function timeElement(iso) {
  const moment = new Date(iso);
  return element("time", { datetime: iso, title: exact(moment) }, relative(moment));
}

/** Update the texts of the `<time>` elements in a part of the page. */
export function freshen(part) {
  const now = new Date();
  for (const shown of part.querySelectorAll("time[title]")) {
    say(shown, relative(new Date(shown.dateTime), now));
  }
}
