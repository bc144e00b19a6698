"""Performance counters of servers over time: their paths, ``counters.csv``, and rates from running totals.

Values are what perfmon shows: a counter whose name says that it is a rate holds a rate.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from loadgen.errors import ProfileError

SCHEMA: Final = 1
FILE: Final = "counters.csv"
HEADER: Final = ("schema", "time_s", "server", "counter", "value")

_RATE: Final = re.compile(r"(/ ?|\bper )(sec|second|min|minute)$", re.IGNORECASE)
_MINUTE: Final = re.compile(r"min(ute)?$", re.IGNORECASE)
TOTAL_INSTANCE: Final = "_Total"


class CounterSample(NamedTuple):
    """One value; ``counter`` is a path without the server, ``time_s`` counts from the start of the file."""

    time_s: float
    server: str
    counter: str
    value: float


class CounterPath(msgspec.Struct, frozen=True):
    r"""``\Object(instance)\Counter``, as perfmon writes it without the computer."""

    object_name: str
    instance: str | None
    counter: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a path; instances may hold brackets and backslashes. Raises ``ValueError``."""
        if not text.startswith("\\"):
            raise ValueError(f"{text!r} is not \\Object\\Counter or \\Object(instance)\\Counter")
        depth, instance_from = 0, 0
        for place, char in enumerate(text[1:], 1):
            if char == "(":
                depth += 1
                instance_from = instance_from or place
            elif char == ")":
                depth -= 1
            elif char == "\\" and depth <= 0:
                return cls._of(text[1:place], instance_from, text[place + 1 :])
        raise ValueError(f"{text!r} is not \\Object\\Counter or \\Object(instance)\\Counter")

    @classmethod
    def _of(cls, left: str, instance_from: int, counter: str) -> Self:
        if not left or not counter:
            raise ValueError("a counter's path has an object and a counter, \\Object\\Counter")
        if instance_from and left.endswith(")"):
            return cls(left[: instance_from - 1], left[instance_from:-1], counter)
        return cls(left, None, counter)

    def __str__(self) -> str:
        instance = "" if self.instance is None else f"({self.instance})"
        return f"\\{self.object_name}{instance}\\{self.counter}"

    def matches(self, other: "CounterPath") -> bool:
        """Whether ``other`` is meant by this; an instance ``*`` means each but ``_Total``, which is none.

        Names differ in case from one version of Windows to another.
        """
        if (self.object_name.lower(), self.counter.lower()) != (
            other.object_name.lower(),
            other.counter.lower(),
        ):
            return False
        if self.instance == "*":
            return other.instance is not None and other.instance.lower() != TOTAL_INSTANCE.lower()
        return (self.instance or "").lower() == (other.instance or "").lower()


class Cooker:
    """Makes rates of running totals, as perfmon does: growth since the last reading, by the time between."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], tuple[float, float]] = {}

    def cook(self, time_s: float, server: str, raw: Mapping[str, float]) -> list[CounterSample]:
        """One reading of a server; what is a rate needs a reading before, and starts anew with its server."""
        samples = []
        for counter, value in raw.items():
            if not is_rate(counter):
                samples.append(CounterSample(time_s, server, counter, value))
                continue
            before = self._before.get((server, counter))
            if before is not None and time_s <= before[0]:
                continue
            self._before[server, counter] = (time_s, value)
            if before is None or value < before[1]:
                continue
            per = 60.0 if _MINUTE.search(counter) else 1.0
            rate = (value - before[1]) / (time_s - before[0]) * per
            samples.append(CounterSample(time_s, server, counter, rate))
        return samples


def is_rate(counter: str) -> bool:
    """Whether a counter's name says that it is a rate."""
    return _RATE.search(counter) is not None


def rows(samples: Iterable[CounterSample]) -> Iterator[tuple[object, ...]]:
    """Samples as rows of ``counters.csv``."""
    for sample in samples:
        yield SCHEMA, f"{sample.time_s:.3f}", sample.server, sample.counter, f"{sample.value:.10g}"


def read(path: Path) -> Iterator[CounterSample]:
    """The samples of a ``counters.csv``, one at a time; a last line that was cut off is left out.

    Raises :class:`~loadgen.errors.ProfileError` with the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(line for line in file if line.endswith("\n"))
            if next(reader, None) != list(HEADER):
                raise ProfileError(f"{path}: line 1: the header is not {','.join(HEADER)}")
            for row in reader:
                yield _sample(path, reader.line_num, row)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path}: is not UTF-8: {error.reason}") from None


def _sample(path: Path, line: int, row: list[str]) -> CounterSample:
    try:
        _, time_s, server, counter, value = row
        return CounterSample(float(time_s), server, counter, float(value))
    except ValueError:
        raise ProfileError(f"{path}: line {line}: is not {','.join(HEADER)}") from None
