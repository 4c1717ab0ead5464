"""The questions: each line of the document is run, and finds what it asks for."""

import asyncio
import os
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import pytest
from aiohttp import ClientSession

from audit_log.postgres.token_table import TokenTable
from audit_log.record import Outcome, ToolOutcome, new_record_id
from tests.neighbours.audit_api import record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.records import a_gap, a_tool_call

DOCUMENT = (Path(__file__).parents[2] / "docs" / "questions.md").read_text()
QUESTIONS = re.findall(
    r"^## (\d+)\..*?```sh\n(curl .*?)\n(podwarden-audit .*?)\n```",
    DOCUMENT,
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
async def environment(store, database, database_url):
    """What the lines refer to, in a log that has an answer to each question."""
    now, session = datetime.now(UTC).replace(microsecond=0), new_record_id()
    call = a_tool_call(
        created_at=now, session=session, outcome=ToolOutcome.TOOL_ERROR, tool="troubleshoot"
    )
    deleted = record(
        created_at=now,
        method="DELETE",
        path="/api/v1/clusters/12",
        invocation_id=call.id,
        client_ip="192.0.2.7",
        duration_ms=1_500.0,
    )
    refused = record(
        created_at=now, path="/api/v1/hosts", status_code=401, outcome=Outcome.REFUSED
    )
    await store.append([deleted, refused])
    await store.append_invocations([call])
    await store.append_gaps([a_gap(now, count=25_000)])
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        api, authorization = f"{url}/api/v1/settings/mcp-audit", f"Bearer {secret}"
        async with (
            ClientSession(headers={"Authorization": authorization}) as client,
            client.get(f"{api}/export?limit=1") as part,
        ):
            mark = part.headers["X-Audit-Mark"]
        yield {
            "PODWARDEN_AUDIT_URL": url,
            "PODWARDEN_AUDIT_TOKEN": secret,
            "API": api,
            "AUTH": f"Authorization: {authorization}",
            "CALL": str(call.id),
            "SESSION": str(session),
            "ENTRY": str(deleted.id),
            "MARK": mark,
        }


FOUND = {
    "1": "/api/v1/clusters/12",
    "2": "DELETE",
    "3": "/api/v1/hosts",
    "4": "claude",
    "5": "/api/v1/clusters/12",
    "6": "troubleshoot",
    "7": "tool_error",
    "8": "/api/v1/hosts",
    "9": "/api/v1/clusters/12",
    "10": "192.0.2.7",
    "11": "journal_full",
    "12": "/api/v1/hosts",
    "13": "/mcp-audit/gaps",
}


async def test_each_question_is_answered_by_curl_and_by_the_terminal(environment, tmp_path):
    assert [number for number, *_ in QUESTIONS] == list(FOUND)
    for number, curl, line in QUESTIONS:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", curl),
            env={"PATH": os.environ["PATH"], **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told = (await process.communicate())[0].decode()
        words = shlex.split(Template(line).substitute(environment))
        done = await console(*words[1:], directory=tmp_path, **environment)

        assert (process.returncode, done.code) == (0, 0), (curl, told, line, done)
        assert FOUND[number] in told, curl
        assert FOUND[number] in done.output, line
