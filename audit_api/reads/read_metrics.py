"""Metrics of the audit API, read when they are scraped: requests, readers, what they were told."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from itertools import accumulate
from time import monotonic
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from audit_log.process.ops import exposition
from audit_log.reads import Read, ReadKind

_PREFIX: Final = "podwarden_audit_api"
BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds. The page's questions take up to half a second on ten million rows."""
READER_SECONDS: Final = 3_600.0
_LES: Final = (*(str(float(bound)) for bound in BOUNDS), "+Inf")
_OTHER: Final = "other"
_NO_CREDENTIALS: Final = "no_credentials"
_REASONS: Final = (_NO_CREDENTIALS, "401", "403")
_CLIENT_LEFT: Final = 499
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ReadMetrics(Collector):
    """Counts. Labels are names of endpoints and kinds: no caller can add one."""

    def __init__(self) -> None:
        self._requests = Counter[tuple[str, int]]()
        self._durations = defaultdict[str, list[int]](lambda: [0] * len(_LES))
        self._seconds = defaultdict[str, float](float)
        # From zero on: an alert on a first refusal needs the zero before.
        self._refusals = Counter(dict.fromkeys(_REASONS, 0))
        self._reads = Counter(dict.fromkeys(ReadKind, 0))
        self._rows = Counter(dict.fromkeys(ReadKind, 0))
        self._under_way = Counter(
            dict.fromkeys((ReadKind.EXPORT, ReadKind.EVIDENCE, ReadKind.STREAM), 0)
        )
        self._readers: dict[str | None, float] = {}
        """When each reader was last told something, by the monotonic clock."""
        self.not_recorded = 0
        """Reads that were not answered for it, and ends and refusals that were lost."""

    def refused(self, status: int | None, *, is_stranger: bool) -> None:
        """Count a caller that may not read."""
        self._refusals[_NO_CREDENTIALS if is_stranger else str(status)] += 1

    def recorded(self, read: Read) -> None:
        """Count *read*, and its reader."""
        self._reads[read.kind] += 1
        if read.kind is not ReadKind.REFUSED:
            self._readers[read.reader] = monotonic()

    def told(self, kind: ReadKind, rows: int) -> None:
        """Count the *rows* that a reader was told."""
        self._rows[kind] += rows

    def began(self, kind: ReadKind) -> None:
        """Take in that an export or a stream began."""
        self._under_way[kind] += 1

    def ended(self, kind: ReadKind) -> None:
        """Take in that an export or a stream ended."""
        self._under_way[kind] -= 1

    def measured(self, handler: Handler) -> Handler:
        """Return *handler*, whose requests are counted and timed, to the last byte."""

        async def respond(request: web.BaseRequest) -> web.StreamResponse:
            began, status = monotonic(), _CLIENT_LEFT
            try:
                response = await handler(request)
                status = response.status
                return response
            finally:
                endpoint, seconds = _endpoint_of(request), monotonic() - began
                self._requests[endpoint, status] += 1
                self._durations[endpoint][bisect_left(BOUNDS, seconds)] += 1
                self._seconds[endpoint] += seconds

        return respond

    async def page(self, request: web.Request) -> web.Response:
        """Respond with the numbers of this moment. They name no reader, so all may have them."""
        registry = CollectorRegistry()
        registry.register(self)
        return exposition(request, registry)

    def collect(self) -> Iterable[Metric]:
        """Yield the numbers of this moment."""
        requests = CounterMetricFamily(
            f"{_PREFIX}_requests", "Requests answered", labels=["endpoint", "status"]
        )
        for (endpoint, status), count in self._requests.items():
            requests.add_metric([endpoint, str(status)], count)
        yield requests
        yield self._request_seconds()
        yield _counted("refusals", "Callers that may not read", "reason", self._refusals.items())
        yield _counted("reads", "Reads recorded", "kind", self._reads.items())
        yield _counted("rows_told", "Rows that readers were told", "kind", self._rows.items())
        yield CounterMetricFamily(
            f"{_PREFIX}_reads_not_recorded",
            "Reads not answered, ends and refusals lost, as they could not be recorded",
            value=self.not_recorded,
        )
        under_way = GaugeMetricFamily(
            f"{_PREFIX}_under_way", "Exports and streams under way", labels=["kind"]
        )
        for kind, count in self._under_way.items():
            under_way.add_metric([kind], count)
        yield under_way
        yield GaugeMetricFamily(
            f"{_PREFIX}_readers", "Readers of the last hour", value=self._count_readers()
        )

    def _request_seconds(self) -> Metric:
        family = HistogramMetricFamily(
            f"{_PREFIX}_request_seconds",
            "How long requests took, to the last byte of the response",
            labels=["endpoint"],
        )
        for endpoint, counts in self._durations.items():
            buckets = [
                (bound, count) for bound, count in zip(_LES, accumulate(counts), strict=True)
            ]
            family.add_metric([endpoint], buckets, self._seconds[endpoint])
        return family

    def _count_readers(self) -> int:
        since = monotonic() - READER_SECONDS
        self._readers = {name: last for name, last in self._readers.items() if last >= since}
        return len(self._readers)


def _counted(name: str, help_text: str, label: str, counts: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", help_text, labels=[label])
    for value, count in counts:
        family.add_metric([value], count)
    return family


def _endpoint_of(request: web.BaseRequest) -> str:
    found = request.match_info if isinstance(request, web.Request) else None
    return _OTHER if found is None else found.route.name or _OTHER
