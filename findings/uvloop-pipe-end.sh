#!/bin/sh
# uvloop 0.23.0, CPython 3.11: a pipe that asyncio's streams have read to its end stays open, where
# asyncio's own loop closes it. A program that reads one pipe for each child it starts, with
# connect_read_pipe and StreamReaderProtocol, runs out of files on uvloop alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0
cat >"$folder/pipes.py" <<'PYTHON'
import asyncio
import os
import sys

import uvloop

PIPES = 20


def open_files():
    return len(os.listdir("/proc/self/fd"))


async def read_to_its_end():
    readable, writable = os.pipe()
    os.write(writable, b"all there is")
    os.close(writable)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(readable, "rb")
    )
    assert await reader.read() == b"all there is"
    return transport


async def left_open():
    (await read_to_its_end()).close()  # the loop opens files of its own with its first pipe
    await asyncio.sleep(0.1)
    before = open_files()
    transports = [await read_to_its_end() for _ in range(PIPES)]
    await asyncio.sleep(0.1)
    left = open_files() - before
    for transport in transports:
        transport.close()
    return left


seen = {}
for name, loop in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
    with asyncio.Runner(loop_factory=loop) as runner:
        seen[name] = runner.run(left_open())
    print(f"{name}: {seen[name]} of {PIPES} pipes are still open after their end was read")
sys.exit(seen != {"asyncio": 0, "uvloop": PIPES})
PYTHON
"$folder/venv/bin/python" "$folder/pipes.py"
