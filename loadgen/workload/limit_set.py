"""Named limit sets (``profiles/limits``): what performance counters of servers have to keep to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from loadgen.errors import ProfileError
from loadgen.measure import threshold
from loadgen.measure.counters import CounterPath
from loadgen.measure.threshold import Threshold
from loadgen.workload import library
from loadgen.workload.duration import Duration


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"window": "for"}):
    r"""One limit: an aggregate of a counter, such as the mean of ``\MSExchangeIS\RPC Averaged Latency``."""

    counter: str
    """Perfmon path without the computer; the instance ``*`` is each but ``_Total``."""
    agg: Literal["mean", "max", "min", "delta", "rate"]
    """``delta`` is growth, ``rate`` growth per second."""
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: float
    unit: str = ""
    window: Duration | None = None
    """Length of the windows each of which has to hold; when left out, the whole time."""
    during: Literal["run", "measured"] = "run"
    """Which samples of a run count; of an import, all do."""
    source: str

    @property
    def path(self) -> CounterPath:
        """The counter, taken apart; raises ``ValueError``."""
        return CounterPath.parse(self.counter)

    def __str__(self) -> str:
        over = "" if self.window is None else f" for {self.window}"
        return f"{self.agg} of {self.counter} {self.op} {with_unit(self.value, self.unit)}{over}"


class LimitSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"limits": "limit"}):
    """A named set, and thresholds over the run's own figures that belong to it."""

    name: str = ""
    title: str = ""
    limits: tuple[Limit, ...] = ()
    threshold: tuple[str, ...] = ()

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The thresholds, read; raises :class:`~loadgen.errors.ProfileError`."""
        return threshold.parse_all(self.threshold)


def read_limit_set(name: str, near: Path | None = None) -> LimitSet:
    """Reads a set by its built-in name or path; raises :class:`~loadgen.errors.ProfileError`."""
    found = library.read("limits", name, LimitSet, near)
    for problem in _problems(found):
        raise ProfileError(f"{library.find('limits', name, near)}: {problem}")
    return found


def with_unit(value: float, unit: str) -> str:
    """A figure with its unit, if it has one."""
    return f"{value:.6g} {unit}".rstrip()


def _problems(found: LimitSet) -> Iterator[str]:
    if not found.limits and not found.threshold:
        yield "there is neither a [[limit]] nor a threshold"
    for place, limit in enumerate(found.limits):
        try:
            CounterPath.parse(limit.counter)
        except ValueError as error:
            yield f"limit[{place}].counter: {error}"
        if limit.window is not None and not limit.window:
            yield f"limit[{place}].for: must be longer than 0s"
    try:
        found.thresholds  # noqa: B018 - reading them is the check
    except ProfileError as error:
        yield f"threshold: {error}"
