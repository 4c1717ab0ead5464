#!/bin/sh
# OpenTelemetry for Python (API 1.45.1, ASGI middleware 0.66b1 on uvicorn 0.54.0, CPython 3.11) reads
# the first `baggage` field line of a request alone, where OpenTelemetry for Node (core 3.1.1) reads
# all, as W3C Baggage has several lines mean one list. It bites where a proxy or gateway adds
# members in a line of its own: services in Python lose the members of whichever line comes second.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile \
    opentelemetry-api==1.45.1 opentelemetry-instrumentation-asgi==0.66b1 uvicorn==0.54.0
echo '{"private":true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts --cache "$folder/cache" \
    @opentelemetry/api@1.10.0 @opentelemetry/core@3.1.1
cat >serve.mjs <<'JAVASCRIPT'
import { createServer } from 'node:http';
import { defaultTextMapGetter, propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import { W3CBaggagePropagator } from '@opentelemetry/core';

const propagator = new W3CBaggagePropagator();
const server = createServer(({ headers }, response) => {
  const context = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
  const members = propagation.getBaggage(context)?.getAllEntries() ?? [];
  const values = members.map(([name, { value }]) => [name, value]);
  response.end(JSON.stringify(Object.fromEntries(values)));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
JAVASCRIPT
cat >see.py <<'PYTHON'
import http.client
import json
import socket
import subprocess
import sys
import threading

import uvicorn
from opentelemetry import baggage
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

ONE_LINE = ["user=ann,call=17"]
TWO_LINES = ["user=ann", "call=17"]


async def tell(scope, receive, send):
    body = json.dumps(dict(baggage.get_all())).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def members(port, lines):
    """What a server reads as baggage from a request with these field lines."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", "/")
    for line in lines:
        connection.putheader("baggage", line)
    connection.putheader("connection", "close")
    connection.endheaders()
    return json.loads(connection.getresponse().read())


listener = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config(OpenTelemetryMiddleware(tell), log_level="error", lifespan="off")
threading.Thread(target=uvicorn.Server(config).run, args=([listener],), daemon=True).start()
with subprocess.Popen(
    ["node", "serve.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
) as node:
    ports = {"Python": listener.getsockname()[1], "Node": int(node.stdout.readline())}
    seen = {
        language: [members(port, lines) for lines in (ONE_LINE, TWO_LINES)]
        for language, port in ports.items()
    }
    node.stdin.close()
for language, (one, two) in seen.items():
    print(f"{language}: of one line {one}, of two lines {two}")
both = {"user": "ann", "call": "17"}
sys.exit(seen != {"Python": [both, {"user": "ann"}], "Node": [both, both]})
PYTHON
venv/bin/python see.py
