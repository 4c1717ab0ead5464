// Entries in order of time, and the gaps between them. Values in, values out.

/** Return entries newest first, each once; of two with one id the later argument's is kept. */
export function merged(shown, arrived) {
  const byKey = new Map([...shown, ...arrived].map((entry) => [entry.id, entry]));
  return [...byKey.values()].sort(newestFirst);
}

/**
 * Return lines: the entries with each gap put before the first entry that is older than its end.
 *
 * Gaps that end before the oldest entry wait for the pages to come, unless there are none.
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
