"""The ways to be away while a standby takes over that `test_fault_promoted.py` leaves out."""

import pytest

from audit_log.postgres.database import open_database
from tests.integration.test_fault_promoted import is_away_meanwhile
from tests.neighbours.audit_database import make_audit_log
from tests.neighbours.callers import Callers, responding_by_path


@pytest.fixture
async def callers(primary, upstream):
    upstream.plan(responding_by_path)
    async with open_database(primary.url(), application="test") as audit_log:
        return Callers(await make_audit_log(audit_log))


@pytest.mark.parametrize(
    ("workers", "later", "is_killed"),
    [(1, 1, False), (2, 2, True), (2, 1, False)],
    ids=["one-stopped", "two-killed", "orphaned-stopped"],
)
async def test_a_sidecar_that_was_away_meanwhile_sends_them_again_too(
    home, upstream, callers, primary, standby, workers, later, is_killed
):
    how = {"workers": workers, "later": later, "is_killed": is_killed}
    await is_away_meanwhile(home, upstream, callers, primary, standby, **how)
