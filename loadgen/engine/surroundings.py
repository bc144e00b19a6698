"""What all users of one shard share: time, the books, the way to the target, the cap on unfinished work."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loadgen.client.account import Account
from loadgen.engine.barrier import Gate
from loadgen.engine.client import Connect
from loadgen.engine.pace import Pace
from loadgen.engine.timers import ScheduleTimers, TimerHeap
from loadgen.measure.recorder import Recorder


class Admission:
    """Caps operations that wait or run; beyond it an arrival is skipped, never queued for a later burst."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.unfinished = 0
        self.polls = 0
        """How many of the unfinished are polls, which never end and which no drain waits for."""

    def enter(self, operation: str) -> bool:
        """Takes a place, if there is one."""
        if self.unfinished >= self.capacity:
            return False
        self.unfinished += 1
        self.polls += operation == "poll_mailbox"
        return True

    def leave(self, operation: str) -> None:
        """Gives the place back."""
        self.unfinished -= 1
        self.polls -= operation == "poll_mailbox"


class Surroundings:
    """One per event loop. ``speed`` is simulated seconds per real second.

    ``account`` gives the account of any user of the population, those of other shards included.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int],
        recorder: Recorder,
        connect: Connect,
        account: Callable[[int], Account],
        speed: float,
        capacity: int,
        log_ons: Pace | None = None,
        sends: Pace | None = None,
        stamp: str = "",
    ) -> None:
        self.stamp = stamp
        """What the keys of this run's messages begin with; nobody else's are touched."""
        self.log_ons, self.sends = log_ons or Pace(), sends or Pace()
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.timers = TimerHeap(self.loop, clock)
        """Of what goes on during a pause, too: logging on and off, and what is under way."""
        self.schedule = ScheduleTimers(self.loop, clock)
        """Of what users do of their own accord."""
        self.recorder = recorder
        self.connect = connect
        self.account = account
        self.speed = speed
        self.poll_speed = speed
        """How much faster than real time users poll; see :func:`loadgen.engine.phases.poll_speed`."""
        self.admission = Admission(capacity)
        self.gate = Gate()
        self.logged_on = 0
        """How many of the shard's users are logged on."""
        self.present: int | None = None
        """How many users of the population there are to be, from the first on; None for all."""
        self.day: tuple[int, int] | None = None
        """The measured phase that has begun or is about to, in the schedule's time: who comes, joins it."""
        self.reactions = 0
        """Messages that users will read or delete when they have thought long enough."""
        self.bug: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop.set_exception_handler(self._unhandled)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs ``work`` as a task of this shard; what it raises is a bug of ours, which stops the run."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel_all(self) -> None:
        """Ends everything that is under way, and waits until it has."""
        self.timers.clear()
        self.schedule.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._note_bug(error)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of ours, or of a protocol below, raised what nobody expected."""
        if isinstance(error := context.get("exception"), Exception):
            self._note_bug(error)
        else:
            loop.default_exception_handler(context)

    def _note_bug(self, error: BaseException) -> None:
        self.bug = self.bug or error
