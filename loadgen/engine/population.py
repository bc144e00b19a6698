"""The users of one shard: logs them on and off, tells them the phase, and knows their states."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final

import msgspec

from loadgen.engine.day import Day
from loadgen.engine.phases import AFTER_MEASURE, BACKGROUND, DRAIN, HOLD, MEASURE, PAUSE, poll_speed
from loadgen.engine.preflight import explain
from loadgen.engine.returning import drawn
from loadgen.engine.surroundings import Surroundings
from loadgen.engine.user import User
from loadgen.errors import limits_of
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
        self, campaign: Campaign, population: Population, indices: range, around: Surroundings
    ) -> None:
        self._campaign = campaign
        self._around = around
        self._startup = campaign.startup == "on"
        self._startup_hold_ns = round(campaign.startup_hold * NS_PER_S)
        self._schedule = Schedule(campaign, population)
        self._group_numbers = {id(group): number for number, group in enumerate(population.groups)}
        self.users = [User(index, population.group_of(index), around) for index in indices]
        closed = campaign.shape == "closed"
        self._days = [Day(user, self._schedule, closed=closed, around=around) for user in self.users]
        self._indices = indices
        # What the warm-up leaves to be read in the measured phase stands for what that one leaves behind.
        self._books_late_work = not campaign.warmup
        self._phase = ""
        self._marked_ns = around.clock()
        self._steps_due = 0
        self._steps_running = 0
        self._all_users = population.users
        self._wanted = 0
        """How many of the whole population there are to be by the latest command."""
        self._command = 0
        """How many commands there were that took the place of all before."""
        self._ends_startup = False
        """Whether start-up connections are closed without a command: for those who come late."""
        self._startup_ends: dict[int, int] = {}
        """By user, the log on whose start-up is going to be ended."""
        self._leaving: set[int] = set()
        """Who is logging off just now, and not for good."""
        self._is_over = False
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
        self._wanted = self._all_users
        away = [user for user in self.users if user.state == "away"]
        self._spread(away, lambda user: start_ns + self._schedule.log_on_ns(user.index), self._log_on)

    def scale(self, users: int, start_ns: int, per_s: float) -> None:
        """Logs the first ``users`` of the whole population on, and all others off, so many a second.

        It takes the place of what an earlier command has left to do. Those who were refused try again. From
        now on start-up connections end by themselves, each user's when they have been held long enough.
        Those who go get no more mail; those who come, from :meth:`address` on.
        """
        step_ns = NS_PER_S / per_s
        before, self._wanted = self._wanted, users
        self._around.present = min(before, users) if before else users
        self._command += 1
        self._steps_due = 0
        self._end_startup_without_command()
        stride, first = self._indices.step, self._indices.start
        arriving = [user for user in self.users if user.index < users and self._may_come(user)]
        leaving = [user for user in reversed(self.users) if user.index >= users and user.state != "away"]
        self._one_by_one(arriving, start_ns, (first - before) % stride, step_ns, self._log_on)
        self._one_by_one(leaving, start_ns, (before - 1 - first) % stride, step_ns, self._log_off_for_now)

    def address(self, users: int) -> None:
        """From now on mail goes to the first ``users`` of the whole population."""
        self._around.present = users

    def _one_by_one(
        self, users: Sequence[User], start_ns: int, offset: int, step_ns: float, step: Step
    ) -> None:
        """Between two users of this shard those of the others have their turn."""
        places = {user.index: place * self._indices.step + offset for place, user in enumerate(users)}
        self._spread(users, lambda user: start_ns + int(places[user.index] * step_ns), step)

    def _may_come(self, user: User) -> bool:
        return user.state in ("away", "refused") or user.index in self._leaving

    def end_startup(self, start_ns: int) -> None:
        """Closes each user's start-up connections when they have been held long enough."""
        self._ends_startup = True
        starting = [user for user in self.users if user.starting]
        self._spread(
            starting, lambda user: max(start_ns, user.logged_on_ns + self._startup_hold_ns), self._end_startup
        )

    def begin_day(self, origin_ns: int, until_ns: int) -> None:
        """Starts the schedules; the measured phase is from ``origin_ns`` to ``until_ns``."""
        self._around.recorder.measure_between(origin_ns, until_ns)
        time = self._around.schedule.time
        origin_ns, until_ns = time.of(origin_ns), time.of(until_ns)
        self._around.day = (origin_ns, until_ns)
        for day in self._days:
            if day.user.is_at_work:
                day.begin(origin_ns, until_ns)
        if self._campaign.session_length:
            self._plan_sessions(origin_ns, until_ns)

    def enter(self, phase: str) -> None:
        """Books traffic up to now under the old phase, from now on under the new one.

        While the phase is ``pause`` the schedule stands; what was under way ends as if it were not.
        """
        if phase == PAUSE:
            self._around.schedule.pause()
        else:
            self._resume()
        for user in self.users:
            self._mark(user, self._seconds_idle())
        self._marked_ns = self._around.clock()
        self._phase = phase
        self._around.poll_speed = poll_speed(phase, self._around.speed)
        if phase == DRAIN:
            self._around.day = None
            for day in self._days:
                day.end_schedule()
                day.poll_anew()
        working = phase == MEASURE or (phase in AFTER_MEASURE and self._books_late_work)
        for user in self.users:
            user.background = BACKGROUND[phase]
            if phase != PAUSE:
                user.working = working

    def cut_short(self) -> None:
        """Ends the schedules before their time: what would have been due was not planned."""
        self._resume()
        self._around.recorder.cut_short(self._around.clock())
        self._around.day = None
        for day in self._days:
            day.cut_short()

    def _resume(self) -> None:
        if stood := self._around.schedule.resume():
            self._around.recorder.postpone(*stood)

    def log_off(self, start_ns: int, over_s: float) -> None:
        """Logs everybody off, evenly over ``over_s``; nothing else becomes due any more."""
        self._around.timers.clear()
        self._around.schedule.clear()
        self._is_over = True
        self._command += 1
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
        refused_by: Counter[str] = Counter()
        admitted = connections_lost = reconnects = direct = 0
        idle_s, self._marked_ns = self._seconds_idle(), self._around.clock()
        for place, user in enumerate(self.users, 1):
            states[user.state] += 1
            admitted += user.is_admitted
            connections_lost += user.connections_lost
            reconnects += user.reconnects
            if user.refusal is not None:
                refused_by["|".join(limits_of(user.refusal))] += 1
            if user.client is not None:
                virtual.update(user.client.virtual_connections)
                if user.group.client.transport == "tcp":
                    direct += sum(user.client.virtual_connections.values())
                self._mark(user, idle_s)
            if place % USERS_PER_TURN == 0:
                await asyncio.sleep(0)
        return Gauges(
            users_logged_on=states["logged_on"],
            users_admitted=admitted,
            users_refused_total=states["refused"],
            users_refused_by=dict(refused_by),
            users_lost_total=states["lost"],
            virtual_connections=dict(virtual),
            direct_connections=direct,
            connections_lost_total=connections_lost,
            reconnects_total=reconnects,
            unfinished=self._around.admission.unfinished,
        )

    def _mark(self, user: User, idle_s: float) -> None:
        user.mark_traffic(user.background, idle_s if user.state == "logged_on" else 0.0)

    def _seconds_idle(self) -> float:
        """User seconds since traffic was last booked; they count in the hold alone."""
        return (self._around.clock() - self._marked_ns) / NS_PER_S if self._phase == HOLD else 0.0

    async def _log_on_alone(self, user: User, due_ns: int) -> None:
        await user.log_on(due_ns, startup=self._startup)
        if user.refusal is not None:
            self.first_refusal = explain(user.refusal, self._campaign)

    async def _log_on(self, user: User, due_ns: int) -> None:
        self._around.recorder.lag("log_on", due_ns, self._around.clock())
        await self._try(user, due_ns, self._campaign.retry_refused)

    async def _try(self, user: User, due_ns: int, retries: int) -> None:
        """Logs a user on who, if he is refused, tries again so often, unless another command comes first."""
        if await user.log_on(due_ns, startup=self._startup):
            if retries and not self._is_over:
                self._try_later(user, retries - 1)
        elif self._ends_startup and user.starting:
            self._await_end_of_startup(user)

    def _try_later(self, user: User, retries: int) -> None:
        draw = Random(f"{self._campaign.seed}/{user.index}/refused/{retries}")
        wait_ns = round(drawn(self._campaign.retry_refused_after, draw) * NS_PER_S)
        command = self._command

        def try_again(due_ns: int, fired_ns: int) -> None:
            if command == self._command and user.state == "refused":
                self._around.recorder.lag("log_on", due_ns, fired_ns)
                self._around.spawn(self._try(user, due_ns, retries))

        self._around.timers.at(self._around.clock() + wait_ns, try_again)

    def _end_startup_without_command(self) -> None:
        self._ends_startup = True
        for user in self.users:
            if user.starting:
                self._await_end_of_startup(user)

    def _await_end_of_startup(self, user: User) -> None:
        logged_on_ns = user.logged_on_ns
        if self._startup_ends.get(user.index) == logged_on_ns:
            return
        self._startup_ends[user.index] = logged_on_ns

        def end(_due_ns: int, _fired_ns: int) -> None:
            if user.logged_on_ns == logged_on_ns:
                self._around.spawn(user.end_startup())

        self._around.timers.at(logged_on_ns + self._startup_hold_ns, end)

    def _plan_sessions(self, origin_ns: int, until_ns: int) -> None:
        """Each user's sessions begin at times of his own, spread as the ramp is."""
        length_ns = round(self._campaign.session_length / self._campaign.speed * NS_PER_S)
        for user in self.users:
            self._await_next_session(
                user, origin_ns + self._schedule.session_ns(user.index), length_ns, until_ns
            )

    def _await_next_session(self, user: User, at_ns: int, length_ns: int, until_ns: int) -> None:
        def begin(due_ns: int, fired_ns: int) -> None:
            self._around.recorder.lag("log_on", due_ns, fired_ns)
            self._around.spawn(self._next_session(user, due_ns))
            self._await_next_session(user, at_ns + length_ns, length_ns, until_ns)

        if at_ns < until_ns:
            self._around.schedule.at(at_ns, begin)

    async def _next_session(self, user: User, due_ns: int) -> None:
        await user.start_again(due_ns, startup=self._startup)
        if user.state == "refused":
            self._day_of(user).leave()
            if self._campaign.retry_refused and not self._is_over:
                self._try_later(user, self._campaign.retry_refused - 1)
        elif user.starting:
            self._await_end_of_startup(user)

    async def _end_startup(self, user: User, _due_ns: int) -> None:
        await user.end_startup()

    async def _log_off_for_now(self, user: User, due_ns: int) -> None:
        self._around.recorder.lag("log_off", due_ns, self._around.clock())
        self._leaving.add(user.index)
        try:
            self._day_of(user).leave()
            await user.log_off(due_ns, for_good=False)
        finally:
            self._leaving.discard(user.index)

    def _day_of(self, user: User) -> Day:
        return self._days[self._indices.index(user.index)]

    async def _log_off(self, user: User, due_ns: int) -> None:
        self._around.recorder.lag("log_off", due_ns, self._around.clock())
        self._day_of(user).stop_polling()
        await asyncio.sleep(0)  # a poll that fell due in the same moment asks for its turn first
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

        command = self._command

        def start(due_ns: int, _fired_ns: int) -> None:
            if command != self._command:
                return
            self._steps_due -= 1
            self._steps_running += 1
            self._around.spawn(take_step(due_ns))

        return start
