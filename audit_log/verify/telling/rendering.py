"""The report as lines for a person, and as JSON for a program."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from audit_log.plurals import counted
from audit_log.verify.findings import (
    Finding,
    LogReport,
    Remark,
    Report,
    Verdict,
    verdict_of,
)

_VERDICTS: Final = {
    Verdict.GENUINE: "genuine and complete",
    Verdict.TAMPERED: "TAMPERED",
    Verdict.CANNOT_TELL: "cannot tell",
}


def lines_of(report: Report) -> Iterator[str]:
    """Return the lines for a person; the verdict is the last one.

    The database's words are in them: what could steer the terminal is escaped.
    """
    return map(printable, _lines(report))


def printable(text: str) -> str:
    """Return *text* with each character that does not print as its escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _lines(report: Report) -> Iterator[str]:
    for log in report.logs:
        yield from _lines_of_log(log)
    for finding in report.findings:
        yield from _lines_of_finding(finding, "")
    for remark in report.remarks:
        yield f"{remark.count:,} {remark.what}"
    verdict = _VERDICTS[report.verdict]
    rows = sum(log.rows for log in report.logs)
    counts = f"{counted(len(report.logs), 'log')}, {counted(rows, 'row')}"
    yield f"{verdict}: {counts}, at {_time(report.at)}"


def json_of(report: Report) -> str:
    """Return the report as one JSON object."""
    told: dict[str, Any] = {
        "verdict": report.verdict.name.lower(),
        "exit_status": int(report.verdict),
        "at": report.at,
        "logs": [_log(log) for log in report.logs],
        "findings": [_finding(finding) for finding in report.findings],
        "remarks": [_remark(remark) for remark in report.remarks],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _lines_of_log(log: LogReport) -> Iterator[str]:
    yield log.origin
    since = f" from place {log.first:,} on" if log.first else ""
    rows = counted(log.rows, "row")
    yield f"  size {log.size:,}, of which {log.proved:,} proved; {rows} checked{since}"
    if log.words:
        until = _time(log.complete_until) if log.complete_until else "a time that is not known"
        is_whole = verdict_of(log.findings) is not Verdict.TAMPERED
        said = "complete" if is_whole else "not as it was sealed; anchored"
        yield f"  {said} until {until}, by the word of {', '.join(log.words)}"
    for finding in log.findings:
        yield from _lines_of_finding(finding, "  ")
    for remark in log.remarks:
        yield f"  {remark.count:,} {remark.what}"


def _lines_of_finding(finding: Finding, margin: str) -> Iterator[str]:
    grave = finding.kind.verdict is Verdict.TAMPERED
    name = finding.kind.value.replace("_", " ")
    where = ""
    if finding.first is not None and finding.last is not None:
        where = f" at place {finding.first}"
        if finding.last != finding.first:
            where = f" at places {finding.first} to {finding.last}"
    yield f"{margin}{'!' if grave else '?'} {name}{where}{_when(finding)}: {finding.what}"
    for note in finding.notes:
        yield from (f"{margin}    {line}" for line in note.splitlines())


def _when(finding: Finding) -> str:
    since, until = finding.since, finding.until
    if since is not None and since == until:
        return f", made {_time(since)}"
    parts = [f"after {_time(since)}"] if since is not None else []
    parts += [f"before {_time(until)}"] if until is not None else []
    return f", made {' and '.join(parts)}" if parts else ""


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _log(log: LogReport) -> dict[str, Any]:
    return {
        "origin": log.origin,
        "instance": log.instance,
        "size": log.size,
        "proved": log.proved,
        "first": log.first,
        "rows": log.rows,
        "complete_until": log.complete_until,
        "words": log.words,
        "findings": [_finding(finding) for finding in log.findings],
        "remarks": [_remark(remark) for remark in log.remarks],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "verdict": finding.kind.verdict.name.lower(),
        "first": finding.first,
        "last": finding.last,
        "since": finding.since,
        "until": finding.until,
        "what": finding.what,
        "notes": list(finding.notes),
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"kind": remark.kind, "count": remark.count, "what": remark.what}
