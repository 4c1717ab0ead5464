"""Metrics of the audit API: requests, readers, and what readers were told."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from audit_log.process.ops import exposition
from audit_log.reads import Read, ReadKind

_PREFIX: Final = "podwarden_audit_api"
_BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds. The questions of the page take up to half a second on ten million rows."""
_OTHER: Final = "other"
READER_SECONDS: Final = 3_600.0
_LONG: Final = (ReadKind.EXPORT, ReadKind.EVIDENCE, ReadKind.STREAM)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ReadMetrics:
    """Counts, in a registry of its own. Labels are names of endpoints: callers cannot add one."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            f"{_PREFIX}_requests", "Requests answered", ["endpoint", "status"], registry=registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "How long requests took, to the last byte of the response",
            ["endpoint"],
            buckets=_BOUNDS,
            registry=registry,
        )
        self._refusals = Counter(
            f"{_PREFIX}_refusals", "Callers that may not read", ["reason"], registry=registry
        )
        self._reads = Counter(f"{_PREFIX}_reads", "Reads recorded", ["kind"], registry=registry)
        self._rows = Counter(
            f"{_PREFIX}_rows_told", "Rows that readers were told", ["kind"], registry=registry
        )
        self._under_way = Gauge(
            f"{_PREFIX}_under_way", "Exports and streams under way", ["kind"], registry=registry
        )
        self._readers: dict[str | None, float] = {}
        """When each reader was last told something, by the monotonic clock."""
        readers = Gauge(
            f"{_PREFIX}_readers", "Readers of the last hour, by their names", registry=registry
        )
        readers.set_function(self._count_readers)
        self._show_zeros()

    def count_not_recorded(self, count: Callable[[], float]) -> None:
        """Show what *count* returns: how many reads could not be recorded."""
        Gauge(
            f"{_PREFIX}_reads_not_recorded",
            "Reads refused, or ends and refusals lost, as they could not be recorded",
            registry=self.registry,
        ).set_function(count)

    def refused(self, status: int | None, *, is_stranger: bool) -> None:
        """Count a caller that may not read."""
        self._refusals.labels("no_credentials" if is_stranger else str(status)).inc()

    def recorded(self, read: Read) -> None:
        """Count *read*, and its reader."""
        self._reads.labels(read.kind).inc()
        self._readers[read.reader] = monotonic()

    def told(self, kind: ReadKind, rows: int) -> None:
        """Count the *rows* that a reader was told."""
        self._rows.labels(kind).inc(rows)

    def began(self, kind: ReadKind) -> None:
        """Take in that an export or a stream began."""
        self._under_way.labels(kind).inc()

    def ended(self, kind: ReadKind) -> None:
        """Take in that an export or a stream ended."""
        self._under_way.labels(kind).dec()

    def measured(self, handler: Handler) -> Handler:
        """Return *handler*, whose requests are counted and timed."""

        async def respond(request: web.BaseRequest) -> web.StreamResponse:
            began, status = monotonic(), 499
            try:
                response = await handler(request)
                status = response.status
                return response
            finally:
                endpoint = _endpoint_of(request)
                self._requests.labels(endpoint, status).inc()
                self._seconds.labels(endpoint).observe(monotonic() - began)

        return respond

    async def page(self, request: web.Request) -> web.Response:
        """Respond with the numbers of this moment. They name no reader, so all may have them."""
        return exposition(request, self.registry)

    def _count_readers(self) -> float:
        since = monotonic() - READER_SECONDS
        self._readers = {name: last for name, last in self._readers.items() if last >= since}
        return len(self._readers)

    def _show_zeros(self) -> None:
        """Show series before they count: an alert on the first refusal needs the zero before."""
        for reason in ("no_credentials", "401", "403"):
            _ = self._refusals.labels(reason)
        for kind in ReadKind:
            _ = self._reads.labels(kind)
        for kind in _LONG:
            _ = self._under_way.labels(kind)


def _endpoint_of(request: web.BaseRequest) -> str:
    if not isinstance(request, web.Request):
        return _OTHER
    found = request.match_info
    return _OTHER if found is None else found.route.name or _OTHER  # type: ignore[redundant-expr]
