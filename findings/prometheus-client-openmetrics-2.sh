#!/bin/sh
# prometheus_client 0.26.0, CPython 3.11: it repeats the version of OpenMetrics that a scraper asks
# for, so one that offers 2.0 (this year's release candidate) receives the text of 1.0 under
# `version=2.0.0`. It bites scrapers that read by the version of the response: 2.0 has a histogram
# in one sample and samples named as their family, so counters and histograms lose their types.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    prometheus_client==0.26.0
cat >"$folder/scrape.py" <<'PYTHON'
import sys
from urllib.request import Request, urlopen

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

FORMAT = "application/openmetrics-text"
OFFERS = {
    "1.0.0": f"{FORMAT}; version=1.0.0",
    "2.0.0": f"{FORMAT}; version=2.0.0, {FORMAT}; version=1.0.0; q=0.8",
    "7.0.0": f"{FORMAT}; version=7.0.0, {FORMAT}; version=1.0.0; q=0.8",
}
registry = CollectorRegistry()
Counter("calls", "Calls.", registry=registry).inc()
Histogram("wait_seconds", "Waits.", buckets=[1], registry=registry).observe(0.5)
server, thread = start_http_server(0, "127.0.0.1", registry)
url = f"http://127.0.0.1:{server.server_port}/metrics"
seen = {}
for version, accepts in OFFERS.items():
    with urlopen(Request(url, headers={"Accept": accepts})) as response:
        seen[version] = response.headers["Content-Type"], response.read().decode()
    print(f"accepts  {accepts}\nreceives {seen[version][0]}")
print(seen["2.0.0"][1])
server.shutdown()
thread.join()
texts = {text for _, text in seen.values()}
is_as_told = all(f"version={version};" in said for version, (said, _) in seen.items())
samples = {line.partition("{")[0].split()[0] for line in texts.pop().splitlines() if line[0] != "#"}
sys.exit(not (is_as_told and not texts and {"calls_total", "wait_seconds_bucket"} <= samples))
PYTHON
"$folder/venv/bin/python" "$folder/scrape.py"
