"""Histograms as a log carries them, by their counters that are not zero.

An interval has a handful of samples; a long run has millions of intervals. Adding them up through
HdrHistogram_py, which unpacks 21,504 counters each time, takes ten times as long.
"""

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Iterable
from typing import Final

from loadgen.measure.histogram import HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS

_WRAPPER: Final = struct.Struct(">II")
_PAYLOAD: Final = struct.Struct(">IIiIQQd")
_COOKIES: Final = (0x1C849314, 0x1C849313)
"""Of the compressed V2 form and of what is in it, with the word size of 1 that V2 always has."""
_HALF_BUCKET: Final = 1024
_HALF_BUCKET_BITS: Final = 10


class SparseHistogram:
    """Microseconds at the precision of :class:`~loadgen.measure.histogram.Histogram`, whose logs it reads."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        """By index, in the order of HdrHistogram's counters."""

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    @property
    def max_us(self) -> int:
        """The largest value, at the histogram's resolution; 0 if empty."""
        return highest_us(max(self.counts)) if self.counts else 0

    def add_encoded(self, payload: str) -> None:
        """Adds a histogram in compressed V2 form and base64; raises ``ValueError`` if it is none of ours."""
        _add(self.counts, _counters(payload))

    def add(self, other: "SparseHistogram") -> None:
        """Adds all values of ``other``."""
        _add(self.counts, other.counts.items())

    def percentiles_us(self, percentiles: Iterable[float]) -> list[int]:
        """The smallest value, in us, that so many percent do not exceed; ascending; nothing if empty."""
        found, seen, total = [], 0, self.count
        above = iter(sorted(self.counts.items()))
        index = -1
        for percentile in percentiles if total else ():
            rank = max(1, math.ceil(round(percentile * total / 100, 6)))
            while seen < rank:
                index, count = next(above)
                seen += count
            found.append(highest_us(index))
        return found


def highest_us(index: int) -> int:
    """The largest value that the counter of this index stands for."""
    bucket = max(0, (index >> _HALF_BUCKET_BITS) - 1)
    within = index - (bucket << _HALF_BUCKET_BITS)
    return ((within + 1) << bucket) - 1


def _add(counts: dict[int, int], more: Iterable[tuple[int, int]]) -> None:
    so_far = counts.get
    for index, count in more:
        counts[index] = so_far(index, 0) + count


def _counters(payload: str) -> list[tuple[int, int]]:
    """Index and count of every counter that is not zero."""
    try:
        packed = base64.b64decode(payload, validate=True)
        outer, length = _WRAPPER.unpack_from(packed)
        data = zlib.decompress(packed[_WRAPPER.size :])
        inner, size, _, digits, lowest, highest, _ = _PAYLOAD.unpack_from(data)
    except (struct.error, zlib.error, binascii.Error) as error:
        raise ValueError(f"no histogram: {error}") from None
    if ((outer, inner), digits, lowest, highest) != (_COOKIES, SIGNIFICANT_DIGITS, LOWEST_US, HIGHEST_US):
        raise ValueError("a histogram of another form, range or precision")
    sizes = (_WRAPPER.size + length, _PAYLOAD.size + size)
    if sizes != (len(packed), len(data)) or data[-1:] >= b"\x80":
        raise ValueError("a histogram that was cut off")
    return _unpacked(data)


def _unpacked(data: bytes) -> list[tuple[int, int]]:
    """Counters are ZigZag LEB128: a count, or below zero how many zeroes there are in a row."""
    found = []
    index, at, end = 0, _PAYLOAD.size, len(data)
    while at < end:
        octet = data[at]
        number, shift = octet & 0x7F, 7
        while octet & 0x80:
            at += 1
            octet = data[at]
            number |= (octet & 0x7F) << shift
            shift += 7
        at += 1
        if number & 1:
            index += (number >> 1) + 1
        else:
            if number:
                found.append((index, number >> 1))
            index += 1
    return found
