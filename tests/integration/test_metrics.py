"""The metrics of a real sidecar, and what is built upon them: page, dashboard, alert rules."""

import json
import re

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.neighbours.documents import CHECKOUT
from tests.neighbours.services import (
    running,
    running_audit_api,
    running_ingest,
    running_sidecar,
)

DASHBOARD = CHECKOUT / "deploy" / "grafana" / "audit-sidecar.json"
RULES = CHECKOUT / "deploy" / "prometheus" / "alerts.yaml"
WATCH = (CHECKOUT / "docs" / "watch.md").read_text()
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
PREFIX = "podwarden_audit_"
NAME = re.compile(rf"{PREFIX}([a-z_]+)")
SELECTED = re.compile(rf'{PREFIX}([a-z_]+)\{{[^}}]*?\b(fate|reason)=~?"([^"]+)"')
ROW = re.compile(r"^\|(`[a-z_]+`.*?)\|(.*?)\|", re.MULTILINE)
WORD = re.compile(r"`([a-z_]+)`")
LABELS = {
    *("fate", "reason", "kind", "audited", "outcome", "anchor", "receiver"),
    *("endpoint", "status"),
}
HISTOGRAM = re.compile(r"(?<=seconds)_(?:bucket|count|sum)$")
ALERT_ROW = re.compile(r"^\|((?:`Audit[A-Za-z]+`(?:, )?)+)\|", re.MULTILINE)
# Families without a sample until the first exchange has ended.
BORN_LATER = {"calls_total": {"audited", "outcome"}, "oddities_total": {"kind"}}


def documented():
    section = WATCH[WATCH.index("## Metrics") : WATCH.index("## Alerts")]
    rows = ROW.findall(section)
    return {
        name: set(WORD.findall(labels)) for names, labels in rows for name in WORD.findall(names)
    }


async def exposed(url):
    """Return the samples of /metrics at *url*: names without the prefix, with their labels."""
    async with ClientSession() as client, client.get(f"{url}/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.name.startswith(PREFIX) for sample in samples)
    return [(sample.name.removeprefix(PREFIX), sample.labels) for sample in samples]


async def test_what_is_told_and_asked_of_metrics_is_what_there_is(upstream):
    push = {
        "AUDIT_LOG_DATABASE_URL": NOWHERE,
        "AUDIT_PUSH_OPS_PORT": "0",
        "AUDIT_PUSH_OTLP_URL": "http://127.0.0.1:1/v1/logs",
    }
    async with (
        running("deploy.console", push, "push") as pushing,
        running_sidecar(upstream.url) as sidecar,
        running_ingest(NOWHERE, AUDIT_LOG_NATS_URLS="nats://127.0.0.1:1") as ingest,
        running_audit_api(NOWHERE) as audit_api,
    ):
        _ = await exposed(audit_api.url)  # which is a request, too
        urls = (sidecar.ops_url, ingest.ops_url, pushing.ops_url, audit_api.url)
        samples = [sample for url in urls for sample in await exposed(url)]
    there = {name: set(labels) for name, labels in samples} | BORN_LATER

    families = {HISTOGRAM.sub("", name): labels & LABELS for name, labels in there.items()}
    assert {name: labels & LABELS for name, labels in documented().items()} == families
    for file in (DASHBOARD, RULES):
        assert set(NAME.findall(file.read_text())) <= set(there)
    # What rules select by is there before anything has happened: the first time must show.
    values = {(name, label, value) for name, labels in samples for label, value in labels.items()}
    selected = SELECTED.findall(RULES.read_text())
    assert len(selected) == 6
    for name, label, pattern in selected:
        assert {(name, label, value) for value in pattern.split("|")} <= values


def test_each_alert_is_explained_and_tested():
    named = set(re.findall(r"^      - alert: (\w+)$", RULES.read_text(), re.MULTILINE))
    tests = (CHECKOUT / "tests" / "system" / "alerts.test.yaml").read_text()

    assert named == {
        name for row in ALERT_ROW.findall(WATCH) for name in re.findall("Audit[A-Za-z]+", row)
    }
    assert named == set(re.findall(r"alertname: (\w+)", tests))


def test_the_dashboard_places_each_panel_once_and_asks_for_something_in_each():
    panels = json.loads(DASHBOARD.read_text())["panels"]

    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert all(target["expr"] for panel in panels for target in panel["targets"])
