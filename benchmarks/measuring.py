"""How the benchmarks measure: time on a processor, never time that passes, of this process and of others.

Subjects take turns, so that a change of the machine's speed meets them all, and ratios are taken within each
round. What is compared is the median of these ratios; what is printed of one subject is its least figure.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import uvloop

from tests.prove.processes import cpu_ns

SETTLE_S = 0.03
"""After the last answer other processes still have something to do."""


@dataclass
class Meter:
    """Processor time of one subject, in µs per repetition: its ``own``, and that of all processes."""

    others: tuple[int, ...]
    own_us: list[float] = field(default_factory=list)
    whole_us: list[float] = field(default_factory=list)
    repetitions: int = 1

    def over(self, repetitions: int) -> "Meter":
        """``with meter.over(10):`` encloses ten repetitions."""
        self.repetitions = repetitions
        return self

    def __enter__(self) -> None:
        gc.collect()  # nobody pays for what another left behind
        self._others_ns = self._read()
        self._own_ns = time.process_time_ns()

    def __exit__(self, *_: object) -> None:
        own_ns = time.process_time_ns() - self._own_ns
        if self.others:
            time.sleep(SETTLE_S)
        others_ns = self._read() - self._others_ns
        self.own_us.append(own_ns / self.repetitions / 1000)
        self.whole_us.append((own_ns + others_ns) / self.repetitions / 1000)

    def _read(self) -> int:
        return sum(map(cpu_ns, self.others))


Subject = Callable[[Meter], Coroutine[Any, Any, None]]
"""Prepares, repeats what it is about within ``meter.over(…)``, and cleans up."""


def in_turns(subjects: Iterable[tuple[Subject, Meter]], rounds: int) -> None:
    """Every subject once in each round, on an event loop like the generator's; one more round warms up."""
    subjects = tuple(subjects)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for subject, meter in subjects:
            runner.run(subject(meter))
            meter.own_us.clear()
            meter.whole_us.clear()
        gc.freeze()
        for _ in range(rounds):
            for subject, meter in subjects:
                runner.run(subject(meter))


def ratio(dividends: list[float], divisors: list[float]) -> float:
    """How many times one figure is another: within each round, then the median of all rounds."""
    return median(dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True))


def heading(text: str, unit: str, of: str) -> None:
    """The first line of a table whose other lines are written by :func:`line`."""
    print(f"\n{text}")
    print(f"{'least CPU in ' + unit:44}{'client':>10}{of:>10}{'whole':>12}{of:>10}")


def line(name: str, meter: Meter, reference: Meter, per: float = 1.0) -> None:
    """One subject, and how many times the reference it is. ``per`` µs are the table's unit."""
    own, whole = min(meter.own_us) / per, min(meter.whole_us) / per
    print(
        f"{name:44}{own:10.2f}{ratio(meter.own_us, reference.own_us):10.1f}"
        f"{whole:12.2f}{ratio(meter.whole_us, reference.whole_us):10.1f}"
    )
