#!/bin/sh
# OpenTelemetry for Python (API 1.45.2, CPython 3.11) logs a warning for each `tracestate` that is
# wrong, with its text and without a limit of how often. It bites servers that take trace context
# from strangers: with each request a client writes into the operator's log. Where the context is
# carried in JSON, as in `_meta` of MCP, the text may hold line breaks, and so whole forged lines.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    opentelemetry-api==1.45.2
cat >"$folder/extract.py" <<'PYTHON'
import io
import logging
import sys

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

FORGED = "2026-11-29 12:00:00 INFO audit: all is well"
REQUESTS = 3

written = io.StringIO()
logging.basicConfig(stream=written, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
message = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": f"wrong\n{FORGED}",
}
for _ in range(REQUESTS):
    TraceContextTextMapPropagator().extract(message)
lines = written.getvalue().splitlines()
print(*lines, sep="\n")
sys.exit(lines.count(FORGED) != REQUESTS)
PYTHON
"$folder/venv/bin/python" "$folder/extract.py"
