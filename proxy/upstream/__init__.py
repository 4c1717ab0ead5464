"""The only door to the upstream: connections kept, requests sent, answers read."""

from proxy.upstream.answer import SWITCHING_PROTOCOLS, AnswerHead
from proxy.upstream.connection import AnswerSink, UpstreamConnection
from proxy.upstream.errors import (
    UpstreamBrokeOffError,
    UpstreamError,
    UpstreamTimedOutError,
    UpstreamUnreachableError,
)
from proxy.upstream.pool import Upstream, UpstreamLimits, open_upstream

__all__ = [
    "SWITCHING_PROTOCOLS",
    "AnswerHead",
    "AnswerSink",
    "Upstream",
    "UpstreamBrokeOffError",
    "UpstreamConnection",
    "UpstreamError",
    "UpstreamLimits",
    "UpstreamTimedOutError",
    "UpstreamUnreachableError",
    "open_upstream",
]
