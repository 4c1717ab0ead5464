#!/bin/sh
# mcp 1.30.0 (the Python SDK), CPython 3.11: a caller of `call_tool` that is cancelled, or whose
# `read_timeout_seconds` is over, leaves without `notifications/cancelled`, so the tool works to its
# end, although the SDK's server stops a tool when it hears that notification. It bites where a
# client gives up on a tool that changes something: the call has failed, and the change is made.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile mcp==1.30.0
cat >"$folder/tools.py" <<'PYTHON'
import asyncio
import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("tools", log_level="ERROR")


def tell(word):
    with open(sys.argv[1], "a") as file:
        file.write(f"{word} ")


@server.tool()
async def work() -> str:
    """Tell in a file that it began, and how it ended."""
    tell("begun")
    try:
        await asyncio.sleep(4)
    except asyncio.CancelledError:
        tell("stopped")
        raise
    tell("done")
    return "done"


server.run()
PYTHON
cat >"$folder/leave.py" <<'PYTHON'
import asyncio
import contextlib
import pathlib
import sys
from datetime import timedelta

from mcp import ClientSession, McpError, StdioServerParameters, stdio_client
from mcp.types import CancelledNotification, CancelledNotificationParams, ClientNotification

FOLDER = pathlib.Path(__file__).parent
FIRST_CALL = 1  # the request's id, after that of `initialize`


async def is_cancelled(session, told):
    call = asyncio.create_task(session.call_tool("work"))
    while not told.exists():
        await asyncio.sleep(0.05)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call


async def times_out(session, _):
    with contextlib.suppress(McpError):
        await session.call_tool("work", read_timeout_seconds=timedelta(seconds=2))


async def tells_by_hand(session, told):
    await is_cancelled(session, told)
    params = CancelledNotificationParams(requestId=FIRST_CALL)
    await session.send_notification(ClientNotification(CancelledNotification(params=params)))


async def end_of_tool(caller):
    """How the tool ends after its caller has left and the session goes on."""
    told = FOLDER / caller.__name__
    server = StdioServerParameters(
        command=sys.executable, args=[str(FOLDER / "tools.py"), str(told)]
    )
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        await caller(session, told)
        await asyncio.sleep(5)
        return told.read_text().split()[-1]


seen = {}
for caller in (is_cancelled, times_out, tells_by_hand):
    seen[caller.__name__] = asyncio.run(end_of_tool(caller))
    print(f"caller {caller.__name__}: the tool is {seen[caller.__name__]}")
sys.exit(seen != {"is_cancelled": "done", "times_out": "done", "tells_by_hand": "stopped"})
PYTHON
"$folder/venv/bin/python" "$folder/leave.py"
