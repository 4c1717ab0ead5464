#!/bin/sh
# httpx2 2.16.2 with anyio 4.16.0, CPython 3.11: a server that responds 413 and closes while the body
# is still being sent is seen by httpx2.Client as 413 and by httpx2.AsyncClient as ReadError, each
# time, on asyncio's loop and on uvloop 0.23.0; aiohttp 3.14.5 sees 413. An async client therefore
# takes the limit of a proxy or of an API for a broken connection, and tries again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 aiohttp==3.14.5 uvloop==0.23.0
cat >"$folder/early.py" <<'PYTHON'
import asyncio
import socket
import sys
import threading
from collections import Counter

import aiohttp
import httpx2
import uvloop

TRIES = 50
BODY = b"x" * 4_000_000
RESPONSE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(listener):
    """Respond to each request after its head, as a server with a limit for bodies does."""
    while True:
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.sendall(RESPONSE)
        connection.close()


def plain(url):
    with httpx2.Client() as client:
        for _ in range(TRIES):
            try:
                yield client.post(url, content=BODY).status_code
            except httpx2.HTTPError as error:
                yield type(error).__name__


async def awaited(url):
    async with httpx2.AsyncClient() as client:
        for _ in range(TRIES):
            try:
                yield (await client.post(url, content=BODY)).status_code
            except httpx2.HTTPError as error:
                yield type(error).__name__


async def other(url):
    async with aiohttp.ClientSession() as session:
        for _ in range(TRIES):
            try:
                async with session.post(url, data=BODY) as response:
                    yield response.status
            except aiohttp.ClientError as error:
                yield type(error).__name__


async def counted(results):
    return Counter([result async for result in results])


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
seen = {"httpx2.Client": Counter(plain(url))}
for name, loop in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
    with asyncio.Runner(loop_factory=loop) as runner:
        seen[f"httpx2.AsyncClient on {name}"] = runner.run(counted(awaited(url)))
        seen[f"aiohttp on {name}"] = runner.run(counted(other(url)))
for client, results in seen.items():
    print(f"{client}: {dict(results)}")
is_as_told = all(
    set(results) == ({"ReadError"} if "Async" in client else {413})
    for client, results in seen.items()
)
sys.exit(not is_as_told)
PYTHON
"$folder/venv/bin/python" "$folder/early.py"
