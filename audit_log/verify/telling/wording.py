"""Turns what was judged of one log into findings and remarks for the operator."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from audit_log.plurals import agreeing, counted
from audit_log.verify.ages import Age, Fate, Keeping, moment
from audit_log.verify.findings import Finding, Kind, LogReport
from audit_log.verify.proving.judging import Bad, Gone, Judgement, TileBad
from audit_log.verify.proving.leaf_file import Noted
from audit_log.verify.proving.noting import Noting

_ROWS: Final = "[row was|rows were]"
_RECORDS: Final = "[record was|records were]"
_LINES: Final = "[line was|lines were]"
MOST_FINDINGS: Final = 200
"""Of one kind and log: more of them are counted and not listed."""
MOST_RUNS: Final = 100
"""Of places that are gone: where there are more, neighbours are told together."""


class Found(NamedTuple):
    """What the tables hold at a bad place."""

    table: str
    id: str
    differences: Sequence[tuple[str, object, object]]
    """Columns in which the row differs from its note, with what each says."""


def tell_bad(judgement: Judgement, rows: Mapping[int, Sequence[Found]]) -> Iterator[Finding]:
    """Yield findings of the places that are not as they were sealed."""
    places = {bad.sealed: bad.place for bad in judgement.bad}
    told: set[int] = set()
    for bad in judgement.bad:
        if bad.place in told:
            continue
        other = places.get(bad.found) if bad.found is not None else None
        if bad.kind is Kind.ALTERED and other is not None and other != bad.place:
            told |= {bad.place, other}
            yield _swapped(bad, other)
        else:
            told.add(bad.place)
            since, until = bad.age.moments
            yield Finding(
                kind=bad.kind,
                what=_what(bad, rows.get(bad.place, ())),
                first=bad.place,
                last=bad.place,
                since=since,
                until=until,
            )


def _swapped(bad: Bad, other: int) -> Finding:
    since, until = bad.age.moments
    return Finding(
        kind=Kind.SWAPPED,
        what=f"the row at place {bad.place} is the one that was sealed at place {other}",
        first=min(bad.place, other),
        last=max(bad.place, other),
        since=since,
        until=until,
    )


def _what(bad: Bad, rows: Sequence[Found]) -> str:
    if bad.found is None and bad.sealed is not None:
        return "an older version of a tool call has been put back into its row"
    named = ", ".join(f"{row.table} {row.id}" for row in rows) or "no row"
    if bad.kind is Kind.TAKEN_TWICE:
        return f"one place is taken by several rows, of which one at most was sealed: {named}"
    if bad.kind is Kind.INSERTED:
        return (
            f"{named} stands where no line was sealed, and was not made when its neighbours were"
        )
    if bad.kind is Kind.NOTE_ALTERED:
        return "the note of this place is not what was sealed"
    for row in rows:
        if row.differences:
            said = "; ".join(
                f"{name}: sealed {noted!r}, now {found!r}"
                for name, noted, found in row.differences
            )
            return f"{row.table} {row.id} is not what its note says: {said}"
    return f"{named} is not what was sealed here: altered, or put in its place"


def tell_gone(gone: Sequence[Gone], keeping: Keeping, report: LogReport) -> None:
    """Tell in *report* of rows that are gone: each run of places with one fate together."""
    counts = Counter(one.fate for one in gone)
    report.say(
        "gone_by_retention",
        counts[Fate.RETENTION],
        f"[row is|rows are] gone by the retention: made before {_text(keeping.horizon)}, by the"
        f" word of {keeping.source}",
    )
    report.say(
        "removed_by_hand",
        counts[Fate.BY_HAND],
        f"{_ROWS} removed by hand, or for AUDIT_LOG_MAX_BYTES: all entries older than"
        f" {_text(keeping.cut)} are gone",
    )
    for fate, kind, what in (
        (
            Fate.DELETED,
            Kind.DELETED,
            "{} [row that was|rows that were] sealed [is|are] gone, and may not be",
        ),
        (
            Fate.UNDECIDED,
            Kind.AGE_NOT_PROVED,
            "{} [row is|rows are] gone, and nothing proves yet that [it was|they were] old enough",
        ),
    ):
        report.findings += _runs([one for one in gone if one.fate is fate], kind, what)


def _runs(gone: Sequence[Gone], kind: Kind, what: str) -> Iterable[Finding]:
    numbered = enumerate(gone)
    runs = [
        [one for _, one in run]
        for _, run in groupby(numbered, key=lambda item: item[1].place - item[0])
    ]
    together = -(-len(runs) // MOST_RUNS)
    for at in range(0, len(runs), together or 1):
        places = [one for run in runs[at : at + together] for one in run]
        sinces = [one.age.since for one in places]
        untils = [one.age.until for one in places]
        age = Age(
            None if None in sinces else min(one for one in sinces if one is not None),
            None if None in untils else max(one for one in untils if one is not None),
        )
        yield Finding(
            kind=kind,
            what=agreeing(len(places), what.format(len(places))),
            first=places[0].place,
            last=places[-1].place,
            since=age.moments[0],
            until=age.moments[1],
        )


def _of_tile(tile: TileBad, kind: Kind, what: str) -> Finding:
    since, until = tile.age.moments
    return Finding(
        kind=kind, what=what, first=tile.first, last=tile.last, since=since, until=until
    )


def tell_tiles(judgement: Judgement, report: LogReport) -> None:
    """Tell of tiles: altered where no place can be told, and stored ones that are not right."""
    report.findings += [
        _of_tile(
            tile,
            Kind.ALTERED,
            "a row or note of this tile is not what was sealed; which one cannot be told,"
            " because the stored tile was altered too",
        )
        for tile in judgement.tiles
    ]
    report.findings += [
        _of_tile(
            tile,
            Kind.NOT_PROVED,
            "the rows of this tile cannot be proved: its hashes are gone, though it has"
            " lines that the retention may not let go",
        )
        for tile in judgement.pruned
    ]
    for level, number in sorted(set(judgement.stored)):
        width = 256 << 8 * level
        report.findings.append(
            Finding(
                kind=Kind.TILE_ALTERED,
                what=f"the stored tile {number} of level {level} is not the signed one",
                first=number * width,
                last=(number + 1) * width - 1,
            )
        )


def tell_notes(counts: Mapping[Noted, int], noting: Noting, report: LogReport) -> None:
    """Tell what notes say that is no alarm."""
    report.say(
        "named_later", noting.named_later, f"{_ROWS} given the name of [its|their] token later"
    )
    report.say(
        "interim", noting.interim, "[version of a tool call|versions of tool calls] ended later"
    )
    quarantined = counts[Noted.QUARANTINED]
    report.say("quarantined", quarantined, f"{_RECORDS} refused by the store and quarantined")
    report.say("written_later", noting.written_later, "of these [was|were] written later")
    report.say(
        "missing_lines",
        counts[Noted.MISSING],
        "[line of the journal is|lines of the journal are] missing",
    )
    void = "[place was|places were] never used: the memory of the journal was lost"
    report.say("void", counts[Noted.VOID], f"{void}, as by a power cut")
    report.say("unsealed", counts[Noted.UNSEALED], f"{_LINES} written while the seal was off")


def limited(findings: Sequence[Finding]) -> list[Finding]:
    """Return at most `MOST_FINDINGS` of each kind, and one that tells how many more."""
    by_kind: dict[Kind, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    kept: list[Finding] = []
    for kind, told in by_kind.items():
        kept += told[:MOST_FINDINGS]
        if more := told[MOST_FINDINGS:]:
            what = f"{counted(len(more), 'more finding')} of this kind, among these places"
            first = min((one.first for one in more if one.first is not None), default=None)
            last = max((one.last for one in more if one.last is not None), default=None)
            kept.append(Finding(kind=kind, what=what, first=first, last=last))
    return kept


def _text(seconds: int | None) -> str:
    at = moment(seconds)
    return "ever" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
