"""Leads a run through its phases, over shards that it knows by short calls alone."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from typing import Final, NamedTuple

import msgspec

from loadgen.engine import worker
from loadgen.engine.control import Answer, Command, ControlRefused
from loadgen.engine.counter_log import CounterLog
from loadgen.engine.headcount import Headcount
from loadgen.engine.limit_watch import LimitWatch
from loadgen.engine.links import ShardLinks
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.phases import DRAIN, HOLD, LOG_OFF, MEASURE, PAUSE, RAMP, STARTUP, WARMUP
from loadgen.engine.progress import Progress
from loadgen.engine.standing_clock import StandingClock
from loadgen.engine.tally import Tally
from loadgen.errors import LoadgenError
from loadgen.measure.scrape import Scraper
from loadgen.measure.threshold import Ending
from loadgen.report.summary import Summary
from loadgen.workload.campaign import Campaign, Population
from loadgen.workload.duration import Duration

INTERVAL_S: Final = 1.0
LEAD_S: Final = 0.25
"""Between telling all shards when something begins and its beginning."""
STEP_PATIENCE_S: Final = 120.0
"""How long the last user may take to log on, or to end start-up, after he was due."""
DRAIN_S: Final = 30.0
SHORT_DRAIN_S: Final = 5.0
LOG_OFF_PATIENCE_S: Final = 30.0
LOG_OFFS_PER_S: Final = 100
SCALED_PER_S: Final = 20.0
"""How many users come or go a second, on command, if neither the campaign nor its ramp says."""

InThread = Callable[..., Awaitable[object]]


class Request(NamedTuple):
    """A command on its way to be obeyed."""

    command: Command
    by: str
    answer: asyncio.Future[Answer]


class Coordinator:
    """One run. ``target_gone`` says how the target ended, if it was ours and has; "" while it lives.

    What users do between the first log on and the last log off is :meth:`_work`; other kinds of runs have
    another.
    """

    interval_s = INTERVAL_S

    def __init__(
        self,
        campaign: Campaign,
        population: Population,
        links: ShardLinks,
        tally: Tally,
        headcount: Headcount,
        *,
        target_gone: Callable[[], str],
        on_progress: Callable[[Progress], None],
        limits: LimitWatch | None = None,
        scraper: Scraper | None = None,
        counter_log: CounterLog | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._campaign = campaign
        self._population = population
        self._links = links
        self._tally = tally
        self._headcount = headcount
        self._target_gone = target_gone
        self._on_progress = on_progress
        self._limits = limits or LimitWatch()
        self._scraper = scraper
        self._counter_log = counter_log
        self._clock = clock
        self._in_thread = in_thread
        self._time = StandingClock(clock)
        """The schedule's time."""
        self._phase = ""
        self._phase_ends_ns: int | None = None
        self._paused: tuple[str, int | None] = ("", None)
        """The phase within which there is a pause, and when that ends by the schedule."""
        self._coming: int | None = None
        """How many users there will be when those who were asked for have come."""
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._requests: deque[Request] = deque()
        self._task: asyncio.Task[object] | None = None
        self._progress: Progress | None = None
        self._is_over = False
        self._reports: list[ShardReport] = []
        self._lost: set[int] = set()
        self.ending = Ending()
        """How the run ended, apart from what it measured; grows as it goes."""

    def interrupt(self) -> None:
        """The first time ends the run in good order, the second time at once; what is over stays as it is."""
        if self.ending.interrupted and self._task is not None and not self._is_over:
            self._task.cancel()
        self._stop(interrupted=True)

    async def obey(self, command: Command, by: str) -> Answer:
        """Does what is asked for, between two intervals; ``by`` says who asks, for ``events.jsonl``.

        That it could not be done now is an answer, too.
        """
        if command.command == "status":
            return Answer(ok=True, text=self._phase, status=self._progress)
        if self._is_over:
            return Answer(ok=False, text="the run is over")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._requests.append(Request(command, by, answer))
        self._wake.set()
        return await answer

    @property
    def takes(self) -> str:
        """How long this kind of run takes, and what of that each phase; empty if nobody knows before."""
        campaign = self._campaign
        exact_s = {
            RAMP: campaign.ramp,
            STARTUP: campaign.startup_hold if campaign.startup == "on" else 0.0,
            WARMUP: campaign.warmup,
            MEASURE: campaign.duration_s,
            HOLD: campaign.hold,
        }
        lengths = {phase: Duration(ceil(length_s)) for phase, length_s in exact_s.items() if length_s}
        each = ", ".join(f"{phase} {length}" for phase, length in lengths.items())
        return f"the run takes {Duration(sum(lengths.values()))}: {each}; then {DRAIN} and {LOG_OFF}"

    def judged(self, summary: Summary) -> Summary:
        """The summary with the verdict of this kind of run."""
        return summary

    async def run(self) -> None:
        """Runs the campaign to its end, whatever that is; :attr:`ending` says what it was."""
        self._task = asyncio.current_task()
        try:
            await self._links.open()
            if await self._first_user_is_in():
                await self._work()
                await self._look_at_counters(at_once=True)
                await self._log_off()
            await self._links.call(worker.close_shard)
        except asyncio.CancelledError:
            if not self.ending.interrupted:
                raise
        except LoadgenError as error:
            self._stop(broken=(*self.ending.broken, str(error)))
        finally:
            self._is_over = True
            self._refuse_requests()
            self._links.release()

    async def _first_user_is_in(self) -> bool:
        """One user alone: what he meets, all would meet."""
        await self._enter(RAMP, float(self._campaign.ramp))
        if problem := await self._limits.begin():
            self._tally.event("not_counted", f"limits before the ramp: {problem}")
        await self._links.all[0].call(worker.log_on_first)
        await self._until(self._nobody_pending, STEP_PATIENCE_S)
        refusal = next((report.first_refusal for report in self._reports if report.first_refusal), "")
        if refusal:
            self._stop(unreachable=f"the first user could not log on: {refusal}")
        elif not self._stopping.is_set() and not self._nobody_pending():
            self._stop(unreachable=f"the first user was not logged on after {STEP_PATIENCE_S:g} s")
        return not self._stopping.is_set()

    async def _work(self) -> None:
        for phase in (self._ramp, self._start_up, self._day, self._hold):
            await phase()
            if self._stopping.is_set():
                break
        if self.ending.stopped:
            await self._links.call(worker.cut_short)
            self._tally.cut_short()
        # The mail of users who died with their worker never comes.
        is_cut_short = self._is_in_haste or self._lost
        await self._drain(SHORT_DRAIN_S if is_cut_short else DRAIN_S)

    async def _ramp(self) -> None:
        await self._links.call(worker.ramp, LEAD_S)
        await self._until(self._nobody_pending, LEAD_S + self._campaign.ramp + STEP_PATIENCE_S)

    async def _start_up(self) -> None:
        campaign = self._campaign
        # The last of them has just come, and holds longest.
        await self._enter(STARTUP, float(campaign.startup_hold) if campaign.startup == "on" else None)
        await self._barrier("peak")
        await self._links.call(worker.end_startup)
        await self._until(self._nobody_pending, campaign.startup_hold + STEP_PATIENCE_S)
        await self._barrier("steady")

    async def _day(self) -> None:
        campaign = self._campaign
        lead_s = LEAD_S + campaign.warmup
        await self._enter(WARMUP, lead_s)
        from_ns = self._time() + round(lead_s * 1e9)
        until_ns = from_ns + round(campaign.duration_s * 1e9)
        self._tally.measure_between(from_ns, until_ns)
        await self._links.call(worker.begin_day, lead_s, campaign.duration_s)
        await self._until_ns(from_ns)
        if not self._stopping.is_set():
            await self._enter(MEASURE, campaign.duration_s)
            await self._until_ns(until_ns)

    async def _hold(self) -> None:
        await self._enter(HOLD, float(self._campaign.hold))
        await self._until_ns(self._time() + round(self._campaign.hold * 1e9))

    async def _drain(self, limit_s: float) -> None:
        await self._enter(DRAIN, None)
        await self._until(self._nothing_left, limit_s, even_if_stopping=True)

    async def _log_off(self) -> None:
        over_s = self._population.users / LOG_OFFS_PER_S
        await self._enter(LOG_OFF, over_s)
        await self._links.call(worker.log_off, over_s)
        patience_s = SHORT_DRAIN_S if self._is_in_haste else LOG_OFF_PATIENCE_S
        await self._until(self._nobody_pending, over_s + patience_s, even_if_stopping=True)

    @property
    def _is_in_haste(self) -> bool:
        """Whether the run ends for a reason that leaves no time to end in."""
        return self._stopping.is_set() and (not self.ending.stopped or self.ending.interrupted)

    async def _enter(self, phase: str, length_s: float | None) -> None:
        """Begins a phase. A pause ends with the next one, last of all here: so no shard ends before us."""
        if phase == PAUSE:
            self._time.stop()
        await self._links.call(worker.enter, phase)
        self._tally.enter(phase, length_s)
        if phase != PAUSE:
            self._time.go()
        self._phase = phase
        self._phase_ends_ns = None if length_s is None else self._time() + round(length_s * 1e9)

    async def _address_those_who_came(self) -> None:
        """Mail goes to new users when all of them are there."""
        if self._coming is not None and self._nobody_pending():
            users, self._coming = self._coming, None
            await self._links.call(worker.address, users)

    async def _serve_requests(self) -> None:
        while self._requests:
            command, by, answer = self._requests.popleft()
            try:
                text, is_done = await self._do(command, by), True
            except ControlRefused as refusal:
                text, is_done = str(refusal), False
            self._tally.event("control", f"{command}: {text}", by)
            if not answer.done():
                answer.set_result(Answer(ok=is_done, text=text, status=self._tally.progress))

    def _refuse_requests(self) -> None:
        for request in self._requests:
            if not request.answer.done():
                request.answer.set_result(Answer(ok=False, text="the run is over"))
        self._requests.clear()

    async def _do(self, command: Command, by: str) -> str:
        """Obeys, and says what that means; raises :class:`ControlRefused`."""
        if self._stopping.is_set() or self._phase in (DRAIN, LOG_OFF):
            raise ControlRefused("the run is ending")
        match command.command:
            case "pause":
                return await self._halt()
            case "resume":
                return await self._go_on()
            case "scale":
                return await self._bring_to(command.users)
        self._stop(stopped=by)
        return "the run ends in good order; what it has measured is judged"

    async def _halt(self) -> str:
        if self._phase == PAUSE:
            raise ControlRefused("paused already")
        if self._phase not in (WARMUP, MEASURE):
            raise ControlRefused(f"nothing to pause in {self._phase}: only {WARMUP} and {MEASURE} have work")
        self._paused = self._phase, self._phase_ends_ns
        await self._enter(PAUSE, None)
        return "nothing more falls due; connections stay"

    async def _go_on(self) -> str:
        if self._phase != PAUSE:
            raise ControlRefused("not paused")
        phase, ends_ns = self._paused
        await self._enter(phase, None if ends_ns is None else (ends_ns - self._time()) / 1e9)
        return f"{phase} goes on"

    async def _bring_to(self, users: int | None) -> str:
        planned = self._population.users
        if users is None or not 1 <= users <= planned:
            raise ControlRefused(f"give a number of users, from 1 to the {planned:,} of the campaign")
        if self._phase not in (WARMUP, MEASURE, PAUSE, HOLD):
            raise ControlRefused(
                f"no scale in {self._phase}: only in {WARMUP}, {MEASURE}, {PAUSE} and {HOLD}"
            )
        per_s = self._campaign.logons_per_s or (
            planned / self._campaign.ramp if self._campaign.ramp else SCALED_PER_S
        )
        await self._links.call(worker.scale, users, LEAD_S, per_s)
        self._tally.scale(users)
        self._coming = users
        return f"to {users:,} of {planned:,} users, {per_s:,.3g} a second"

    async def _barrier(self, moment: str) -> None:
        if self._stopping.is_set():
            return
        census = await self._headcount.at_barrier()
        self._tally.connections(moment, census)
        for party, problem in census.errors.items():
            self._tally.event("not_counted", f"{party} at {moment}: {problem}")

    async def _until_ns(self, at_ns: int) -> None:
        """Until a time of the schedule."""
        await self._until(lambda: self._time() >= at_ns, (at_ns - self._time()) / 1e9)

    async def _until(
        self, done: Callable[[], bool], limit_s: float, *, even_if_stopping: bool = False
    ) -> None:
        """Ends an interval again and again until ``done``, the limit, or the end of the run."""
        deadline_ns = self._time() + round(limit_s * 1e9)
        while True:
            await self._interval()
            await self._address_those_who_came()
            await self._serve_requests()
            left_s = (deadline_ns - self._time()) / 1e9
            if done() or left_s <= 0 or not self._links.alive:
                return
            if self._stopping.is_set() and not even_if_stopping:
                return
            await self._rest(self.interval_s if self._time.stands else min(self.interval_s, left_s))

    async def _rest(self, seconds: float) -> None:
        """Until the interval is over, or sooner if somebody wants something."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    async def _interval(self) -> None:
        """Collects what all shards have to say, writes it down, and looks whether the run can go on."""
        self._reports = await self._links.call(worker.report)
        self._note_lost_shards()
        if any(report.snapshot.refusals for report in self._reports):
            await self._limits.look()
        await self._scrape()
        await self._in_thread(self._tally.take, self._reports)
        self._tally.connections("", await self._headcount.now(self._reports))
        self._progress = self._tally.progress
        self._on_progress(self._progress)
        self._look_for_an_end()

    async def _scrape(self) -> None:
        """The target's own counters, if there are any; that they cannot be had is no reason to stop."""
        if self._scraper is not None:
            self._tally.counted, warning = await self._scraper()
            if warning:
                self._tally.event("not_scraped", warning)
        await self._look_at_counters()

    async def _look_at_counters(self, *, at_once: bool = False) -> None:
        if self._counter_log is not None:
            for problem in await self._counter_log.look(at_once=at_once):
                self._tally.event("not_scraped", problem)

    def _note_lost_shards(self) -> None:
        for link in self._links.lost:
            shard, users = link.plan.shard, len(link.plan.users)
            if shard not in self._lost:
                self._lost.add(shard)
                text = (
                    f"worker {shard} died, and its {users:,} users with it; "
                    "if the machine ran out of memory, dmesg says so"
                )
                self._tally.lose(shard, users, text)
                self.ending = msgspec.structs.replace(self.ending, broken=(*self.ending.broken, text))

    def _look_for_an_end(self) -> None:
        broken = next((report for report in self._reports if report.bug), None)
        if broken is not None and not self.ending.bug:
            self._stop(bug=broken.bug)
            self._tally.event("bug", broken.trace)
        elif not self._links.alive:
            self._stop()
        elif gone := self._target_gone():
            self._stop(aborted=gone)
        elif threshold := self._tally.broken_threshold():
            self._stop(aborted=threshold)

    def _nobody_pending(self) -> bool:
        return not any(report.pending for report in self._reports)

    def _nothing_left(self) -> bool:
        return not self._tally.deliveries_outstanding and not any(
            report.left_to_do for report in self._reports
        )

    def _stop(self, **why: object) -> None:
        """Notes why the run ends early; the first reason of each kind stays."""
        known = msgspec.structs.asdict(self.ending)
        fresh = {key: value for key, value in why.items() if not known[key] or key == "broken"}
        self.ending = msgspec.structs.replace(self.ending, **fresh)
        if not self._stopping.is_set():
            self._stopping.set()
            self._wake.set()
