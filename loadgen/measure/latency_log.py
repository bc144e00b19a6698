"""``latency.hlog``: interval histograms in the HdrHistogram log format, tagged, for its usual tools.

HdrHistogram_py reads tags and does not write them, so the lines are written here.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from loadgen.measure.recorder import Snapshot
from loadgen.measure.sparse import SparseHistogram

SCHEMA: Final = 1
_US_PER_MS: Final = 1000.0
_NS_PER_S: Final = 1e9
_INTERVAL: Final = re.compile(
    r"Tag=(?P<tag>[\w.]+),(?P<start>\d+\.\d+),[\d.]+,[\d.]+,(?P<payload>[A-Za-z0-9+/=]+)\n"
)


class Interval(NamedTuple):
    """A line of a log: one tag's histogram of one worker's interval, in encoded form."""

    tag: str
    start_s: float
    payload: str


def header(started: datetime) -> str:
    """The first lines of a log; times are in seconds from ``started``, maxima in ms, values in us."""
    epoch_s = started.timestamp()
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[Outlook-loadgen latency schema {SCHEMA}; values in microseconds, Interval_Max in milliseconds]\n"
        f"#[BaseTime: {epoch_s:.3f} (seconds since epoch)]\n"
        f"#[StartTime: {epoch_s:.3f} (seconds since epoch), {started.astimezone(UTC).isoformat()}]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


def interval_lines(snapshot: Snapshot, origin_ns: int) -> str:
    """A line for each histogram of a snapshot; ``origin_ns`` is when the log started, on its clock."""
    start_s = max(0, snapshot.started_ns - origin_ns) / _NS_PER_S
    length_s = (snapshot.ended_ns - snapshot.started_ns) / _NS_PER_S
    return "".join(
        f"Tag={tag},{start_s:.3f},{length_s:.3f},{histogram.max_us / _US_PER_MS:.3f},{histogram.payload}\n"
        for tag, histogram in sorted(snapshot.histograms.items())
    )


def read(path: Path) -> dict[str, SparseHistogram]:
    """The sum of all intervals by tag; a last line that was cut off by a kill is left out."""
    histograms: dict[str, SparseHistogram] = {}
    for interval in intervals(path):
        histogram = histograms.setdefault(interval.tag, SparseHistogram())
        try:
            histogram.add_encoded(interval.payload)
        except ValueError:
            continue
    return histograms


def intervals(path: Path) -> Iterator[Interval]:
    """All intervals in the order in which they were written; a line that was cut off is left out."""
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if match := _INTERVAL.fullmatch(line):
                yield Interval(match["tag"], float(match["start"]), match["payload"])
