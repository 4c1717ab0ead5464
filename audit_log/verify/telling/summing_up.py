"""Sums up what was found of one log: what its checkpoints say, and what is missing at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.plurals import counted
from audit_log.verify.ages import Keeping, moment
from audit_log.verify.evidence.given_up import signed_by_given_up
from audit_log.verify.evidence.signed import Signed
from audit_log.verify.findings import Finding, Kind, LogReport
from audit_log.verify.proving.judging import Gone
from audit_log.verify.proving.leaf_file import Noted
from audit_log.verify.proving.one_log import OneLog
from audit_log.verify.roots import Equation
from audit_log.verify.telling.succession import Follower
from audit_log.verify.telling.wording import limited, tell_gone, tell_notes, tell_tiles

_CHECKPOINTS: Final = "[checkpoint lies in a tile|checkpoints lie in tiles]"
ARRIVAL: Final = timedelta(minutes=10)
"""How long rows of a sidecar that publishes to NATS may take to arrive."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a log is judged."""

    now: datetime
    keeping: Keeping
    silent_after: timedelta | None
    is_replica: bool
    """What is missing at the end may be on its way from the primary."""

    @property
    def missing_end(self) -> tuple[Kind, str]:
        """What it is, and why, when the database lacks the newest that is known elsewhere."""
        if self.is_replica:
            why = "it is a replica, and lags behind: run again, or verify the primary"
            return Kind.NOT_ARRIVED, why
        return Kind.ROLLED_BACK, "it was put back to an older state, as from a backup"


def sum_up(one: OneLog, terms: Terms, follower: Follower | None) -> LogReport:
    """Return what was found of *one* log, but for what is at its bad places.

    The sidecar has gone on in the log of *follower*, if it has ended without a stop.
    """
    report = LogReport(
        origin=one.subject.origin,
        instance=one.subject.instance,
        size=one.checkpoints.size,
        proved=one.solution.proved,
        first=one.leaves.start,
        rows=one.leaves.rows,
    )
    report.findings += one.checkpoints.findings
    report.findings += _contradictions(one)
    report.findings += [
        Finding(
            kind=Kind.OTHER_KEY,
            what="a checkpoint is signed by a key alone that the log has given up for another",
            notes=(str(given_up.note),),
        )
        for given_up in signed_by_given_up(one.checkpoints.signed, one.following_keys())
    ]
    gone, end = _gone_at_the_end(one, terms, report)
    tell_gone(limited_gone(gone), terms.keeping, report)
    tell_tiles(one.judge.found, report)
    _tell_unproved(one, end, report)
    _tell_words(one, report)
    _tell_silence(one, terms, report, follower)
    _tell_loose(one, report)
    tell_notes({noted: one.leaves.count(noted) for noted in Noted}, one.noting, report)
    report.say("not_stored", one.tiles.not_stored, "full [tile is|tiles are] not stored")
    unknown = sum(equation.size <= one.solution.proved for equation in one.solution.unknown)
    report.say("not_compared", unknown, f"{_CHECKPOINTS} that the retention has pruned")
    if not one.subject.is_in_policy:
        report.say("not_named", 1, "log that the policy does not name, but whose key it has")
    report.findings = limited(report.findings)
    return report


def limited_gone(gone: Sequence[Gone]) -> Sequence[Gone]:
    """Return *gone* in the order of places."""
    return sorted(gone, key=lambda one: one.place)


def _contradictions(one: OneLog) -> list[Finding]:
    """Return the signed checkpoints that the proved leaves contradict."""
    proved = one.solution.proved
    matched = [c for c in one.checkpoints.signed if c.equation in one.solution.matched]
    sizes = {c.checkpoint.size for c in matched}
    return [
        Finding(
            kind=Kind.FORKED,
            what="the log has signed a tree that the later one does not begin with",
            first=0,
            last=c.checkpoint.size - 1,
            notes=(str(c.note), *_first_from(matched, c.checkpoint.size)),
        )
        for c in one.checkpoints.signed
        if c.checkpoint.size <= proved
        and c.equation not in one.solution.matched | one.solution.unknown
        and c.checkpoint.size not in sizes  # two of one size are told as such
    ]


def _first_from(matched: Sequence[Signed], size: int) -> list[str]:
    return [str(c.note) for c in matched if c.checkpoint.size >= size][:1]


def _gone_at_the_end(one: OneLog, terms: Terms, report: LogReport) -> tuple[list[Gone], int]:
    """Return the rows that are gone up to the end of what ever came, and that end.

    What is gone behind it is told in *report*: it never came, or was undone.
    """
    leaves, gone = one.leaves, one.judge.found.gone
    end = leaves.base + len(leaves.marks.rstrip(b"\0"))
    stored = one.checkpoints.stored_size
    kind, why = terms.missing_end
    if one.bookmark is not None and not stored:
        what = (
            f"an earlier run has verified a size of {one.bookmark.proved}, and the database has no"
            f" such checkpoint any more: {why}"
        )
        report.findings.append(_at_the_end(kind, what, 0, one, None))
    if end == leaves.size or end < stored:
        return gone, leaves.size
    first = moment(one.newest_signed)
    witnesses = [c for c in one.checkpoints.elsewhere() if c.checkpoint.size > end]
    words = ", ".join(dict.fromkeys(word for c in witnesses for word in c.words()))
    is_late = first is None or terms.now - first > ARRIVAL
    if one.sink == "nats" and stored:
        count = leaves.size - end
        if is_late:
            what = (
                f"{counted(count, 'leaf', 'leaves')} that {words} has seen did not arrive through"
                " NATS, nor any behind"
            )
            report.findings.append(_at_the_end(Kind.NOT_ARRIVED, what, end, one, first))
        else:
            report.say("not_arrived", count, "[leaf has|leaves have] not arrived through NATS yet")
    else:
        what = (
            f"the database has leaves up to {end} and a checkpoint of {stored}, but {words} has "
            f"seen {leaves.size}: {why}"
        )
        report.findings.append(_at_the_end(kind, what, end, one, first))
    return [item for item in gone if item.place < end], end


def _at_the_end(kind: Kind, what: str, end: int, one: OneLog, since: datetime | None) -> Finding:
    seen = [c.seen_by for c in one.checkpoints.elsewhere() if c.checkpoint.size == one.leaves.size]
    until = min((at for at in seen if at is not None), default=None)
    return Finding(
        kind=kind, what=what, first=end, last=one.leaves.size - 1, since=since, until=until
    )


def _tell_unproved(one: OneLog, end: int, report: LogReport) -> None:
    """Tell of the first checkpoint behind the proved ones, up to *end*, which nothing gives."""
    solution, found = one.solution, one.judge.found
    report.say(
        "not_proved_alone",
        found.unproved,
        "[row of a tile|rows of tiles] that the retention has pruned cannot be proved"
        " [alone|one by one]",
    )
    behind = [
        c.equation for c in one.checkpoints.signed if solution.proved < c.checkpoint.size <= end
    ]
    if not behind:
        return
    mismatched = [equation for equation in behind if equation.size <= solution.reached]
    if mismatched:
        report.findings.append(_mismatch(one, mismatched[0]))
        return
    report.findings.append(
        Finding(
            kind=Kind.NOT_PROVED,
            what="not all leaves of the rows that are gone are kept, so the signed root cannot be "
            "computed. If they went by the retention, wait until the tile is full",
            first=solution.proved,
            last=behind[0].size - 1,
        )
    )


def _mismatch(one: OneLog, equation: Equation) -> Finding:
    first, last = one.solution.proved, equation.size - 1
    age = one.judge.between(first)
    return Finding(
        kind=Kind.ALTERED,
        what="a row or note among these places is not what was sealed: no combination of rows, "
        "notes and stored tiles gives the signed root. What comes behind is not proved either",
        first=first,
        last=last,
        since=moment(age.since),
        until=moment(one.judge.between(last).until),
    )


def _tell_words(one: OneLog, report: LogReport) -> None:
    """Tell until when the log is complete, and by whose word."""
    proved, matched = one.solution.proved, one.solution.matched
    if one.checkpoints.needs_witness and not any(
        c.is_witnessed and c.equation in matched for c in one.checkpoints.signed
    ):
        what = "no checkpoint has the cosignatures that the policy asks for"
        report.findings.append(Finding(kind=Kind.NOT_WITNESSED, what=what))
    newest: dict[str, int] = {}
    elsewhere = one.checkpoints.elsewhere()
    for c in elsewhere:
        if c.equation in matched:
            for word in c.words():
                newest[word] = max(newest.get(word, 0), c.checkpoint.size)
    report.words = [f"{word} at {size}" for word, size in sorted(newest.items())]
    covered = max(newest.values(), default=0)
    report.findings += _uncompared(one, elsewhere, covered)
    if covered:
        report.complete_until = _moment_before(one, covered)
        # Else an anchor has seen them, and a finding tells what became of them.
        if all(c.checkpoint.size <= covered for c in elsewhere):
            what = "newest [leaf|leaves] that no anchor covers yet"
            report.say("not_anchored_yet", proved - covered, what)
    elif not elsewhere:
        report.findings.append(
            Finding(
                kind=Kind.NOT_ANCHORED,
                what="nothing that is kept elsewhere speaks of this log: that rows are missing at "
                "its end would not show. Give --anchor, or a witness in the policy",
            )
        )


def _uncompared(one: OneLog, elsewhere: Sequence[Signed], covered: int) -> list[Finding]:
    """Return whether the newest checkpoint that is kept elsewhere says nothing of the log."""
    sizes = [c.checkpoint.size for c in elsewhere if c.equation in one.solution.unknown]
    newest = max(sizes, default=0)
    if not covered < newest <= one.solution.proved:
        return []
    return [
        Finding(
            kind=Kind.NOT_PROVED,
            what="the newest checkpoint that is kept elsewhere lies in a tile whose hashes are "
            "gone, so it cannot be held against what was signed later. Give a newer --anchor",
            first=covered,
            last=newest - 1,
        )
    ]


def _moment_before(one: OneLog, size: int) -> datetime | None:
    at = size - one.leaves.base
    seconds = one.leaves.seconds[max(0, at - 512) : at]
    newest = max(seconds, default=0) or one.judge.latest
    known = one.bookmark
    if not newest and known is not None and size >= known.proved:
        newest = known.newest
    return moment(newest)


def _tell_silence(one: OneLog, terms: Terms, report: LogReport, follower: Follower | None) -> None:
    """Tell of a log that no longer says anything."""
    beyond = one.beyond
    report.say("not_signed_yet", beyond.rows, "newest [row waits|rows wait] for a checkpoint")
    # A checkpoint comes a second after its rows. A sidecar that was cut off brings old ones.
    if not beyond.waits(int(terms.now.timestamp()), int(ARRIVAL.total_seconds())):
        report.findings.append(
            Finding(
                kind=Kind.NOT_PROVED,
                what="rows behind the newest checkpoint are not of the last 10 minutes, and "
                "nothing has signed them: their sidecar has just come back, or they were "
                "inserted. Run again in a minute, and look at the sidecar if it stays so",
                first=one.leaves.size,
                last=beyond.last,
                since=moment(beyond.since),
                until=moment(beyond.until),
            )
        )
    if (far := beyond.too_far) is not None:
        what = f"a row has place {far}, far behind all that was signed"
        report.findings.append(Finding(kind=Kind.INSERTED, what=what, first=far, last=far))
    if terms.silent_after is None:
        return
    last = one.last_sign()
    if last is not None and terms.now - last <= terms.silent_after:
        return
    if one.has_stopped():
        report.say("stopped", 1, f"sidecar stopped in order at {last:%Y-%m-%d %H:%M:%S} UTC")
        return
    said = f"since {last:%Y-%m-%d %H:%M:%S} UTC" if last is not None else "ever"
    if follower is not None:
        report.say(
            "followed",
            1,
            f"log that was not stopped in order, nothing heard {said}: its sidecar goes on in"
            f" {follower.origin}, begun {follower.begun:%Y-%m-%d %H:%M:%S} UTC, as after a changed"
            " key or a lost journal. Keep its key in the policy: it proves the older rows",
        )
        return
    report.findings.append(
        Finding(
            kind=Kind.SILENT_LOG,
            what=f"nothing was heard of it {said}: neither a checkpoint nor an orderly stop, and"
            " no log of the same sidecar that the policy trusts follows it. Look at the sidecar;"
            " if its key was changed, add the new one to the policy",
            since=last,
        )
    )


def _tell_loose(one: OneLog, report: LogReport) -> None:
    """Tell of rows at places that were sealed as void, missing or unsealed."""
    report.say(
        "not_sealed_there",
        len(one.judge.found.loose),
        "[row stands|rows stand] at a place that was sealed as missing, void or unsealed: nothing"
        " proves [it|them]",
    )
