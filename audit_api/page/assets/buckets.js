// The buckets of the chart. Pure functions.

const HOUR = 3_600_000;
const LENGTHS = { minute: HOUR / 60, hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR, month: 31 * 24 * HOUR };

/** Return when the bucket at an index ends: where the next begins, and the last by its length. */
export function endOf(buckets, index, bucket) {
  const next = buckets[index + 1];
  return next ? new Date(next.start) : new Date(Date.parse(buckets[index].start) + LENGTHS[bucket]);
}

/** Return the number of calls in a bucket. */
export function totalOf(counts) {
  return counts["2xx"] + counts["3xx"] + counts["4xx"] + counts["5xx"] + counts.other;
}
