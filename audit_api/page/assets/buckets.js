// How the chart divides time into buckets. Pure functions.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const LENGTHS = { minute: MINUTE, hour: HOUR, day: DAY };
const MOST = 30 * DAY;  // the API's limit is 31 days

/**
 * Return { bucket, since, until } for the chart of a query.
 *
 * Without `since` it is the last day; the last thirty days if that day is empty; or the thirty days
 * up to the newest entry if those are empty too. Of a longer span only the end is drawn.
 */
export function divided({ since, until }, newest, now = Date.now()) {
  const latest = newest ? Date.parse(newest) : now;
  const end = until ? Date.parse(until) : now;
  const to = !until && !since && end - latest >= MOST ? latest + HOUR : end;
  const usual = to - latest < DAY ? DAY : MOST;
  const span = Math.max(Math.min(to - (since ? Date.parse(since) : to - usual), MOST), MINUTE);
  const bucket = span <= 4 * HOUR ? "minute" : span <= 7 * DAY ? "hour" : "day";
  return { bucket, since: new Date(to - span).toISOString(), until: new Date(to).toISOString() };
}

/** Return when a bucket ends. */
export function endOf(start, bucket) {
  return new Date(Date.parse(start) + LENGTHS[bucket]);
}

/** Return the number of calls in a bucket. */
export function totalOf(counts) {
  return counts["2xx"] + counts["3xx"] + counts["4xx"] + counts["5xx"] + counts.other;
}
