"""Tells of rows without a place in any log: older than the seal, of others, or inserted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from audit_log.plurals import agreeing
from audit_log.postgres.transaction import Transaction
from audit_log.verify.ages import moment
from audit_log.verify.findings import Finding, Kind, LogReport, Remark
from audit_log.verify.proving.one_log import OneLog
from audit_log.verify.stored.unplaced import (
    Span,
    Unplaced,
    others_rows,
    recorders_gaps,
    unplaced_rows,
)

_OTHERS: Final = (
    "[entry is|entries are] not sealed: of PodWarden itself, or of sidecars without a seal"
)
_OTHER_READS: Final = "[read is|reads are] not sealed: of audit APIs without a seal"
_RECORDERS_GAPS: Final = (
    "[gap|gaps] that the recorder reports itself (store_lost, record_refused) [has|have] no leaf"
    " and [is|are] not proved; the lines that it tells of have theirs"
)


@dataclass(slots=True)
class _Sidecar:
    """The logs of one instance, of which one follows the other."""

    span: Span
    report: LogReport
    """That of the newest one."""
    unsealed: int = 0
    """How many lines its logs tell of that have rows without a place."""

    def take(self, span: Span, report: LogReport) -> None:
        """Add another log of the instance."""
        if span.last >= self.span.last:
            self.report = report
        self.span = Span(min(span.begun, self.span.begun), max(span.last, self.span.last))


async def tell_placeless(
    transaction: Transaction,
    logs: Sequence[OneLog],
    reports: Sequence[LogReport],
    since: datetime | None,
) -> list[Remark]:
    """Tell of rows without a place, each in the report of its instance's newest log."""
    sidecars: dict[str, _Sidecar] = {}
    for one, report in zip(logs, reports, strict=True):
        begun, last = moment(one.begun()), one.newest_leaf()
        if begun is None or last is None:
            continue
        span = Span(begun + timedelta(seconds=1), last + timedelta(seconds=1))
        sidecar = sidecars.setdefault(one.subject.instance, _Sidecar(span, report))
        sidecar.take(span, report)
        sidecar.unsealed += one.unsealed + one.lines_left
    spans = {instance: sidecar.span for instance, sidecar in sidecars.items()}
    for instance, unplaced in (await unplaced_rows(transaction, spans, since)).items():
        sidecar = sidecars[instance]
        # Each line that was not sealed has left at most one row, of whatever table.
        is_told_of = sum(rows.inside for rows in unplaced) <= sidecar.unsealed
        for rows in unplaced:
            _tell_rows(sidecar.report, rows, is_told_of=is_told_of)
    others = partial(others_rows, transaction, instances=list(spans), since=since)
    told = (
        ("not_sealed", await others("mcp_audit_log"), _OTHERS),
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
