"""A run's intervals as matrices: a row per interval, a column per value that was measured."""

import csv
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.measure import latency_log
from loadgen.measure.recorder import ALWAYS_TIMED
from loadgen.measure.sample import LAYERS, OPERATIONS
from loadgen.measure.sparse import SparseHistogram, highest_us
from loadgen.measure.store import ResultsError

Floats = NDArray[np.float64]

MEASURED: Final = "measure"
MOST_ROWS: Final = 512
"""Longer runs have their intervals put together, so that what is drawn from them stays small."""
_US_PER_MS: Final = 1000.0


class Times(NamedTuple):
    """One tag's times: how many of which value there were in each interval."""

    counts: Floats
    """Intervals by values."""
    values_ms: Floats
    """Ascending."""
    interval_s: float

    @property
    def samples(self) -> int:
        """How many there are in all."""
        return round(float(self.counts.sum()))

    @property
    def mean_ms(self) -> float:
        """Of all, at the histogram's resolution."""
        return float(self.counts.sum(axis=0) @ self.values_ms / self.counts.sum())


class Rate(NamedTuple):
    """How many there were in each interval, and how long each was."""

    counts: Floats
    lengths_s: Floats
    interval_s: float

    @property
    def per_s(self) -> float:
        """How many there were a second, on average."""
        return float(self.counts.sum() / self.lengths_s.sum())


class _Lines:
    """The counters of one tag that are not zero: interval, index and count of each, in three columns.

    Over a working day there are millions, so they are kept as C integers.
    """

    __slots__ = ("counts", "indices", "rows")

    def __init__(self) -> None:
        self.rows, self.indices, self.counts = array("i"), array("i"), array("q")

    def add(self, row: int, histogram: SparseHistogram) -> None:
        self.rows.extend(repeat(row, len(histogram.counts)))
        self.indices.extend(histogram.counts.keys())
        self.counts.extend(histogram.counts.values())


class Recording:
    """The intervals of ``timeseries.csv`` with what ``latency.hlog`` holds of each."""

    def __init__(self, rows: Sequence[Mapping[str, str]], intervals: Iterable[latency_log.Interval]) -> None:
        self._rows = rows
        self._starts_s = np.array([float(row["time_s"]) for row in rows])
        self._lengths_s = np.array([float(row["length_s"]) for row in rows])
        self._lines: dict[str, _Lines] = defaultdict(_Lines)
        for interval in intervals:
            self._add(interval)
        self._spans = {group: self._span(group) for group in _GROUPS}

    @property
    def measured_s(self) -> float:
        """Seconds of the measured phase."""
        return float(sum(self._lengths_s[row] for row in self._measured_rows()))

    @property
    def tags(self) -> list[str]:
        """Of what there are times."""
        return sorted(self._lines)

    def times(self, tag: str) -> Times | None:
        """The times of a tag in the intervals in which there could be some; None if there are none."""
        lines = self._lines.get(tag)
        if lines is None or not lines.rows:
            return None
        first, last = self._spans[_group_of(tag)]
        rows = last - first + 1
        together = -(-rows // MOST_ROWS)
        indices, columns = np.unique(lines.indices, return_inverse=True)
        counts = np.zeros((-(-rows // together), len(indices)))
        np.add.at(counts, ((np.array(lines.rows) - first) // together, columns), lines.counts)
        values_ms = np.array([highest_us(index) for index in indices.tolist()]) / _US_PER_MS
        return Times(counts, values_ms, together * float(np.median(self._lengths_s[first : last + 1])))

    def rate(self, operation: str) -> Rate | None:
        """How often an operation was done in each interval of the measured phase; None if there is none."""
        rows = self._measured_rows()
        if not rows:
            return None
        together = -(-len(rows) // MOST_ROWS)
        edges = range(0, len(rows), together)
        done = np.array([float(self._rows[row][f"{operation}.done"] or 0) for row in rows])
        lengths_s = np.add.reduceat(self._lengths_s[rows], edges)
        return Rate(np.add.reduceat(done, edges), lengths_s, float(np.median(lengths_s)))

    def _add(self, interval: latency_log.Interval) -> None:
        histogram = SparseHistogram()
        try:
            histogram.add_encoded(interval.payload)
        except ValueError:
            return  # as `loadgen.measure.latency_log.read` does
        row = max(0, int(np.searchsorted(self._starts_s, interval.start_s + _ROUNDING_S, "right")) - 1)
        self._lines[interval.tag].add(row, histogram)

    def _measured_rows(self) -> list[int]:
        return [row for row, each in enumerate(self._rows) if each["phase"] == MEASURED]

    def _span(self, group: str) -> tuple[int, int]:
        """The first and the last interval of tags that are timed at the same time."""
        found = self._measured_rows() if group == MEASURED else []
        for tag, lines in self._lines.items():
            if _group_of(tag) == group and lines.rows:
                found += (min(lines.rows), max(lines.rows))
        return (min(found), max(found)) if found else (0, 0)


_ROUNDING_S: Final = 0.0006
"""A log's times are rounded to milliseconds, as those of the time series are."""
_GROUPS: Final = (MEASURED, *ALWAYS_TIMED)


def _group_of(tag: str) -> str:
    """What is timed in any phase has a span of its own; layers of set-up belong to logging on."""
    name = tag.partition(".")[0]
    return "log_on" if name in LAYERS else name if name in ALWAYS_TIMED else MEASURED


def read_recording(folder: Path) -> Recording | None:
    """The intervals of a run's folder; None if it has none. Raises :class:`ResultsError`."""
    try:
        with (folder / "timeseries.csv").open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get(f"{OPERATIONS[-1]}.done") is not None]
        return Recording(rows, latency_log.intervals(folder / "latency.hlog")) if rows else None
    except OSError as error:
        raise ResultsError(f"{error.filename}: {error.strerror}; is its folder that of a run?") from None
    except (KeyError, ValueError) as error:
        raise ResultsError(f"{folder}: {error}; was it written by another version?") from None
