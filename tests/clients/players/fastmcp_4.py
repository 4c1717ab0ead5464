"""fastmcp 4.2.3, or with its tasks 4.1.4."""

import asyncio
from contextlib import suppress

from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StreamableHttpTransport
from script import ARGUMENTS, FIELDS, IS_TASK, KIND, LATE_SECONDS, TOOL, URL, action, play, told

with suppress(ImportError):  # imported before the client is made, it adds the extension
    from fastmcp_tasks import call_tool_task


async def elicited(message, response_type, *_):
    chosen = await action()
    content = response_type(sure=True) if chosen == "accept" and response_type else None
    return ElicitResult(action=chosen, content=content)


async def progressed(*_):
    pass


async def task_of(client):
    made = await call_tool_task(client, TOOL, ARGUMENTS)
    if KIND == "task_is_cancelled":
        await told()
        return await made.cancel()
    if KIND == "cancelled_late":
        await asyncio.sleep(LATE_SECONDS)
        await made.cancel()
    return await made.result()


async def main():
    transport = StreamableHttpTransport(URL, headers=FIELDS)
    async with Client(
        transport, elicitation_handler=elicited, progress_handler=progressed
    ) as client:
        if IS_TASK:
            await play(lambda: task_of(client))
        else:
            await play(lambda: client.call_tool(TOOL, ARGUMENTS, raise_on_error=False))


asyncio.run(main())
