"""HdrHistogram_py, wrapped once: our range and precision, values out of range counted, a fast clear, tagged logs."""

import ctypes
import sys
from collections.abc import Iterable
from typing import Final, Self

from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 600_000_000
SIGNIFICANT_DIGITS: Final = 3


class Histogram:
    """Durations from 1 us to 10 min with three significant digits. What lies outside counts at the edge.

    ``clamped`` says how many values that was.
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
        """Counts one duration, rounded to whole microseconds."""
        value = (duration_ns + 500) // 1000
        if not LOWEST_US <= value <= HIGHEST_US:
            self.clamped += 1
            value = LOWEST_US if value < LOWEST_US else HIGHEST_US
        self._hdr.record_value(value)

    def clear(self) -> None:
        """Empties it by one memset; the library's ``reset`` walks 21,504 counters in Python."""
        hdr = self._hdr
        ctypes.memset(hdr.counts, 0, ctypes.sizeof(hdr.counts))
        hdr.total_count = 0
        hdr.min_value = sys.maxsize
        hdr.max_value = 0
        self.clamped = 0

    def encode(self) -> bytes:
        """Compressed V2 form in base64, as histogram logs carry it."""
        return bytes(self._hdr.encode())

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Reads what :meth:`encode` wrote; ``clamped`` is not part of it."""
        histogram = cls()
        histogram.add_encoded(encoded)
        return histogram

    def add_encoded(self, encoded: bytes) -> None:
        """Adds a histogram in encoded form."""
        self._hdr.decode_and_add(encoded)

    def add(self, other: "Histogram") -> None:
        """Adds all values of ``other``."""
        self._hdr.add(other._hdr)
        self.clamped += other.clamped

    def percentiles_us(self, percentiles: Iterable[float]) -> dict[float, int]:
        """Values in microseconds at these percentiles, 0 < p <= 100; empty for an empty histogram."""
        if not self.count:
            return {}
        found: dict[float, int] = self._hdr.get_percentile_to_value_dict(list(percentiles))
        return found

    @property
    def max_us(self) -> int:
        """The largest value, at the histogram's resolution."""
        return int(self._hdr.get_max_value())
