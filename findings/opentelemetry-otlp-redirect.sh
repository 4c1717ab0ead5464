#!/bin/sh
# opentelemetry-exporter-otlp-proto-http 1.45.2, CPython 3.11: an export that is answered with a
# redirect (301, 302, 307, 308) counts as a success, is not sent to the new place, and nothing is
# logged; 1.44.0 follows 307 and 308. It bites where a gateway redirects http to https, or to its
# login page: after the update all spans are lost, and the result of each export is SUCCESS.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/export.py" <<'PYTHON'
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SimpleSpanProcessor

said, taken = [], []


class Said(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())


class Collector(BaseHTTPRequestHandler):
    """At /STATUS/v1/traces a gateway that redirects; at /v1/traces a collector."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _, status, rest = self.path.split("/", 2)
        if status.isdecimal():
            self.send_response(int(status))
            self.send_header("Location", f"/{rest}")
        else:
            taken.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Told(SpanExporter):
    """Hands each batch to an exporter, and keeps what that makes of it."""

    def __init__(self, exporter):
        self._exporter, self.results = exporter, []

    def export(self, spans):
        self.results.append(self._exporter.export(spans).name)


logging.getLogger("opentelemetry").addHandler(Said())
server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
wanted = {"1.45.2": ("SUCCESS", 0), "1.44.0": ("SUCCESS", 1)}[sys.argv[1]]
statuses = {"1.45.2": (301, 302, 307, 308), "1.44.0": (307, 308)}[sys.argv[1]]
is_as_told = True
for status in statuses:
    taken.clear()
    url = f"http://127.0.0.1:{server.server_port}/{status}/v1/traces"
    exporter = Told(OTLPSpanExporter(endpoint=url, timeout=5))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("finding").start_span("work").end()
    print(f"{sys.argv[1]}, {status}: {exporter.results}, spans taken: {len(taken)}, logged: {said}")
    is_as_told &= [*exporter.results, len(taken)] == [*wanted] and not said
sys.exit(not is_as_told)
PYTHON
python3 -m venv "$folder/venv"
for version in 1.44.0 1.45.2; do
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
        opentelemetry-exporter-otlp-proto-http=="$version" opentelemetry-sdk=="$version"
    "$folder/venv/bin/python" "$folder/export.py" "$version"
done
