"""The sample day of `make run`, in a real database."""

import pytest

from deploy.local.sample.cast import INSTANCE
from deploy.local.sample.sample_day import sample_day

ROWS = """
SELECT (SELECT count(*) FROM mcp_audit_log), (SELECT count(*) FROM mcp_tool_invocation),
    (SELECT count(*) FROM mcp_audit_gap)
"""


@pytest.fixture
def database_url(module_database_url):
    return module_database_url


async def test_a_day_is_written_once_and_says_that_it_is_not_sealed(database_url, database):
    told = await sample_day(database_url, "http://127.0.0.1:1", {})
    rows = await database.fetch_row(ROWS)
    again = await sample_day(database_url, "http://127.0.0.1:1", {})

    assert told.startswith(
        f"A sample day was made up: {rows[0]} entries, {rows[1]} tool calls and {rows[2]} gaps"
    )
    assert f"its instance is {INSTANCE}" in told
    assert "counts its entries as not sealed" in told
    assert again.startswith("The log has a sample day already, up to ")
    assert await database.fetch_row(ROWS) == rows
    sealed = "SELECT count(*) FROM mcp_audit_log WHERE log IS NOT NULL OR instance <> $1"
    assert (await database.fetch_row(sealed, INSTANCE))[0] == 0
