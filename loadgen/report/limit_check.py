"""A limit set held against counters, whatever they come from: a mock, an exporter, an imported perfmon log.

Samples are taken one at a time, and of those no more is kept than a limit's window holds.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from loadgen.measure.counters import CounterPath, CounterSample
from loadgen.measure.threshold import OPERATORS, badness
from loadgen.workload.limit_set import Limit, LimitSet, with_unit

_TOLERANCE: Final = 0.99
"""Samples are never quite on time: a window of 60 s is complete after 59.4 s."""


class LimitResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a limit fared on one server; times in seconds since the run, or the import, began.

    ``counter`` is the one that is furthest from the limit, where several instances are meant.
    """

    limit: str
    source: str
    server: str = ""
    counter: str
    held: bool | None
    """None if it was not measured."""
    measured: float | None = None
    from_s: float | None = None
    until_s: float | None = None
    why: str = ""
    """Why it does not hold, or why it was not measured."""


def none_measured(name: str, results: Sequence[LimitResult]) -> str:
    """Why nobody knows whether a set is met, if none of its limits was measured on any server; else ""."""
    if not results or any(result.held is not None for result in results):
        return ""
    counters = len({result.counter for result in results})
    is_there = any(result.server for result in results)
    advice = "measure for longer" if is_there else "give counters_url or another set"
    return f"limit_set {name}: none of its {counters:,} counters was measured; {advice}"


def some_unmeasured(limit_set: LimitSet, results: Iterable[LimitResult]) -> str:
    """How many counters of a set no limit of it was held against, on any server; "" if there are none."""
    measured = {result.limit for result in results if result.held is not None}
    seen = {limit.counter for limit in limit_set.limits if str(limit) in measured}
    counters = {limit.counter for limit in limit_set.limits}
    if seen == counters:
        return ""
    few = f"not measured are {len(counters - seen):,} of its {len(counters):,} counters"
    return f"limit_set {limit_set.name}: {few}, whose limits have not passed."


class LimitCheck:
    """A limit set over samples in the order of their time."""

    def __init__(self, limit_set: LimitSet) -> None:
        self.limit_set = limit_set
        self._limits = [(limit, limit.path) for limit in limit_set.limits]
        self._series: dict[tuple[str, str], list[_Series]] = {}
        self._measured: tuple[float, float] | None = None
        self._later: LimitCheck | None = None

    def measure_between(self, from_s: float, until_s: float) -> None:
        """Says when the measured phase of a run is; until then no sample is of it."""
        self._measured = (from_s, until_s)

    def from_now_on(self) -> "LimitCheck":
        """The same limits over what comes from now on alone, all of it measured; only one at a time."""
        self._later = LimitCheck(self.limit_set)
        self._later.measure_between(float("-inf"), float("inf"))
        return self._later

    def wants(self, counter: str) -> bool:
        """Whether any limit is about this counter."""
        return any(True for _ in self._about(counter))

    def add(self, sample: CounterSample) -> None:
        """Takes one sample in."""
        if self._later is not None:
            self._later.add(sample)
        key = (sample.server, sample.counter)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = [_Series(limit) for limit in self._about(sample.counter)]
        for each in series:
            if each.limit.during == "run" or self._is_measured(sample.time_s):
                each.add(sample.time_s, sample.value)

    def add_imported(self, sample: CounterSample) -> None:
        """Takes a sample of an import in: all of them count as measured."""
        self._measured = (float("-inf"), float("inf"))
        self.add(sample)

    def results(self) -> tuple[LimitResult, ...]:
        """Each limit with each server that has the counter; one that nobody provides stands for itself."""
        return tuple(result for limit, _ in self._limits for result in self._results(limit))

    def _is_measured(self, time_s: float) -> bool:
        return self._measured is not None and self._measured[0] <= time_s <= self._measured[1]

    def _about(self, counter: str) -> Iterator[Limit]:
        try:
            path = CounterPath.parse(counter)
        except ValueError:
            return
        yield from (limit for limit, pattern in self._limits if pattern.matches(path))

    def _results(self, limit: Limit) -> Iterator[LimitResult]:
        by_server: dict[str, list[tuple[str, _Series]]] = {}
        for (server, counter), series in self._series.items():
            for each in series:
                if each.limit is limit:
                    by_server.setdefault(server, []).append((counter, each))
        if not by_server:
            yield _unmeasured(limit, "", limit.counter, "not measured: nobody provides the counter")
        for server, found in sorted(by_server.items()):
            looked = [
                (counter, found_at) for counter, each in found if (found_at := each.worst()) is not None
            ]
            if not looked:
                span = "two samples" if limit.window is None else str(limit.window)
                why = f"not measured: there is less than {span} of it"
                yield _unmeasured(limit, server, limit.counter, why)
                continue
            counter, at = max(looked, key=lambda each: badness(limit.op, limit.value, each[1].value))
            yield _result(limit, server, counter, at)


class _Window(msgspec.Struct, frozen=True):
    value: float
    from_s: float
    until_s: float


class _Series:
    """One counter of one server under one limit."""

    __slots__ = ("_grown", "_last", "_samples", "_seen", "_sum", "_worst", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._samples: deque[tuple[float, float, float]] = deque()
        """Time, value and growth since the sample before; kept for windows only."""
        self._last: tuple[float, float] | None = None
        self._seen: tuple[int, float] = (0, 0.0)
        """How many samples there were, and the time of the first."""
        self._sum = self._grown = 0.0
        self._worst: _Window | None = None

    def add(self, time_s: float, value: float) -> None:
        before_s, before = self._last or (time_s, value)
        # A counter that falls has started anew: all that it shows is new.
        growth = value - before if value >= before else value
        self._last = (time_s, value)
        count, first_s = self._seen
        self._seen = (count + 1, first_s if count else time_s)
        if self.limit.window is None:
            self._sum += value
            self._grown += growth
            self._keep_extreme(time_s, value)
        else:
            self._samples.append((time_s, value, growth))
            self._look(time_s - before_s, float(self.limit.window))

    def worst(self) -> _Window | None:
        """The worst window, or the aggregate of the whole time; None if there are not enough samples."""
        count, first_s = self._seen
        if self.limit.window is not None or self.limit.agg in ("max", "min"):
            return self._worst
        if not count or self._last is None:
            return None
        until_s = self._last[0]
        if self.limit.agg == "mean":
            return _Window(self._sum / count, first_s, until_s)
        if until_s <= first_s:
            return None
        grown = self._grown if self.limit.agg == "delta" else self._grown / (until_s - first_s)
        return _Window(grown, first_s, until_s)

    def _keep_extreme(self, time_s: float, value: float) -> None:
        sign = {"max": 1, "min": -1}.get(self.limit.agg)
        if sign and (self._worst is None or sign * value > sign * self._worst.value):
            self._worst = _Window(value, time_s, time_s)

    def _look(self, step_s: float, length_s: float) -> None:
        """A sample stands for the time since the one before it."""
        samples, enough_s = self._samples, length_s * _TOLERANCE
        while len(samples) > 1 and samples[-1][0] - samples[1][0] + step_s >= enough_s:
            samples.popleft()
        if step_s <= 0 or samples[-1][0] - samples[0][0] + step_s < enough_s:
            return
        value = self._of_window()
        op, limit = self.limit.op, self.limit.value
        if self._worst is None or badness(op, limit, value) > badness(op, limit, self._worst.value):
            self._worst = _Window(value, samples[0][0], samples[-1][0])

    def _of_window(self) -> float:
        values = [value for _, value, _ in self._samples]
        match self.limit.agg:
            case "mean":
                return sum(values) / len(values)
            case "max":
                return max(values)
            case "min":
                return min(values)
        grown = sum(growth for _, _, growth in list(self._samples)[1:])
        if self.limit.agg == "delta":
            return grown
        return grown / max(self._samples[-1][0] - self._samples[0][0], 1e-9)


def _unmeasured(limit: Limit, server: str, counter: str, why: str) -> LimitResult:
    return LimitResult(
        limit=str(limit), source=limit.source, server=server, counter=counter, held=None, why=why
    )


def _result(limit: Limit, server: str, counter: str, at: _Window) -> LimitResult:
    held = OPERATORS[limit.op](at.value, limit.value)
    return LimitResult(
        limit=str(limit),
        source=limit.source,
        server=server,
        counter=counter,
        held=held,
        measured=at.value,
        from_s=round(at.from_s, 3),
        until_s=round(at.until_s, 3),
        why="" if held else _why(limit, server, counter, at),
    )


def _why(limit: Limit, server: str, counter: str, at: _Window) -> str:
    whose = f"{server}: " if server else ""
    over = "" if limit.window is None else f" in {limit.window}"
    when = (
        f" at {at.from_s:.0f} s"
        if at.from_s == at.until_s
        else f" from {at.from_s:.0f} s to {at.until_s:.0f} s"
    )
    wanted = f"{limit.op} {with_unit(limit.value, limit.unit)}"
    return f"{whose}{limit.agg} of {counter}{over} is {with_unit(at.value, limit.unit)}{when}, not {wanted}"
