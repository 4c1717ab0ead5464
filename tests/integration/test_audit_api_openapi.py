"""The OpenAPI document, held against the running service, and the page that shows it."""

import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from audit_api.query.filter_params import StoredFilters, ToolCallFilters
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Gap, Invocation, Origin, ToolOutcome, new_record_id
from tests.neighbours.audit_api import ALL, asking_as_admin, record
from tests.neighbours.services import running_audit_api

PROOF_SECONDS = 220  # 30 of the CPU, which a busy machine may share out among many
# What JSON Schema cannot say: a cursor and a mark are what we gave out before, a list is around a
# call that is there, a span has no more
# than 1,500 buckets, and values are counted without buckets. An export by the agent, and that of
# gaps, has no parts, so it excludes `limit`.
UNSAYABLE = {"cursor", "after", "around"}
OF_THE_AGENT = {"session", "client_name", "client_version", "protocol_version", "principal"}
UNSAYABLE_OF = {
    "stats": {"since", "until", "by", "limit", "compare"},
    "invocations_stats": {"since", "until"},
    "export": {"kind", *OF_THE_AGENT, *(f"{name}!" for name in OF_THE_AGENT)},
}
# Their filters are read by the same code as those of `entries` and `invocations`: each is tried
# once, with a few others. What excludes values is described as what asks for them.
FILTERED_ALIKE = {
    *("entries_of_token", "export", "evidence", "stats"),
    *("export_invocations", "invocations_stats", "sessions", "timeline"),
    *("sql", "sql_invocations"),
}
ALIKE = {
    each.alias or name
    for kind in (StoredFilters, ToolCallFilters)
    for name, each in kind.model_fields.items()
} - {"tool", "status", "clock_ahead"}


def is_tried(operation: str, name: str) -> bool:
    """Say whether a parameter is a part of the proof."""
    hidden = UNSAYABLE | UNSAYABLE_OF.get(operation, set())
    if operation in FILTERED_ALIKE:
        hidden = hidden | ALIKE
    return name not in hidden and not name.endswith("!")


@pytest.fixture(scope="module")
def database_url(module_database_url):
    return module_database_url


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def document(api) -> dict[str, Any]:
    async with api.get(ALL + "/openapi.json") as response:
        assert response.status == 200
        described: dict[str, Any] = await response.json()
        return described


def operations(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (item["get"] for item in described["paths"].values())


async def test_every_parameter_that_is_described_is_taken_and_no_other(api):
    described = await document(api)
    for path, item in described["paths"].items():
        names = {parameter["name"] for parameter in item["get"]["parameters"]}
        address = path
        for name in names & {"token_id", "entry_id", "invocation_id"}:
            address = address.replace(f"{{{name}}}", str(uuid4()))
        async with api.get(address, params={"colour": "red"}) as response:
            assert response.status == 422, path
            [complaint] = (await response.json())["detail"]
            assert complaint["loc"] == ["query", "colour"]


async def test_the_page_shows_every_question_and_runs_nothing(api):
    described = await document(api)
    async with api.get(ALL + "/docs") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        page = await response.text()
    assert "<script" not in page
    for path in described["paths"]:
        assert f"GET {path}" in page


@pytest.mark.timeout(PROOF_SECONDS + 20)
async def test_the_document_is_true_to_the_service(database_url, database, store, tmp_path):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    now, call = datetime.now(UTC), new_record_id()
    await store.append(
        [
            record(created_at=now, token_id=uuid4(), client_ip="192.0.2.7", duration_ms=1.5),
            record(created_at=now, invocation_id=call, tool="list_clusters", user_agent="x"),
        ]
    )
    await store.append_invocations(
        [
            Invocation(
                id=call,
                created_at=now,
                tool="list_clusters",
                outcome=ToolOutcome.OK,
                status_code=200,
                origin=Origin.MCP,
                instance="test",
                token_name="claude",
            )
        ]
    )
    await store.append_gaps(
        [
            Gap(
                id=new_record_id(),
                started_at=now,
                ended_at=now,
                count=None,
                reason="journal_full",
                instance="test",
            )
        ]
    )
    async with running_audit_api(database_url) as service:
        async with asking_as_admin(database, database_url) as api:
            described = await document(api)
        for operation in operations(described):
            operation["parameters"] = [
                parameter
                for parameter in operation["parameters"]
                if parameter["in"] == "path"
                or is_tried(operation["operationId"], parameter["name"])
            ]
        schema = tmp_path / "openapi.json"
        schema.write_text(json.dumps(described))
        ended, said = await proved(
            *("run", str(schema), "--url", service.url, "--header"),
            f"Authorization: Bearer {secret}",
            # An endless answer is no match for a tool that reads each to its end.
            *("--exclude-operation-id", "stream", "--exclude-operation-id", "stream_invocations"),
            *("--checks", "all", "--max-examples", "6"),
            # Not all combinations of parameters: with so many they take minutes.
            *("--phases", "examples,fuzzing,stateful"),
            *("--seed", "1", "--no-color"),
        )
        assert ended == 0, said
        number = len(list(operations(described))) - len(("stream", "stream_invocations"))
        assert f"Tested: {number}" in said, said


async def proved(*arguments: str) -> tuple[int, str]:
    """Run schemathesis; return its exit code and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PROOF_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode()
