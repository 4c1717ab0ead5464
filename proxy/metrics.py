"""Metrics: read from the parts when they are scraped, so that counting costs a call nothing."""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_log.clock import DatabaseClock
from audit_log.schema.partitions import PartitionUpkeep
from audit_log.tokens import EXPIRED, NOT_LOOKED_UP, REVOKED, UNKNOWN
from proxy.audit.tally import Tally
from proxy.delivery.retention import RetentionUpkeep
from proxy.delivery.writer import TASK, Writer
from proxy.journal import Journal
from proxy.telemetry.health import Health
from proxy.telemetry.outbox import DELIVERED, DROPPED
from proxy.telemetry.tracing import UNSAMPLED
from proxy.telemetry.webhook.sender import REFUSED
from proxy.tokens.cache import TokenCache

PREFIX = "podwarden_audit"
REFUSALS = (UNKNOWN, EXPIRED, REVOKED, NOT_LOOKED_UP)
SPAN_FATES = (DELIVERED, DROPPED, UNSAMPLED)
EVENT_FATES = (DELIVERED, DROPPED, REFUSED)
# Old names of metrics, by their new ones: kept for version 0.2, for dashboards and alerts.
OLD_NAMES = {
    "journal_ring_bytes": "journal_head_bytes",
    "token_cache_age_seconds": "directory_age_seconds",
}
OLD_FATES = {"quarantined": "set_aside"}


class SidecarCollector(Collector):
    """The metrics of a sidecar."""

    def __init__(
        self,
        tally: Tally,
        journal: Journal,
        writer: Writer,
        tokens: TokenCache,
        health: Health,
    ) -> None:
        self._tally = tally
        self._journal = journal
        self._writer = writer
        self._tokens = tokens
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        yield self._calls()
        yield self._records()
        yield self._oddities()
        yield CounterMetricFamily(
            f"{PREFIX}_gaps", "Gaps written", value=self._writer.progress.gaps
        )
        yield from self._observed()
        for name, help_text, value in self._gauges():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)
            if (old := OLD_NAMES.get(name)) is not None:
                yield GaugeMetricFamily(
                    f"{PREFIX}_{old}", f"Old name of {PREFIX}_{name}", value=value
                )

    def _calls(self) -> Metric:
        calls = CounterMetricFamily(
            f"{PREFIX}_calls", "Exchanges that have ended", labels=["audited", "outcome"]
        )
        for audited, counts in (("yes", self._tally.audited), ("no", self._tally.unaudited)):
            for outcome, count in counts.items():
                calls.add_metric([audited, outcome], count)
        return calls

    def _records(self) -> Metric:
        records = CounterMetricFamily(
            f"{PREFIX}_records", "Audit records, by what became of them", labels=["fate"]
        )
        for fate, count in (
            ("accepted", self._journal.intake.accepted),
            ("written", self._writer.progress.written),
            ("quarantined", self._writer.quarantined),
            ("lost", self._journal.intake.refused + self._journal.damaged),
            ("unprotected", self._journal.intake.unprotected),
            ("beyond_share", self._journal.intake.losses.beyond_share),
        ):
            records.add_metric([fate], count)
            if fate in OLD_FATES:
                records.add_metric([OLD_FATES[fate]], count)
        return records

    def _oddities(self) -> Metric:
        oddities = self._tally.oddities
        help_text = "Things seen that were not understood, or should not happen"
        return _counter("oddities", help_text, "kind", oddities, oddities)

    def _observed(self) -> Iterable[Metric]:
        tally = self._tally
        help_text = "Calls that the sidecar refused for their token"
        yield _counter("refused_tokens", help_text, "reason", tally.refused_tokens, REFUSALS)
        help_text = "Spans, by what became of them"
        yield _counter("spans", help_text, "fate", tally.spans, SPAN_FATES)
        help_text = "Events of the webhook, by what became of them"
        yield _counter("webhook_events", help_text, "fate", tally.webhook_events, EVENT_FATES)

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        journal, progress = self._journal, self._writer.progress
        oldest = journal.oldest_unwritten
        age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0
        yield "calls_in_flight", "Audited calls that have begun and not ended", journal.in_flight
        yield "journal_disk_bytes", "Bytes of all segments on disk", journal.bytes_on_disk
        yield "journal_ring_bytes", "Bytes that only the ring holds", journal.ring_bytes_in_use
        yield "journal_unwritten_bytes", "Bytes not yet in PostgreSQL", journal.unwritten_bytes
        yield "journal_max_bytes", "Bytes that may wait on disk", journal.max_bytes
        yield "oldest_unwritten_seconds", "Age of the oldest record not yet in PostgreSQL", age
        yield "batch_records", "Records in the last batch written", progress.batch_records
        yield "batch_seconds", "Duration of the last batch written", progress.batch_seconds
        yield "token_cache_age_seconds", "Age of the token cache", self._tokens.age_seconds
        last_gap = progress.last_gap_at.timestamp() if progress.last_gap_at else 0
        yield "last_gap_timestamp_seconds", "When a gap was last written, or 0", last_gap
        yield "is_ready", "1 while calls are accepted", float(self._health.is_accepting)
        yield "problems", "Reasons that /readyz gives", len(self._health.report()[1])
        is_degraded = self._writer.problem is not None or self._health.tasks.is_failing(TASK)
        yield "is_degraded", "1 while records cannot be written", float(is_degraded)


class ClockCollector(Collector):
    """How far the clock here is from PostgreSQL's."""

    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Yield the difference of this moment, or NaN before it is known."""
        offset = self._clock.offset_seconds
        yield GaugeMetricFamily(
            f"{PREFIX}_clock_offset_seconds",
            "How far the clock here is ahead of PostgreSQL's; NaN before that is known",
            value=math.nan if offset is None else offset,
        )


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


def _counter(
    name: str, help_text: str, label: str, counts: Counter[str], values: Iterable[str]
) -> Metric:
    """Return *counts* by *label*; *values* are also there at zero, so that a first one shows."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", help_text, labels=[label])
    for value in values:
        family.add_metric([value], counts[value])
    return family
