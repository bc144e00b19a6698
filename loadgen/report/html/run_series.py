"""The course of a run in one pass over each of its files, thinned to what a chart shows."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from loadgen.measure.sample import OPERATIONS

MOST_POINTS: Final = 800
"""Of one line of a chart."""
_OPENED_BY_CLIENTS: Final = ("client_to_cas", "client_to_servers")
_GAP_S: Final = 5.0
_GAP_STEPS: Final = 3.0
"""A line of counts is interrupted where the next one is so much later, and so many usual steps later."""
_GAUGES: Final = ("users_logged_on", "unfinished", "busy", "lag_p99_ms")
_COUNTS: Final = ("done", "failed", "skipped")

Points = list[tuple[float, float]]


class Marks(msgspec.Struct):
    """Events of one kind: how many in each step of time, and what the first of each step says."""

    counts: Counter[int] = msgspec.field(default_factory=Counter)
    texts: dict[int, str] = {}


class FailureTimes(msgspec.Struct):
    """When operations failed for the first and for the last time, in s since the start of the run."""

    first_s: float
    last_s: float


class RunSeries(msgspec.Struct):
    """The course of a run; lines are points of (seconds since the start, value)."""

    gauges: dict[str, Points]
    connections: dict[str, list[Points]]
    """Of clients: ``expected``, and what each party counted; in pieces, where it did not count for long."""
    operations: dict[str, dict[str, dict[int, float]]]
    """Operation, then ``done``, ``failed`` or ``skipped``: how many a second in each step of time."""
    marks: dict[str, Marks]
    """Events by kind; limits by their name."""
    failures: dict[tuple[str, str], FailureTimes]
    """By operation and outcome."""


def read(folder: Path, step_s: float) -> RunSeries:
    """Reads what is there; a last line that a kill cut off is left out."""
    gauges, operations = _timeseries(folder / "timeseries.csv", step_s)
    marks, failures = _events(folder / "events.jsonl", step_s)
    return RunSeries(gauges, _connections(folder / "connections.csv"), operations, marks, failures)


def last_moment_s(folder: Path) -> float:
    """The end of the last interval that was written, in s since the start; 0 if there is none."""
    ends = (
        _number(row.get("time_s")) + _number(row.get("length_s")) for row in _rows(folder / "timeseries.csv")
    )
    return max(ends, default=0.0)


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most ``most`` points, with every stretch's lowest and highest: no peak and no dip is lost."""
    if len(points) <= most:
        return points
    size = -(-2 * len(points) // most)
    kept: Points = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept


def _timeseries(
    path: Path, step_s: float
) -> tuple[dict[str, Points], dict[str, dict[str, dict[int, float]]]]:
    gauges: dict[str, Points] = {name: [] for name in _GAUGES}
    operations: dict[str, dict[str, dict[int, float]]] = {}
    for row in _rows(path):
        start_s = _number(row.get("time_s"))
        end_s = start_s + _number(row.get("length_s"))
        for name in _GAUGES:
            if row.get(name):
                gauges[name].append((end_s, _number(row[name])))
        for name, value in row.items():
            operation, _, figure = name.rpartition(".")
            if operation in OPERATIONS and figure in _COUNTS and value not in ("", "0"):
                counts = operations.setdefault(operation, {}).setdefault(figure, {})
                step = int(start_s // step_s)
                counts[step] = counts.get(step, 0.0) + _number(value) / step_s
    return {name: thinned(points) for name, points in gauges.items()}, operations


def in_pieces(points: Points) -> list[Points]:
    """Cut where nobody counted for much longer than usual, and thinned."""
    steps = [later - at for (at, _), (later, _) in pairwise(points)]
    longest_s = max(_GAP_S, _GAP_STEPS * median(steps)) if steps else 0.0
    cuts = [place for place, step_s in enumerate(steps, 1) if step_s > longest_s]
    pieces = [points[start:end] for start, end in pairwise((0, *cuts, len(points)))]
    return [thinned(piece, max(2, MOST_POINTS * len(piece) // len(points))) for piece in pieces]


def _connections(path: Path) -> dict[str, list[Points]]:
    lines: dict[str, dict[float, float]] = {}
    for row in _rows(path):
        if row.get("column") not in _OPENED_BY_CLIENTS:
            continue
        for party in ("expected", "client", "kernel", "mock"):
            if row.get(party):
                at_s, line = _number(row["time_s"]), lines.setdefault(party, {})
                line[at_s] = line.get(at_s, 0.0) + _number(row[party])
    return {party: in_pieces(list(line.items())) for party, line in lines.items()}


def _events(path: Path, step_s: float) -> tuple[dict[str, Marks], dict[tuple[str, str], FailureTimes]]:
    marks: dict[str, Marks] = {}
    failures: dict[tuple[str, str], FailureTimes] = {}
    for line in _whole_lines(path):
        event = _event(line)
        kind, time_s = str(event.get("kind", "")), _number(event.get("time_s"))
        if not kind or kind == "phase":
            continue
        if kind == "failure":
            key = str(event.get("operation")), str(event.get("outcome"))
            times = failures.setdefault(key, FailureTimes(time_s, time_s))
            times.first_s, times.last_s = min(times.first_s, time_s), max(times.last_s, time_s)
        limit = str(event.get("limit") or "").replace("|", " or ")
        for name in (kind, f"limit: {limit}") if limit else (kind,):
            step = int(time_s // step_s)
            of_kind = marks.setdefault(name, Marks())
            of_kind.counts[step] += int(event.get("count", 1))
            of_kind.texts.setdefault(step, str(event.get("text", "")))
    return marks, failures


def _event(line: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _rows(path: Path) -> Iterable[Mapping[str, str]]:
    lines = _whole_lines(path)
    header: Sequence[str] = next(csv.reader(lines), [])
    for row in csv.reader(lines):
        if len(row) == len(header):
            yield dict(zip(header, row, strict=True))


def _whole_lines(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from (line for line in lines if line.endswith("\n"))


def _number(text: object) -> float:
    """A figure of a CSV cell; 0 where there is none."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
