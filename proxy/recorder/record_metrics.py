"""Metrics of the recorder, and how they reach the ops port of the proxy."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_log.process.background import BackgroundTasks
from audit_log.schema.partitions import PartitionUpkeep
from proxy.delivery.retention import RetentionUpkeep
from proxy.delivery.writer import TASK, Writer
from proxy.journal import Journal
from proxy.recorder.page import Family, Page, Sample
from proxy.seal.anchors.anchors import Anchors
from proxy.seal.checkpoints import Checkpoints
from proxy.telemetry.observers import Fates
from proxy.telemetry.outbox import DELIVERED, DROPPED
from proxy.telemetry.tracing import UNSAMPLED
from proxy.telemetry.webhook.sender import REFUSED

PREFIX = "podwarden_audit"
SPAN_FATES = (DELIVERED, DROPPED, UNSAMPLED)
EVENT_FATES = (DELIVERED, DROPPED, REFUSED)
# Old names of values, by their new ones: kept for version 0.2, for dashboards and alerts.
OLD_FATES = {"quarantined": "set_aside"}


class RecordCollector(Collector):
    """What becomes of the records that the proxy has put into the ring."""

    def __init__(self, journal: Journal, writer: Writer, tasks: BackgroundTasks) -> None:
        self._journal = journal
        self._writer = writer
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        yield records_by_fate(
            ("written", self._writer.progress.written),
            ("quarantined", self._writer.quarantined),
            ("lost", self._journal.damaged),
        )
        yield CounterMetricFamily(
            f"{PREFIX}_gaps", "Gaps written", value=self._writer.progress.gaps
        )
        for name, help_text, value in self._gauges():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        journal, progress = self._journal, self._writer.progress
        oldest = journal.oldest_unwritten
        age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0
        yield "journal_disk_bytes", "Bytes of all segments on disk", journal.bytes_on_disk
        yield "journal_unwritten_bytes", "Bytes not yet in PostgreSQL", journal.unwritten_bytes
        yield "journal_max_bytes", "Bytes that may wait on disk", journal.max_bytes
        yield "oldest_unwritten_seconds", "Age of the oldest record not yet in PostgreSQL", age
        yield "batch_records", "Records in the last batch written", progress.batch_records
        yield "batch_seconds", "Duration of the last batch written", progress.batch_seconds
        last_gap = progress.last_gap_at.timestamp() if progress.last_gap_at else 0
        yield "last_gap_timestamp_seconds", "When a gap was last written, or 0", last_gap
        is_degraded = self._writer.problem is not None or self._tasks.is_failing(TASK)
        yield "is_degraded", "1 while records cannot be written", float(is_degraded)


class SealCollector(Collector):
    """How far the log of the seal has come."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        published, at = self._checkpoints.published, self._checkpoints.published_at
        for name, help_text, value in (
            ("seal_leaves", "Leaves of the log of the seal", self._checkpoints.size),
            (
                "seal_signed_leaves",
                "Those that the newest checkpoint covers",
                published.checkpoint.size if published else 0,
            ),
            (
                "seal_checkpoint_timestamp_seconds",
                "When a checkpoint was last signed, or 0",
                at.timestamp() if at else 0,
            ),
        ):
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)


class AnchorCollector(Collector):
    """How far each anchor is behind the checkpoints, and what became of the attempts."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        lag = GaugeMetricFamily(
            f"{PREFIX}_seal_anchor_lag_seconds",
            "How long ago the first checkpoint was made that an anchor lacks",
            labels=["anchor"],
        )
        every = GaugeMetricFamily(
            f"{PREFIX}_seal_anchor_every_seconds",
            "How much time the settings leave between two checkpoints for an anchor",
            labels=["anchor"],
        )
        attempts = CounterMetricFamily(
            f"{PREFIX}_seal_anchor_attempts",
            "Checkpoints that were sent to an anchor",
            labels=["anchor", "fate"],
        )
        for task in self._anchors.tasks:
            lag.add_metric([task.name], task.lag_seconds)
            every.add_metric([task.name], task.every_seconds)
            attempts.add_metric([task.name, "anchored"], task.anchored)
            attempts.add_metric([task.name, "failed"], task.failed)
        yield from (lag, every, attempts)


class ForecastCollector(Collector):
    """The size of the audit log and its growth. Values that are not known are left out."""

    def __init__(self, retention: RetentionUpkeep) -> None:
        self._retention = retention

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of the last measurement."""
        forecast = self._retention.forecast
        if forecast is None:
            return
        for name, help_text, value in (
            ("log_records", "API calls in the audit log, estimated", forecast.records),
            ("log_bytes", "Bytes of the audit log in PostgreSQL", forecast.bytes),
            ("log_records_per_day", "How fast it grows", forecast.records_per_day),
            ("log_bytes_per_day", "How fast it grows", forecast.bytes_per_day),
            ("log_days_until_budget", "Days until its budget", forecast.days_until_budget),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)


class PartitionCollector(Collector):
    """How far records have been moved out of the default partition."""

    def __init__(self, partitions: PartitionUpkeep) -> None:
        self._partitions = partitions

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of the last step."""
        for name, help_text, value in self._partitions.gauges():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)


class ObserverCollector(Collector):
    """What becomes of spans and events."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        help_text = "Spans, by what became of them"
        yield counted("spans", help_text, "fate", self._fates.spans, SPAN_FATES)
        help_text = "Events of the webhook, by what became of them"
        yield counted("webhook_events", help_text, "fate", self._fates.events, EVENT_FATES)


def counted(
    name: str, help_text: str, label: str, counts: Counter[str], values: Iterable[str]
) -> Metric:
    """Return *counts* by *label*; *values* are also there at zero, so that a first one shows."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", help_text, labels=[label])
    for value in values:
        family.add_metric([value], counts[value])
    return family


def records_by_fate(*counts: tuple[str, float]) -> Metric:
    """Return how many records met each fate."""
    records = CounterMetricFamily(
        f"{PREFIX}_records", "Audit records, by what became of them", labels=["fate"]
    )
    for fate, count in counts:
        records.add_metric([fate], count)
        if fate in OLD_FATES:
            records.add_metric([OLD_FATES[fate]], count)
    return records


def families(collectors: Sequence[Collector]) -> list[Family]:
    """Return the metrics of *collectors* in the form in which the page holds them."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [Sample(sample.name, sample.labels, sample.value) for sample in metric.samples],
        )
        for collector in collectors
        for metric in collector.collect()
    ]


def counters(given: Sequence[Family]) -> list[Family]:
    """Return those of *given* that only grow."""
    return [family for family in given if family.kind == "counter"]


def added_up(given: Iterable[Family]) -> list[Family]:
    """Return *given* with one family of each name: values with the same labels are added."""
    merged: dict[str, Family] = {}
    for family in given:
        known = merged.get(family.name)
        merged[family.name] = family if known is None else _sum(known, family)
    return list(merged.values())


class BothCollector(Collector):
    """The metrics of both processes, as those of one: both count some things under one name."""

    def __init__(self, own: Sequence[Collector], page: Page) -> None:
        self._own = own
        self._page = page

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment, the recorder's as of its last report."""
        for family in added_up([*families(self._own), *self._page.report().metrics]):
            metric = Metric(family.name, family.documentation, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


def _sum(one: Family, other: Family) -> Family:
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in [*one.samples, *other.samples]:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        values[key] = values.get(key, 0.0) + sample.value
    samples = [Sample(name, dict(labels), value) for (name, labels), value in values.items()]
    return Family(one.name, one.documentation, one.kind, samples)
