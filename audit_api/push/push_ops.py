"""Health and metrics of the push, read from its pushers at each request."""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_api.push.pusher import Pusher
from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import Status

_PREFIX: Final = "podwarden_audit_push"


def report_of(pushers: Sequence[Pusher], tasks: BackgroundTasks) -> tuple[Status, list[str]]:
    """Return degraded with the reasons while a receiver or the log is away: what waits is kept."""
    reasons = [pusher.problem for pusher in pushers if pusher.problem is not None]
    reasons += tasks.problems
    return (Status.DEGRADED if reasons else Status.READY), reasons


class PushCollector(Collector):
    """The metrics of all receivers."""

    def __init__(self, pushers: Sequence[Pusher]) -> None:
        self._pushers = pushers

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        items = CounterMetricFamily(
            f"{_PREFIX}_items",
            "Entries, with gaps, and tool calls, by what became of them",
            labels=["receiver", "kind", "fate"],
        )
        lag = GaugeMetricFamily(
            f"{_PREFIX}_lag_seconds",
            "Age of the oldest item that is read and that the receiver has not taken",
            labels=["receiver", "kind"],
        )
        is_away = GaugeMetricFamily(
            f"{_PREFIX}_is_degraded", "1 while nothing can be pushed", labels=["receiver", "kind"]
        )
        for pusher in self._pushers:
            labels = [pusher.name, pusher.kind]
            items.add_metric([*labels, "taken"], pusher.taken)
            items.add_metric([*labels, "quarantined"], pusher.quarantined)
            lag.add_metric(labels, pusher.lag_seconds)
            is_away.add_metric(labels, float(pusher.problem is not None))
        yield from (items, lag, is_away)
