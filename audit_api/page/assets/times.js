// Moments as text.

import { element, say } from "./elements.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY_PARTS = { day: "numeric", month: "short" };

let isUtc = false;
let texts = formats();

/** Show all times in UTC, or in the reader's own time zone. */
export function useUtc(wanted) {
  if (wanted === isUtc) return;
  isUtc = wanted;
  texts = formats();
}

/** Return the time zone in which times are shown: { zone, offset }, by its name and by its offset now. */
export function shownZone() {
  const minutes = isUtc ? 0 : -new Date().getTimezoneOffset();
  const part = (number) => String(Math.trunc(Math.abs(number))).padStart(2, "0");
  return {
    zone: isUtc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone,
    offset: `${minutes < 0 ? "-" : "+"}${part(minutes / 60)}:${part(minutes % 60)}`,
  };
}

/** Return the beginning of a day, so many days from today, or of this month. */
export function startOfDay(now, days = 0) {
  return midnight(now, (year, month, day) => [year, month, day + days]);
}

export function startOfMonth(now) {
  return midnight(now, (year, month) => [year, month, 1]);
}

/** Return a moment as the value of a `datetime-local` field, which has no zone. */
export function toInput(iso) {
  const moment = new Date(iso ?? NaN);
  if (Number.isNaN(moment.getTime())) return "";
  const minutes = isUtc ? 0 : moment.getTimezoneOffset();
  return new Date(moment - minutes * MINUTE).toISOString().slice(0, 19);
}

/** Return the moment in a `datetime-local` field. */
export function fromInput(value) {
  return value ? new Date(isUtc ? `${value}Z` : value).toISOString() : "";
}

function midnight(now, change) {
  const moment = new Date(now);
  if (isUtc) return new Date(Date.UTC(...change(moment.getUTCFullYear(), moment.getUTCMonth(), moment.getUTCDate())));
  return new Date(...change(moment.getFullYear(), moment.getMonth(), moment.getDate()));
}

function formats() {
  const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: isUtc ? "UTC" : undefined, ...options });
  return {
    date: format({ ...DAY_PARTS, ...CLOCK }),
    longDate: format({ ...DAY_PARTS, year: "numeric", ...CLOCK }),
    exact: format({
      ...DAY_PARTS, year: "numeric", ...CLOCK, second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "shortOffset",
    }),
    seconds: format({ ...CLOCK, second: "2-digit" }),
    ofDay: format(CLOCK),
    day: format({ ...DAY_PARTS, year: "numeric" }),
    year: format({ year: "numeric" }),
  };
}

/** Return the age of a moment if it is less than a day, otherwise its date. */
export function relative(moment, now = new Date()) {
  const age = now - moment;
  if (age < -MINUTE || age >= DAY) return date(moment, now);
  if (age < 5 * SECOND) return "just now";
  if (age < MINUTE) return `${Math.floor(age / SECOND)} s ago`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min ago`;
  return `${Math.floor(age / HOUR)} h ago`;
}

/** Return a moment to the millisecond. */
export function exact(moment) {
  return texts.exact.format(moment);
}

/** Return day, hour and minute, and the year if it is not this one. */
export function date(moment, now = new Date()) {
  const isThisYear = texts.year.format(moment) === texts.year.format(now);
  return (isThisYear ? texts.date : texts.longDate).format(moment);
}

/** Return hour, minute and second. */
export function clock(moment) {
  return texts.seconds.format(moment);
}

/** Return hour and minute. */
export function timeOfDay(moment) {
  return texts.ofDay.format(moment);
}

/** Return "14:03:22 and 14:05:01", with dates unless both are today. */
export function between(from, to) {
  const oneDay = texts.day.format(from) === texts.day.format(to);
  const day = oneDay && texts.day.format(from) === texts.day.format(new Date());
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
