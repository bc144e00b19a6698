"""One timer for all connections of an event loop: an idle one would else spend half a kilobyte on its own."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final, Protocol

_EARLY_S: Final = 0.001  # loops round to milliseconds


class Sleeper(Protocol):
    """Something that is to be woken; ``alarm_at`` says which of the alarms set for it still counts."""

    alarm_at: float

    def wake(self, now: float) -> None:
        """It is ``alarm_at``, or later."""


class AlarmClock:
    """A heap of alarms over one timer of the loop. Alarms are not cancelled: outdated ones are ignored."""

    __slots__ = ("_alarms", "_call_at", "_order", "_time", "_timer", "_timer_at")

    def __init__(
        self, time: Callable[[], float], call_at: Callable[[float, Callable[[], None]], asyncio.TimerHandle]
    ) -> None:
        self._time = time
        self._call_at = call_at
        self._alarms: list[tuple[float, int, Sleeper]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def set(self, sleeper: Sleeper, when: float) -> None:
        """Wake ``sleeper`` at ``when``, and at no other time."""
        sleeper.alarm_at = when
        heappush(self._alarms, (when, next(self._order), sleeper))
        self._arm(when)

    def _arm(self, when: float) -> None:
        if when < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()  # or it would ring as well, and set another one, for ever
            self._timer_at = when
            self._timer = self._call_at(when, self._ring)

    def _ring(self) -> None:
        """Wake all that is due, each at its own time if the timer was a little early."""
        alarms = self._alarms
        now = self._time()
        self._timer_at = -inf  # what is set meanwhile needs no timer of its own
        try:
            while alarms and alarms[0][0] <= now + _EARLY_S:
                when, _, sleeper = heappop(alarms)
                if sleeper.alarm_at == when:
                    sleeper.alarm_at = inf
                    sleeper.wake(max(now, when))
        finally:
            self._timer, self._timer_at = None, inf
            if alarms:
                self._arm(alarms[0][0])


_CLOCKS: Final[dict[asyncio.AbstractEventLoop, AlarmClock]] = {}


def alarm_clock() -> AlarmClock:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    clock = _CLOCKS.get(loop)
    if clock is None:
        for closed in [old for old in _CLOCKS if old.is_closed()]:
            del _CLOCKS[closed]
        clock = _CLOCKS[loop] = AlarmClock(loop.time, loop.call_at)
    return clock
