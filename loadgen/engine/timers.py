"""One heap of due times for a whole population, so that an idle user costs no task and no loop timer."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from loadgen.engine.standing_clock import StandingClock

_NS_PER_MS = 1_000_000

Callback = Callable[[int, int], None]
"""Takes when it was due and when it fired; the difference is the generator's own lag."""


class Timer:
    """Something that is due once; :meth:`cancel` makes it never happen."""

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callback) -> None:
        self.due_ns = due_ns
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Forget the callback; the heap drops the entry when it comes up."""
        self.callback = None


class TimerHeap:
    """Calls back when due, in the order (due time, order of asking).

    ``clock`` gives nanoseconds on the scale of the due times.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], int]) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        self._armed_ns = 0
        self._is_held = False

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due_ns: int, callback: Callback) -> Timer:
        """Call ``callback(due_ns, fired_ns)`` at ``due_ns``, or as soon as possible when that has passed."""
        timer = Timer(due_ns, callback)
        heappush(self._heap, (due_ns, next(self._order), timer))
        if self._handle is None or due_ns < self._armed_ns:
            self._arm()
        return timer

    def clear(self) -> None:
        """Forget everything that is due."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def hold(self) -> None:
        """Call nobody until :meth:`release`."""
        self._is_held = True
        self._arm()

    def release(self) -> None:
        """Go on calling."""
        self._is_held = False
        self._arm()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._is_held or not self._heap:
            return
        self._armed_ns = self._heap[0][0]
        # uvloop rounds a delay to whole milliseconds, possibly down: rounding up first keeps a timer from
        # coming early and spinning until it is due.
        delay_ms = max(0, -((self._clock() - self._armed_ns) // _NS_PER_MS))
        self._handle = self._loop.call_later(delay_ms / 1000, self._fire)

    def _fire(self) -> None:
        self._handle = None
        heap = self._heap
        while heap and heap[0][0] <= (now_ns := self._clock()):
            due_ns, _, timer = heappop(heap)
            if timer.callback is not None:
                timer.callback(due_ns, now_ns)
        self._arm()


class ScheduleTimers:
    """Timers of what comes along the schedule. Due times are the schedule's; callbacks get real ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], int]) -> None:
        self.time = StandingClock(clock)
        """The schedule's time."""
        self._heap = TimerHeap(loop, self.time)

    def at(self, due_ns: int, callback: Callback) -> Timer:
        """As :meth:`TimerHeap.at`; during a pause nothing falls due."""
        real = self.time.real
        return self._heap.at(due_ns, lambda due, fired: callback(real(due), real(fired)))

    def clear(self) -> None:
        """Forget everything that is due."""
        self._heap.clear()

    def pause(self) -> None:
        """Stops the schedule, if it is not stopped."""
        self.time.stop()
        self._heap.hold()

    def resume(self) -> tuple[int, int] | None:
        """Goes on as :meth:`StandingClock.go` does."""
        stood = self.time.go()
        self._heap.release()
        return stood
