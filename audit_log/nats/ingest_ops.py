"""Health and metrics of the ingest, read from it at each request."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_log.nats.ingest import Ingest
from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import Status
from audit_log.schema.partitions import PartitionUpkeep

_PREFIX: Final = "podwarden_audit_ingest"


def report_of(
    ingest: Ingest, tasks: BackgroundTasks, partitions: PartitionUpkeep
) -> tuple[Status, list[str]]:
    """Return whether *ingest* and all *tasks* can do their work.

    It is not ready while NATS or PostgreSQL is away. No client waits for it, and a new version
    that cannot reach its neighbours must not replace one that can.
    """
    reasons = [*filter(None, [ingest.problem]), *tasks.problems]
    if reasons:
        return Status.NOT_READY, reasons
    doubts = list(filter(None, [partitions.problem, ingest.quarantined_lately]))
    return (Status.DEGRADED if doubts else Status.READY), doubts


class IngestCollector(Collector):
    """The metrics of the ingest."""

    def __init__(self, ingest: Ingest, partitions: PartitionUpkeep) -> None:
        self._ingest = ingest
        self._partitions = partitions

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        records = CounterMetricFamily(
            f"{_PREFIX}_records",
            "Records, tool calls and gaps, by what became of them",
            labels=["fate"],
        )
        records.add_metric(["written"], self._ingest.written)
        records.add_metric(["quarantined"], self._ingest.quarantined)
        # The old name of "quarantined": kept for version 0.2, for dashboards and alerts.
        records.add_metric(["set_aside"], self._ingest.quarantined)
        yield records
        oldest = self._ingest.oldest_unwritten
        age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0
        yield GaugeMetricFamily(
            f"{_PREFIX}_oldest_unwritten_seconds",
            "Age of the oldest message not yet in PostgreSQL",
            value=age,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_is_ready",
            "1 while records can be written",
            value=float(self._ingest.problem is None),
        )
        for name, help_text, value in self._partitions.gauges():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", help_text, value=value)
