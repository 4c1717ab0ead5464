"""Tells of rows without a place in any log: older than the seal, of others, or inserted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from audit_log.plurals import agreeing
from audit_log.postgres.transaction import Transaction
from audit_log.verify.ages import DAY, moment
from audit_log.verify.findings import Finding, Kind, LogReport, Remark
from audit_log.verify.proving.one_log import OneLog
from audit_log.verify.stored.unplaced import (
    Span,
    Unplaced,
    others_rows,
    recorders_gaps,
    unplaced_rows,
)

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_CLOCK: Final = timedelta(minutes=1)
"""By how much a sidecar's clock may have gone back when a log began."""
_OTHERS: Final = (
    "[entry is|entries are] not sealed: of PodWarden itself, or of sidecars without a seal"
)
_OTHER_CALLS: Final = "[tool call is|tool calls are] not sealed: of sidecars without a seal"
_OTHER_READS: Final = "[read is|reads are] not sealed: of audit APIs without a seal"
_RECORDERS_GAPS: Final = (
    "[gap|gaps] that the recorder reports itself (store_lost, record_refused) [has|have] no leaf"
    " and [is|are] not proved; the lines that it tells of have theirs"
)


@dataclass(slots=True)
class _Sidecar:
    """The logs of one instance, of which one follows the other."""

    logs: list[OneLog] = field(default_factory=list)
    reports: list[LogReport] = field(default_factory=list)

    @property
    def report(self) -> LogReport:
        """That of the newest log."""
        newest = max(zip(self.logs, self.reports, strict=True), key=lambda of: _last(of[0]))
        return newest[1]

    @property
    def unsealed(self) -> int:
        """How many lines were not sealed while their log went on."""
        return sum(one.unsealed for one in self.logs)

    @property
    def left(self) -> int:
        """How many lines were left to be written when a log began."""
        return sum(one.left().lines for one in self.logs)

    def span(self) -> Span:
        """Return when the instance was sealed, and when what was left to be written was made.

        That was behind what logs before have sealed, but a call may have begun a day earlier.
        """
        begun = min(_begun(one) for one in self.logs) + timedelta(seconds=1)
        last = max(_last(one) for one in self.logs) + timedelta(seconds=1)
        since, until = last, begun
        for one in self.logs:
            left = one.left()
            if left.lines and (at := moment(left.until)) is not None:
                ended = [_last(other) for other in self.logs if _last(other) <= _begun(one)]
                since = min(since, min(ended) - timedelta(seconds=DAY) if ended else begun)
                until = max(until, at + _CLOCK)
        return Span(begun, last, since, until)


def _begun(one: OneLog) -> datetime:
    return moment(one.begun()) or _NEVER


def _last(one: OneLog) -> datetime:
    return one.newest_leaf() or _NEVER


async def tell_placeless(
    transaction: Transaction,
    logs: Sequence[OneLog],
    reports: Sequence[LogReport],
    since: datetime | None,
) -> list[Remark]:
    """Tell of rows without a place, each in the report of its instance's newest log."""
    sidecars: dict[str, _Sidecar] = {}
    for one, report in zip(logs, reports, strict=True):
        if _NEVER not in (_begun(one), _last(one)):
            sidecar = sidecars.setdefault(one.subject.instance, _Sidecar())
            sidecar.logs.append(one)
            sidecar.reports.append(report)
    spans = {instance: sidecar.span() for instance, sidecar in sidecars.items()}
    for instance, unplaced in (await unplaced_rows(transaction, spans, since)).items():
        sidecar = sidecars[instance]
        # Each line that was not sealed has left at most one row, of whatever table.
        inside = sum(rows.inside for rows in unplaced)
        unwaited = sum(rows.unwaited for rows in unplaced)
        unsealed = sidecar.unsealed
        is_told_of = inside <= unsealed + sidecar.left and unwaited <= unsealed
        for rows in unplaced:
            _tell_rows(sidecar.report, rows, is_told_of=is_told_of)
    others = partial(others_rows, transaction, instances=list(spans), since=since)
    told = (
        ("not_sealed", await others("mcp_audit_log"), _OTHERS),
        ("calls_not_sealed", await others("mcp_tool_invocation"), _OTHER_CALLS),
        ("reads_not_sealed", await others("mcp_audit_read"), _OTHER_READS),
        ("gaps_not_sealed", await recorders_gaps(transaction), _RECORDERS_GAPS),
    )
    return [Remark(kind, count, agreeing(count, what)) for kind, count, what in told if count]


def _tell_rows(report: LogReport, rows: Unplaced, *, is_told_of: bool) -> None:
    """Tell of rows of a sealed sidecar that have no place; its logs may tell of those inside."""
    table = rows.table
    report.say(
        "before_the_seal",
        rows.before,
        f"[row of {table} is|rows of {table} are] older than the seal",
    )
    if rows.inside and is_told_of:
        report.say(
            "while_unsealed",
            rows.inside,
            f"[row of {table} was|rows of {table} were] written while the seal was off, or left to"
            " be written when a new log began",
        )
    elif rows.inside:
        what = (
            f"{rows.inside:,} [row|rows] of {table} [has|have] no place in the log, though"
            " [it says that it was|they say that they were] made while it was sealed; one is"
            f" {rows.example}"
        )
        report.findings.append(
            Finding(
                kind=Kind.INSERTED,
                what=agreeing(rows.inside, what),
                since=rows.oldest,
                until=rows.newest,
            )
        )
    if rows.later:
        what = (
            f"{rows.later:,} [row|rows] of {table} [is|are] newer than all that was sealed and"
            " [has|have] no place: the seal is off, its disk failed, or"
            " [it was|they were] inserted"
        )
        report.findings.append(
            Finding(kind=Kind.NOT_PROVED, what=agreeing(rows.later, what), until=rows.newest)
        )
