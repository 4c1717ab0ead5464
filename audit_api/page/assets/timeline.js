// Entries in order of time, and the gaps between them. Pure functions.

/** Return entries newest first without duplicates; `arrived` replaces `shown`. */
export function merged(shown, arrived) {
  const byKey = new Map([...shown, ...arrived].map((entry) => [entry.id, entry]));
  return [...byKey.values()].sort(newestFirst);
}

/**
 * Return the entries shown with the newest page in place of those that it covers. One of them that
 * is not in it has changed, and is no longer what was asked for.
 */
export function renewed(shown, { items, next }) {
  const older = next === null ? [] : shown.filter((entry) => newestFirst(items.at(-1), entry) < 0);
  return [...items, ...older];
}

/**
 * Return lines: the entries, with each gap before the first entry that is older than the gap's end.
 *
 * Gaps older than the oldest entry are omitted until all pages are loaded (`isComplete`).
 */
export function woven(entries, gaps, isComplete) {
  const waiting = [...gaps].sort((one, other) => moment(other.to) - moment(one.to));
  const lines = [];
  for (const entry of entries) {
    while (waiting.length && moment(waiting[0].to) > moment(entry.created_at)) {
      lines.push({ gap: waiting.shift() });
    }
    lines.push({ entry });
  }
  return isComplete ? [...lines, ...waiting.map((gap) => ({ gap }))] : lines;
}

function newestFirst(one, other) {
  return moment(other.created_at) - moment(one.created_at) || (one.id < other.id ? 1 : -1);
}

function moment(iso) {
  return Date.parse(iso);
}
