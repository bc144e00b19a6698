"""The users of one shard: logs them on and off, tells them the phase, and knows their states."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from loadgen.engine.day import Day
from loadgen.engine.phases import AFTER_MEASURE, BACKGROUND, DRAIN, HOLD, MEASURE, poll_speed
from loadgen.engine.surroundings import Surroundings
from loadgen.engine.user import User
from loadgen.measure.recorder import Gauges
from loadgen.workload.arrival import Schedule
from loadgen.workload.campaign import Campaign, Population

NS_PER_S: Final = 1_000_000_000
USERS_PER_TURN: Final = 500
"""How many users are walked through before the loop gets its turn again (about a millisecond)."""


Step = Callable[[User, int], Coroutine[Any, Any, None]]
"""What is to be done with one user; takes the time at which it was due."""


class StateCount(msgspec.Struct, frozen=True, gc=False):
    """How many users of one group are logged on, with the connections of start-up or without."""

    group: int
    starting: bool
    users: int


class LivePopulation:
    """Users ``indices`` of a population. Every command returns at once; :attr:`pending` says when it is done.

    Times are nanoseconds of the shard's clock.
    """

    def __init__(
        self, campaign: Campaign, population: Population, indices: Sequence[int], around: Surroundings
    ) -> None:
        self._around = around
        self._startup = campaign.startup == "on"
        self._startup_hold_ns = round(campaign.startup_hold * NS_PER_S)
        self._schedule = Schedule(campaign, population)
        self._group_numbers = {id(group): number for number, group in enumerate(population.groups)}
        self.users = [User(index, population.group_of(index), around) for index in indices]
        closed = campaign.shape == "closed"
        self._days = [Day(user, self._schedule, closed=closed, around=around) for user in self.users]
        # What the warm-up leaves to be read in the measured phase stands for what that one leaves behind.
        self._books_late_work = not campaign.warmup
        self._phase = ""
        self._marked_ns = around.clock()
        self._steps_due = 0
        self._steps_running = 0
        self.first_refusal = ""
        """Why the first user could not log on, if he was alone to try."""

    @property
    def pending(self) -> int:
        """Users with whom the commands so far have still to do."""
        return self._steps_due + self._steps_running

    def log_on_first(self) -> None:
        """Logs the first user on, alone."""
        self._spread(self.users[:1], lambda _: self._around.clock(), self._log_on_alone)

    def ramp(self, start_ns: int) -> None:
        """Logs on all who have not tried yet, along the campaign's ramp."""
        away = [user for user in self.users if user.state == "away"]
        self._spread(away, lambda user: start_ns + self._schedule.log_on_ns(user.index), self._log_on)

    def end_startup(self, start_ns: int) -> None:
        """Closes each user's start-up connections when they have been held long enough."""
        starting = [user for user in self.users if user.starting]
        self._spread(
            starting, lambda user: max(start_ns, user.logged_on_ns + self._startup_hold_ns), self._end_startup
        )

    def begin_day(self, origin_ns: int, until_ns: int) -> None:
        """Starts the schedules; the measured phase is from ``origin_ns`` to ``until_ns``."""
        self._around.recorder.measure_between(origin_ns, until_ns)
        for day in self._days:
            if day.user.state in ("logged_on", "lost"):
                day.begin(origin_ns, until_ns)

    def enter(self, phase: str) -> None:
        """Books traffic up to now under the old phase, from now on under the new one."""
        for user in self.users:
            self._mark(user, self._seconds_idle())
        self._marked_ns = self._around.clock()
        self._phase = phase
        self._around.poll_speed = poll_speed(phase, self._around.speed)
        if phase == DRAIN:
            for day in self._days:
                day.end_schedule()
                day.poll_anew()
        working = phase == MEASURE or (phase in AFTER_MEASURE and self._books_late_work)
        for user in self.users:
            user.background, user.working = BACKGROUND[phase], working

    def log_off(self, start_ns: int, over_s: float) -> None:
        """Logs everybody off, evenly over ``over_s``; nothing else becomes due any more."""
        self._around.timers.clear()
        self._steps_due = 0
        for day in self._days:
            day.end_schedule()
        step_ns = over_s * NS_PER_S / max(1, len(self.users))
        due_ns = {user.index: start_ns + int(place * step_ns) for place, user in enumerate(self.users)}
        self._spread(self.users, lambda user: due_ns[user.index], self._log_off)

    def abort(self) -> None:
        """Cuts every connection at once."""
        for user in self.users:
            user.abort()

    def states(self) -> list[StateCount]:
        """Logged-on users by group and whether they are still starting."""
        counted = Counter(
            (self._group_numbers[id(user.group)], user.starting)
            for user in self.users
            if user.state == "logged_on"
        )
        return [StateCount(group, starting, users) for (group, starting), users in sorted(counted.items())]

    async def gauges(self) -> Gauges:
        """The users' part of the gauges; walks through them in steps, so that the loop is not stalled."""
        states: Counter[str] = Counter()
        virtual: Counter[str] = Counter()
        connections_lost = 0
        idle_s, self._marked_ns = self._seconds_idle(), self._around.clock()
        for place, user in enumerate(self.users, 1):
            states[user.state] += 1
            connections_lost += user.connections_lost
            if user.client is not None:
                virtual.update(user.client.virtual_connections)
                self._mark(user, idle_s)
            if place % USERS_PER_TURN == 0:
                await asyncio.sleep(0)
        return Gauges(
            users_logged_on=states["logged_on"],
            users_refused_total=states["refused"],
            users_lost_total=states["lost"],
            virtual_connections=dict(virtual),
            connections_lost_total=connections_lost,
            unfinished=self._around.admission.unfinished,
        )

    def _mark(self, user: User, idle_s: float) -> None:
        user.mark_traffic(user.background, idle_s if user.state == "logged_on" else 0.0)

    def _seconds_idle(self) -> float:
        """User seconds since traffic was last booked; they count in the hold alone."""
        return (self._around.clock() - self._marked_ns) / NS_PER_S if self._phase == HOLD else 0.0

    async def _log_on_alone(self, user: User, due_ns: int) -> None:
        self.first_refusal = await user.log_on(due_ns, startup=self._startup)

    async def _log_on(self, user: User, due_ns: int) -> None:
        self._around.recorder.lag("log_on", due_ns, self._around.clock())
        await user.log_on(due_ns, startup=self._startup)

    async def _end_startup(self, user: User, _due_ns: int) -> None:
        await user.end_startup()

    async def _log_off(self, user: User, due_ns: int) -> None:
        self._around.recorder.lag("log_off", due_ns, self._around.clock())
        await user.log_off(due_ns)

    def _spread(self, users: Sequence[User], due: Callable[[User], int], step: Step) -> None:
        self._steps_due += len(users)
        for user in users:
            self._around.timers.at(due(user), self._starter(user, step))

    def _starter(self, user: User, step: Step) -> Callable[[int, int], None]:
        async def take_step(due_ns: int) -> None:
            try:
                await step(user, due_ns)
            finally:
                self._steps_running -= 1

        def start(due_ns: int, _fired_ns: int) -> None:
            self._steps_due -= 1
            self._steps_running += 1
            self._around.spawn(take_step(due_ns))

        return start
