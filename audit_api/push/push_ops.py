"""Health and metrics of the push, read from its deliveries at each request."""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_api.push.delivery import Delivery
from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import Status

_PREFIX: Final = "podwarden_audit_push"


def report_of(deliveries: Sequence[Delivery], tasks: BackgroundTasks) -> tuple[Status, list[str]]:
    """Return degraded with the reasons while a receiver or the log is away: what waits is kept."""
    problems = [each.problem for each in deliveries if each.problem is not None]
    reasons = [*dict.fromkeys(problems), *tasks.problems]
    return (Status.DEGRADED if reasons else Status.READY), reasons


class PushCollector(Collector):
    """The metrics of all receivers."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._deliveries = deliveries

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        items = CounterMetricFamily(
            f"{_PREFIX}_items",
            "Entries, with gaps, tool calls, and what rules tell, by what became of them",
            labels=["receiver", "kind", "fate"],
        )
        lag = GaugeMetricFamily(
            f"{_PREFIX}_lag_seconds",
            "Age of the oldest item that is read and that the receiver has not taken",
            labels=["receiver", "kind"],
        )
        is_away = GaugeMetricFamily(
            f"{_PREFIX}_is_degraded",
            "1 while nothing can be pushed",
            labels=["receiver", "kind"],
        )
        for each in self._deliveries:
            labels = [each.name, each.kind]
            items.add_metric([*labels, "taken"], each.taken)
            items.add_metric([*labels, "quarantined"], each.quarantined)
            lag.add_metric(labels, each.lag_seconds)
            is_away.add_metric(labels, float(each.problem is not None))
        yield from (items, lag, is_away)
