"""Thresholds over windows: each stretch of a length in the measured phase has to hold by itself.

An operation counts in the interval in which it ended. Latencies of what was due in the measured phase and
ended after it belong to the last window, so that a stall at the very end does not get lost.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from loadgen.measure.histogram import PERCENTILES, Histogram
from loadgen.measure.recorder import ALWAYS_TIMED
from loadgen.measure.sample import OPERATIONS
from loadgen.measure.threshold import Number, Threshold, Worst, badness
from loadgen.measure.totals import Totals

MOST_PANES: Final = 60
"""A window advances by a 60th of its length, or by an interval if that is longer: memory stays bounded."""

_NS_PER_S: Final = 1e9
_RUNNING: Final[Mapping[str, Callable[[Totals], int]]] = {
    "users.refused": lambda totals: totals.users_refused,
    "users.reconnects": lambda totals: totals.reconnects,
    "users.lost": lambda totals: totals.users_lost,
    "connections.lost": lambda totals: totals.connections_lost,
}
"""What is counted since the run began: a window holds by how much it grew."""


class _Pane(msgspec.Struct):
    """A part of a window: one interval, or several in a long window."""

    started_ns: int
    ended_ns: int
    count: int = 0
    times: Histogram | None = None

    def add(self, other: "_Pane") -> None:
        """Takes in what follows."""
        self.ended_ns = other.ended_ns
        self.count += other.count
        if other.times is not None:
            self.times = self.times or Histogram()
            self.times.add(other.times)


class WindowWatch:
    """One threshold over all windows of its length. Times are those of the monotonic clock."""

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._length_ns = round(threshold.over_s * _NS_PER_S)
        self._panes: deque[_Pane] = deque()
        self._grown_from = 0
        self.worst: tuple[Number, int, int] | None = None
        """Value, beginning and end of the worst window so far; None while none was complete or measured."""
        self.last: tuple[Number, int, int] | None = None
        """The same of the last window."""

    def begin(self, totals: Totals) -> None:
        """The measured phase begins: what was counted before it is in no window."""
        if running := _RUNNING.get(self._threshold.path):
            self._grown_from = running(totals)

    def add(self, interval: Totals, totals: Totals, started_ns: int, ended_ns: int) -> None:
        """Takes one more interval of the measured phase in; ``totals`` are those since the run began."""
        pane = self._pane(interval, totals, started_ns, ended_ns)
        step_ns = self._length_ns / MOST_PANES
        if self._panes and self._panes[-1].ended_ns - self._panes[-1].started_ns < step_ns * 0.99:
            self._panes[-1].add(pane)
        else:
            self._panes.append(pane)
        # Intervals are cut by a clock that is never quite on time.
        enough_ns = self._length_ns - min(step_ns, ended_ns - started_ns) / 2
        while len(self._panes) > 1 and ended_ns - self._panes[1].started_ns >= enough_ns:
            self._panes.popleft()
        if ended_ns - self._panes[0].started_ns >= enough_ns:
            self._look()

    def add_late(self, interval: Totals) -> None:
        """Puts latencies of what ended after the measured phase to the account of its last window."""
        if self.last is None:
            return
        times = self._times(interval)
        if times is not None and times.count:
            end_ns = self._panes[-1].ended_ns
            self._panes[-1].add(_Pane(end_ns, end_ns, times=times))
            self._look()

    def _look(self) -> None:
        value = self._value()
        if value is None:
            return
        self.last = (value, self._panes[0].started_ns, self._panes[-1].ended_ns)
        op, number = self._threshold.op, self._threshold.number
        if self.worst is None or badness(op, number, value) > badness(op, number, self.worst[0]):
            self.worst = self.last

    def _pane(self, interval: Totals, totals: Totals, started_ns: int, ended_ns: int) -> _Pane:
        pane = _Pane(started_ns, ended_ns)
        path = self._threshold.path.split(".")
        if running := _RUNNING.get(self._threshold.path):
            pane.count, self._grown_from = running(totals) - self._grown_from, running(totals)
        elif (times := self._times(interval)) is not None:
            pane.times = times
        elif path[0] == "failures":
            pane.count = sum(
                failure.count for failure in interval.failures.values() if failure.outcome == path[1]
            )
        else:
            pane.count = getattr(interval.counts[path[1]], path[2])
        return pane

    def _times(self, interval: Totals) -> Histogram | None:
        """A copy of the histogram that the threshold is about; None if it is about a count."""
        match self._threshold.path.split("."):
            case ["operations", operation, "response_ms" | "service_ms" as kind, _]:
                return interval.merged((f"{operation}.{kind.removesuffix('_ms')}",))
            case ["set_up", layer, _]:
                return interval.merged((f"{layer}.service",))
            case ["generator", "lag_ms", _]:
                return interval.merged(f"{name}.lag" for name in OPERATIONS if name not in ALWAYS_TIMED)
        return None

    def _value(self) -> Number | None:
        parts = [pane.times for pane in self._panes if pane.times is not None]
        if not parts:
            return sum(pane.count for pane in self._panes)
        whole = Histogram()
        for part in parts:
            whole.add(part)
        if not whole.count:
            return None
        figure = self._threshold.path.rpartition(".")[2]
        if figure == "max":
            return whole.max_us / 1000
        return whole.percentiles_us((PERCENTILES[figure],))[PERCENTILES[figure]] / 1000


class Windows:
    """All thresholds of a run that are over windows; the others are left out.

    Times may be of a clock that stands now and then; ``real`` makes real ones of them.
    """

    def __init__(
        self,
        thresholds: Iterable[Threshold],
        origin_ns: int,
        real: Callable[[int], int] = lambda at_ns: at_ns,
    ) -> None:
        self._watches = {each: WindowWatch(each) for each in thresholds if each.over_s}
        self._origin_ns = origin_ns
        self._real = real
        self._from_ns = self._until_ns = 0

    def measure_between(self, from_ns: int, until_ns: int, totals: Totals) -> None:
        """Says when the measured phase is; ``totals`` are those until now."""
        self._from_ns, self._until_ns = from_ns, until_ns
        for watch in self._watches.values():
            watch.begin(totals)

    def add(self, interval: Totals, totals: Totals, started_ns: int, ended_ns: int) -> None:
        """Takes an interval of any phase in; one that lies across an edge is as long as it is inside."""
        if not self._watches or not self._until_ns or ended_ns <= self._from_ns:
            for watch in self._watches.values():
                watch.begin(totals)
            return
        inside = max(started_ns, self._from_ns), min(ended_ns, self._until_ns)
        for watch in self._watches.values():
            if inside[0] < inside[1]:
                watch.add(interval, totals, *inside)
            else:
                watch.add_late(interval)

    def worst(self) -> dict[Threshold, Worst]:
        """The worst window so far of each threshold that was over a whole one."""
        return {
            threshold: self._told(watch.worst)
            for threshold, watch in self._watches.items()
            if watch.worst is not None
        }

    def broken(self) -> str:
        """How the last window broke the first threshold that it did break; "" if it broke none."""
        for threshold, watch in self._watches.items():
            if watch.last is not None:
                last = {threshold: self._told(watch.last)}
                if why := threshold.check({}, last).why:
                    return why
        return ""

    def _told(self, window: tuple[Number, int, int]) -> Worst:
        value, started_ns, ended_ns = window
        return Worst(value, self._seconds(started_ns), self._seconds(ended_ns))

    def _seconds(self, at_ns: int) -> float:
        return round((self._real(at_ns) - self._origin_ns) / _NS_PER_S, 3)
