from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest

from audit_api.formats.entries import Entry, MissingEntries, timestamp
from audit_log.record import AuditRecord, Gap, Outcome

RECORD = AuditRecord(
    id=UUID("0198d5b0-6f00-7c3e-8a52-0123456789ab"),
    created_at=datetime(2026, 2, 28, 3, 42, tzinfo=UTC),
    method="GET",
    path="/api/v1/clusters",
    status_code=200,
    outcome=Outcome.COMPLETED,
    instance="sidecar-1",
    token_id=UUID("0198d5b0-6f00-7c3e-8a52-0123456789ac"),
    token_name="claude",
    duration_ms=1.5,
    client_ip="192.0.2.1",
)


def test_an_entry_has_the_six_documented_keys_in_the_documented_order_and_no_other():
    assert msgspec.json.encode([Entry.of(RECORD)]) == (
        b'[{"id":"0198d5b0-6f00-7c3e-8a52-0123456789ab","token_name":"claude","method":"GET",'
        b'"path":"/api/v1/clusters","status_code":200,"created_at":"2026-02-28T03:42:00+00:00"}]'
    )


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 2, 28, 3, 42, tzinfo=UTC), "2026-02-28T03:42:00+00:00"),
        (datetime(2026, 2, 28, 3, 42, 0, 1, tzinfo=UTC), "2026-02-28T03:42:00.000001+00:00"),
        (
            datetime(2026, 2, 28, 5, 42, tzinfo=timezone(timedelta(hours=2))),
            "2026-02-28T03:42:00+00:00",
        ),
    ],
)
def test_a_moment_is_told_in_utc_with_a_fraction_only_where_there_is_one(moment, text):
    assert timestamp(moment) == text


def test_a_gap_tells_what_is_known_of_the_missing_records():
    gap = Gap(
        id=UUID("0198d5b0-6f00-7c3e-8a52-0123456789ad"),
        started_at=datetime(2026, 2, 28, 3, 42, tzinfo=UTC),
        ended_at=datetime(2026, 2, 28, 3, 43, tzinfo=UTC),
        count=None,
        reason="journal_damaged",
        instance="sidecar-1",
    )
    assert msgspec.json.encode([MissingEntries.of(gap)]) == (
        b'[{"id":"0198d5b0-6f00-7c3e-8a52-0123456789ad","from":"2026-02-28T03:42:00+00:00",'
        b'"to":"2026-02-28T03:43:00+00:00","count":null,"reason":"journal_damaged",'
        b'"instance":"sidecar-1"}]'
    )
