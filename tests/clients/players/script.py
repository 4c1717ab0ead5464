"""What each client plays: one kind a process, told by the environment, and what it says of it.

Lines it prints: `asked` once the server has asked back; at its end JSON of what the caller saw.
A line on its standard input tells it to cancel.
"""

import asyncio
import json
import os
import sys

URL, TOKEN, KIND = (os.environ[name] for name in ("MCP_URL", "MCP_TOKEN", "KIND"))
FIELDS = {"Authorization": f"Bearer {TOKEN}"}
TOOLS = {
    "plain": "plain",
    "tool_error": "fail",
    "unknown_tool": "nonsense",
    "cancel": "hold",
    "hang_up": "hold",
    "progress": "progress",
    "resume": "resume",
    "accepted": "ask",
    "declined": "ask",
    "never_answered": "ask",
}
HOW = {
    "task_succeeds": "completed",
    "task_fails": "failed",
    "task_is_cancelled": "cancelled",
    "cancelled_late": "completed",
}
LATE_SECONDS = 1
TOOL = "task" if KIND in HOW else TOOLS[KIND]
ARGUMENTS = {"how": HOW[KIND]} if KIND in HOW else {}
IS_TASK = KIND in HOW


def said(what) -> None:
    sys.stdout.write(json.dumps(what, default=str) + "\n")
    sys.stdout.flush()


async def told() -> None:
    """Wait for the line that tells to go on: the tool is at work."""
    await asyncio.to_thread(sys.stdin.readline)


async def action() -> str:
    """How the user answers: `accept` or `decline`, or never."""
    sys.stdout.write("asked\n")
    sys.stdout.flush()
    if KIND == "never_answered":
        await asyncio.Event().wait()
    return "accept" if KIND == "accepted" else "decline"


async def play(call, cancel=None):
    """Make the call; cancel it by *cancel*, or as the loop does, when told."""
    calling = asyncio.ensure_future(call())
    if KIND == "cancel":
        await told()
        if cancel:
            await cancel()
        calling.cancel()
    try:
        said(await calling)
    except asyncio.CancelledError:
        said("cancelled")
    except Exception as error:
        said(f"{type(error).__name__}: {error}")
