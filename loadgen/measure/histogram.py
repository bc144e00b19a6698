"""HdrHistogram_py, wrapped once: our range and precision, out-of-range values counted, a fast clear."""

import ctypes
import math
import sys
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final, Self

from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 600_000_000
SIGNIFICANT_DIGITS: Final = 3

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
"""The percentiles of every report, by the names that ``summary.json`` gives them."""


class Histogram:
    """Durations from 1 us to 10 min with three significant digits. What lies outside counts at the edge.

    ``clamped`` says how many values were negative or too long.
    """

    __slots__ = ("_hdr", "clamped")

    def __init__(self) -> None:
        self._hdr = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
        self.clamped = 0

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return int(self._hdr.total_count)

    def record_ns(self, duration_ns: int) -> None:
        """Counts one duration, rounded to whole microseconds, and to one if it is shorter."""
        value = (duration_ns + 500) // 1000
        if value < LOWEST_US:
            self.clamped += duration_ns < 0
            value = LOWEST_US
        elif value > HIGHEST_US:
            self.clamped += 1
            value = HIGHEST_US
        self._hdr.record_value(value)

    def clear(self) -> None:
        """Empties it by one memset; the library's ``reset`` walks 21,504 counters in Python."""
        hdr = self._hdr
        ctypes.memset(hdr.counts, 0, ctypes.sizeof(hdr.counts))
        hdr.total_count = 0
        hdr.min_value = sys.maxsize
        hdr.max_value = 0
        self.clamped = 0

    def encode(self) -> str:
        """Compressed V2 form in base64, as histogram logs carry it."""
        return str(self._hdr.encode(), "ascii")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Reads what :meth:`encode` wrote; ``clamped`` is not part of it."""
        histogram = cls()
        histogram.add_encoded(encoded)
        return histogram

    def add_encoded(self, encoded: str) -> None:
        """Adds a histogram in encoded form."""
        self._hdr.decode_and_add(encoded)

    def add(self, other: "Histogram") -> None:
        """Adds all values of ``other``."""
        if other.count:  # the library takes an empty histogram's minimum for a value of 0
            self._hdr.add(other._hdr)  # noqa: SLF001  (same class)
        self.clamped += other.clamped

    def percentiles_us(self, percentiles: Iterable[float]) -> dict[float, int]:
        """The smallest value, in us, that so many percent do not exceed (0 < p <= 100); nothing if empty.

        The library finds the bucket by a loop over all counters; it also rounds the rank to the nearest
        instead of up, so that the 95th percentile of eleven values would be the tenth.
        """
        hdr = self._hdr
        if not hdr.total_count:
            return {}
        seen = list(accumulate(memoryview(hdr.counts).cast("B").cast("Q")))
        found = {}
        for percentile in percentiles:
            rank = max(1, math.ceil(round(percentile * hdr.total_count / 100, 6)))
            value = hdr.get_value_from_index(bisect_left(seen, rank))
            found[percentile] = int(hdr.get_highest_equivalent_value(value))
        return found

    @property
    def max_us(self) -> int:
        """The largest value, at the histogram's resolution."""
        return int(self._hdr.get_max_value())
