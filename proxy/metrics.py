"""Metrics of the process that takes calls, read when they are scraped: counting costs nothing."""

import math
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit_log.clock import DatabaseClock
from audit_log.refusals import EXPIRED, REVOKED
from audit_log.tokens import NOT_LOOKED_UP, UNKNOWN
from proxy.audit.tally import Tally
from proxy.journal import Intake
from proxy.recorder.keeper import Keeper
from proxy.recorder.record_metrics import (
    PREFIX,
    counted,
    records_by_fate,
)
from proxy.telemetry.health import Health
from proxy.telemetry.mcp_durations import McpDurations
from proxy.tokens.cache import TokenCache

REFUSALS = (UNKNOWN, EXPIRED, REVOKED, NOT_LOOKED_UP)
# Old names of metrics, by their new ones: kept for version 0.2, for dashboards and alerts.
OLD_NAMES = {
    "journal_ring_bytes": "journal_head_bytes",
    "token_cache_age_seconds": "directory_age_seconds",
}


class CallCollector(Collector):
    """The calls, and what the ring takes of them."""

    def __init__(
        self,
        tally: Tally,
        intake: Intake,
        tokens: TokenCache,
        health: Health,
    ) -> None:
        self._tally = tally
        self._intake = intake
        self._tokens = tokens
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        yield self._calls()
        intake = self._intake
        yield records_by_fate(
            ("accepted", intake.accepted),
            ("lost", intake.refused),
            ("unprotected", intake.unprotected),
            ("beyond_share", intake.losses.beyond_share),
        )
        yield self._oddities()
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
                if count:
                    calls.add_metric([audited, outcome], count)
        return calls

    def _oddities(self) -> Metric:
        oddities = self._tally.oddities
        help_text = "Things seen that were not understood, or should not happen"
        return counted("oddities", help_text, "kind", oddities, oddities)

    def _observed(self) -> Iterable[Metric]:
        tally = self._tally
        help_text = "Calls that the sidecar refused for their token"
        yield counted("refused_tokens", help_text, "reason", tally.refused_tokens, REFUSALS)

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        intake = self._intake
        yield "calls_in_flight", "Audited calls that have begun and not ended", intake.in_flight
        yield "journal_ring_bytes", "Bytes that only the ring holds", intake.ring_bytes_in_use
        yield "token_cache_age_seconds", "Age of the token cache", self._tokens.age_seconds
        yield "is_ready", "1 while calls are accepted", float(self._health.is_accepting)
        yield "problems", "Reasons that /readyz gives", len(self._health.report()[1])


class McpCollector(Collector):
    """How long tool calls and sessions took."""

    def __init__(self, durations: McpDurations) -> None:
        self._durations = durations

    def collect(self) -> Iterable[Metric]:
        """Return the numbers of this moment."""
        return self._durations.metrics()


class KeeperCollector(Collector):
    """How often the recorder was started again."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def collect(self) -> Iterable[Metric]:
        """Yield the number of this moment."""
        yield CounterMetricFamily(
            f"{PREFIX}_recorder_restarts",
            "Times that the recorder has ended early and was started again",
            value=self._keeper.restarts,
        )


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
