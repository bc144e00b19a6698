"""``latency.hlog`` in one pass and bounded memory: sums, course over time, and heat maps."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from loadgen.measure import latency_log
from loadgen.measure.sparse import SparseHistogram, highest_us

MOST_STEPS: Final = 240
"""Of the course over time; a longer run gets longer steps, not a larger file."""
_STEPS_S: Final = (2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_ROWS_PER_DECADE: Final = 10
_US_PER_MS: Final = 1000
_KINDS: Final = ("response", "service")


class Course(msgspec.Struct):
    """Times in ms by step of time; nothing where nothing was timed in a step."""

    p50: dict[int, float] = {}
    p99: dict[int, float] = {}
    max: dict[int, float] = {}
    rows: dict[int, dict[int, int]] = {}
    """How many in each row of a heat map; row r holds times from ``row_ms(r)`` to ``row_ms(r + 1)``."""


class Times(msgspec.Struct):
    """One operation's response or service time."""

    total: SparseHistogram = msgspec.field(default_factory=SparseHistogram)
    course: Course = msgspec.field(default_factory=Course)


class LatencySeries(msgspec.Struct):
    """All operations' times, by tag (``send_message.response``), in steps of ``step_s`` seconds."""

    step_s: float
    times: dict[str, Times]


def step_for(length_s: float) -> float:
    """The shortest usual step that cuts a run into at most :data:`MOST_STEPS`."""
    fitting = (step for step in _STEPS_S if length_s <= step * MOST_STEPS)
    return float(next(fitting, math.ceil(length_s / MOST_STEPS)))


def row_of(value_us: int) -> int:
    """The row of a heat map that a time belongs to."""
    return math.floor(math.log10(max(1, value_us)) * _ROWS_PER_DECADE + 1e-9)


def row_ms(row: int) -> float:
    """Where a row begins."""
    return float(10 ** (row / _ROWS_PER_DECADE) / _US_PER_MS)


def read(path: Path, length_s: float) -> LatencySeries:
    """Reads response and service times; what is no histogram, and a file that is not there, is left out."""
    series = LatencySeries(step_for(length_s), {})
    under_way: dict[str, SparseHistogram] = {}
    current = 0
    for interval in latency_log.intervals(path) if path.exists() else ():
        if not interval.tag.endswith(_KINDS):
            continue
        step = int(interval.start_s // series.step_s)
        if step > current:
            _close(series, under_way, current)
            current = step
        try:
            under_way.setdefault(interval.tag, SparseHistogram()).add_encoded(interval.payload)
        except ValueError:
            continue
    _close(series, under_way, current)
    return series


def curve(histogram: SparseHistogram, per_halving: int = 5) -> Iterator[tuple[float, float]]:
    """Percentile and ms, closer together the closer to 100, as HdrHistogram's own plots have them."""
    total = histogram.count
    if not total:
        return
    steps = math.ceil(math.log2(total)) * per_halving
    percentiles = [100 * (1 - 2 ** (-step / per_halving)) for step in range(steps + 1)]
    for percentile, value_us in zip(percentiles, histogram.percentiles_us(percentiles), strict=True):
        yield percentile, value_us / _US_PER_MS


def _close(series: LatencySeries, under_way: dict[str, SparseHistogram], step: int) -> None:
    """Takes down what a step of time amounts to, and begins the next."""
    for tag, histogram in under_way.items():
        times = series.times.setdefault(tag, Times())
        times.total.add(histogram)
        if histogram.count:
            course = times.course
            p50, p99 = histogram.percentiles_us((50, 99))
            course.p50[step], course.p99[step] = p50 / _US_PER_MS, p99 / _US_PER_MS
            course.max[step] = histogram.max_us / _US_PER_MS
            course.rows[step] = _rows(histogram.counts.items())
    under_way.clear()


def _rows(counts: Iterable[tuple[int, int]]) -> dict[int, int]:
    rows: Counter[int] = Counter()
    for index, count in counts:
        rows[_row_of_index(index)] += count
    return rows


@cache
def _row_of_index(index: int) -> int:
    return row_of(highest_us(index))
