#!/bin/sh
# fastmcp-tasks 4.1.4 with mcp 2.3.0, CPython 3.11: `lastUpdatedAt` in the answer to `tasks/get` is
# the time of the question, also of a task that ended long ago and does not change any more. It bites
# whoever takes a task's duration from it, or waits for a change of it: a task of one second seems to
# have ended whenever somebody looked, and each poll looks like news.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    fastmcp-tasks==4.1.4 mcp==2.3.0
cat >"$folder/ask.py" <<'PYTHON'
import asyncio
import sys
from datetime import datetime, timedelta

from fastmcp import Client, FastMCP
from fastmcp.utilities.tasks import TaskConfig
from fastmcp_tasks import TasksExtension, call_tool_task

tools = FastMCP("tools")
tools.add_extension(TasksExtension())
PAUSE = timedelta(seconds=2)


@tools.tool(task=TaskConfig(mode="required"))
async def work() -> str:
    return "done"


async def ended_twice():
    """What two questions say of one task that has ended, with a pause between them."""
    async with Client(tools) as client:
        task = await call_tool_task(client, "work", {})
        await task.wait(timeout=30)
        first = await task.status()
        await asyncio.sleep(PAUSE.total_seconds())
        return first, await task.status()


answers = asyncio.run(ended_twice())
for answer in answers:
    print(f"{answer.status}, created {answer.created_at}, last updated {answer.last_updated_at}")
first, second = (datetime.fromisoformat(answer.last_updated_at) for answer in answers)
is_ended = [answer.status for answer in answers] == ["completed", "completed"]
sys.exit(not (is_ended and second - first > PAUSE / 2))
PYTHON
cd "$folder"
./venv/bin/python ask.py
