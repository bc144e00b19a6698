"""The servers' performance counters as a run goes: asked for, written down, held against a limit set."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from loadgen.errors import PeerError
from loadgen.measure.counters import Cooker, CounterSample
from loadgen.measure.server_counters import AskCounters
from loadgen.measure.store import RunStore
from loadgen.report.limit_check import LimitCheck

EVERY_S: Final = 5.0
"""As often as Microsoft's own collectors sample (ExPerfWiz, SimplePerf)."""


def every_s(measured_s: float) -> float:
    """How often to take a sample, so that a short run has some of its measured phase, too."""
    return min(EVERY_S, max(1.0, measured_s / 12))


class CounterLog:
    """Asks all sources, and writes what they say to ``counters.csv``.

    ``origin_ns`` is the monotonic time when the run began.

    A source that cannot be asked is no reason to stop: its counters are missing, and that is told once.
    """

    def __init__(
        self,
        store: RunStore,
        sources: Sequence[AskCounters],
        check: LimitCheck | None,
        origin_ns: int,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._sources = sources
        self._check = check
        self._every_ns = round(every_s * 1e9)
        self._clock = clock
        self._cooker = Cooker()
        self._origin_ns = self._next_ns = origin_ns
        self._is_told: set[int] = set()

    async def look(self, *, at_once: bool = False) -> list[str]:
        """Takes a sample of everything if it is time for one, or ``at_once``; returns new problems.

        Raises :class:`~loadgen.measure.store.ResultsError`.
        """
        now_ns = self._clock()
        if now_ns < self._next_ns and not at_once:
            return []
        self._next_ns = now_ns + self._every_ns
        samples: list[CounterSample] = []
        problems = []
        for number, ask in enumerate(self._sources):
            try:
                found = await ask()
            except PeerError as error:
                if number not in self._is_told:
                    problems.append(str(error))
                self._is_told.add(number)
                continue
            time_s = (self._clock() - self._origin_ns) / 1e9
            for server, raw in found.items():
                samples += self._cooker.cook(time_s, server, raw)
        self._store.write_counters(samples)
        if self._check is not None:
            for sample in samples:
                self._check.add(sample)
        return problems
