"""Histograms of durations, with the bounds that OpenTelemetry's conventions for MCP ask for."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

BOUNDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
"""Seconds."""
OTHER: Final = "_OTHER"
"""Stands for values beyond a limit."""
_LES: Final = (*(str(float(bound)) for bound in BOUNDS), "+Inf")


class Durations:
    """Counts by the values of some labels, with a limit for how many series there are."""

    def __init__(self, labels: Sequence[str], max_series: int) -> None:
        """Count by *labels*; what is beyond *max_series* is OTHER in each of them."""
        self._labels = labels
        self._max_series = max_series
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._seconds: defaultdict[tuple[str, ...], float] = defaultdict(float)

    def note(self, values: tuple[str, ...], seconds: float) -> None:
        """Count one duration under the *values* of the labels."""
        if values not in self._counts:
            if len(self._counts) >= self._max_series:
                values = (OTHER,) * len(values)
            self._counts.setdefault(values, [0] * (len(BOUNDS) + 1))
        self._counts[values][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[values] += seconds

    def metric(self, name: str, help_text: str, fixed: Sequence[tuple[str, str]] = ()) -> Metric:
        """Return the numbers of this moment; each series has the *fixed* labels as well."""
        labels = [*(label for label, _ in fixed), *self._labels]
        family = HistogramMetricFamily(name, help_text, labels=labels)
        for values, counts in self._counts.items():
            buckets = [
                (bound, count) for bound, count in zip(_LES, accumulate(counts), strict=True)
            ]
            told = [*(value for _, value in fixed), *values]
            family.add_metric(told, buckets, self._seconds[values])
        return family
