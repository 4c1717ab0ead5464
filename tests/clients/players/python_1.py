"""The official Python SDK 1.30.0: Streamable HTTP, or with BRIDGE a bridge's standard streams."""

import asyncio
import os
import shlex
from contextlib import suppress

from mcp import ClientSession, McpError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamablehttp_client
from script import ARGUMENTS, FIELDS, IS_TASK, KIND, LATE_SECONDS, TOOL, URL, action, play, told


async def elicited(*_):
    chosen = await action()
    return types.ElicitResult(
        action=chosen, content={"sure": True} if chosen == "accept" else None
    )


async def progressed(*_):
    pass


def connected():
    if bridge := shlex.split(os.environ.get("BRIDGE", "")):
        return stdio_client(
            StdioServerParameters(command=bridge[0], args=bridge[1:], env=dict(os.environ))
        )
    return streamablehttp_client(URL, headers=FIELDS)


async def task_of(session):
    made = await session.experimental.call_tool_as_task(TOOL, ARGUMENTS)
    if KIND == "task_is_cancelled":
        await told()
        return await session.experimental.cancel_task(made.task.taskId)
    if KIND == "cancelled_late":
        await asyncio.sleep(LATE_SECONDS)
        with suppress(McpError):  # it has ended
            await session.experimental.cancel_task(made.task.taskId)
    async for _ in session.experimental.poll_task(made.task.taskId):
        pass
    return await session.experimental.get_task_result(made.task.taskId, types.CallToolResult)


async def main():
    async with (
        connected() as (read, write, *_),
        ClientSession(read, write, elicitation_callback=elicited) as session,
    ):
        await session.initialize()
        if IS_TASK:
            await play(lambda: task_of(session))
            return
        callback = progressed if KIND in {"progress", "resume"} else None
        await play(
            lambda: session.call_tool(TOOL, ARGUMENTS, progress_callback=callback),
            lambda: cancel(session),
        )


async def cancel(session):
    """Tell the server: this SDK does not when its caller is cancelled."""
    params = types.CancelledNotificationParams(requestId=session._request_id - 1)
    await session.send_notification(
        types.ClientNotification(types.CancelledNotification(params=params))
    )
    await session.send_ping()  # a bridge may send nothing more once its client has gone


asyncio.run(main())
