"""A run that looks for the largest number of users who pass: it climbs, holds, falls back, climbs again."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from loadgen.capacity.found import Evidence, Reading, Step, judge_plateau, judge_search, moved, reasons_of
from loadgen.capacity.search import Plateau, Search
from loadgen.engine import worker
from loadgen.engine.control import Command, ControlRefused
from loadgen.engine.coordinator import SHORT_DRAIN_S, STEP_PATIENCE_S, Coordinator
from loadgen.engine.phases import HOLD, MEASURE
from loadgen.errors import PeerError
from loadgen.measure import threshold
from loadgen.measure.limits import LIMITS, PASSING, LimitReading, likeliest
from loadgen.measure.recorder import Refusal
from loadgen.measure.threshold import EXIT_FAIL, Bounds, Ending, Judgement
from loadgen.report.limit_check import LimitResult, none_measured, some_unmeasured
from loadgen.report.summary import Summary
from loadgen.workload.limit_set import LimitSet, read_limit_set

LOG_ONS_PER_S: Final = 40.0
"""Where the campaign says nothing else; the rate of logging off is that of logging on."""
AT_A_TIME: Final = 20
"""So many users log on at a time: who has a part of what he needs may take from others what they need."""
LEAD_S: Final = 0.05
WATCH_S: Final = 0.25
RELEASE_PATIENCE_S: Final = 300.0
"""How long servers may take to release what users had who went: TIME_WAIT lasts up to four minutes."""
SOONER: Final = "give a larger step, a shorter plateau, or more logons_per_s"


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, and how patiently."""

    ceiling: int | None = None
    """The largest number allowed; None for what plan or accounts suggest."""
    step: int = 0
    plateau_s: float = 5.0
    hold_only: bool = False
    """Whether users only hold their connections, and do not work."""


class Climb(Coordinator):
    """One search. ``longest_s`` is how long it may take, which is the length of the measured phase."""

    interval_s = WATCH_S

    def __init__(
        self,
        search: Search,
        aim: Aim,
        longest_s: float,
        say: Callable[[str], None],
        *parts: Any,  # noqa: ANN401 - of what a coordinator is made
        **more: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*parts, **more)
        self.search = search
        self.steps: list[Step] = []
        self.evidence: Evidence | None = None
        self.server: str | None = None
        """Whose limit it was."""
        self._aim = aim
        self._longest_s = longest_s
        self._say = say
        self._thresholds = threshold.parse_all(self._campaign.threshold)
        campaign = self._campaign
        self._limit_set = read_limit_set(campaign.limit_set) if campaign.limit_set else LimitSet()
        self._blind = ""
        """Why the limit set says nothing, if it doesn't."""
        self._bounds = Bounds(campaign.invalid_lag * 1000, campaign.invalid_busy, campaign.invalid_use)
        self._started_ns = self._clock()
        self._refusals: list[Refusal] = []
        self._rested: dict[tuple[str, str], float] = {}
        """By limit and server, what was in use when the last number was held."""

    @property
    def takes(self) -> str:
        """Nobody knows before how many users there will be."""
        return ""

    def judged(self, summary: Summary) -> Summary:
        """An answer passes, although users were refused on the way to it."""
        if self.ending != Ending():
            return summary
        found = Judgement("FAIL", (self._blind,), EXIT_FAIL) if self._blind else judge_search(self.search)
        return msgspec.structs.replace(
            summary, verdict=found.verdict, reasons=found.reasons, exit_code=found.exit_code
        )

    async def _do(self, command: Command, by: str) -> str:
        """A search goes its own way; ended early, it has no answer."""
        if command.command != "stop":
            raise ControlRefused("a search for the capacity decides by itself who comes and goes")
        self._stop(interrupted=True, stopped=by)
        return "the search ends in good order, without an answer"

    async def _work(self) -> None:
        deadline_ns = await self._begin()
        while (users := self.search.next_users) is not None:
            if self._clock() >= deadline_ns:
                self._stop(broken=(*self.ending.broken, f"no end after {self._longest_s:.0f} s: {SOONER}"))
                break
            plateau = await self._try(users)
            if self._stopping.is_set():
                break
            self._note(plateau)
            self.search = self.search.after(plateau)
            if plateau.verdict != "held":
                await self._fall_back()
        await self._barrier("peak" if self._campaign.startup == "on" else "steady")
        await self._drain(SHORT_DRAIN_S)

    async def _begin(self) -> int:
        """Starts the work, and returns when the search has to be over."""
        from_ns = self._clock() + round(LEAD_S * 1e9)
        until_ns = from_ns + round(self._longest_s * 1e9)
        if self._aim.hold_only:
            await self._enter(HOLD, None)
            return until_ns
        self._tally.measure_between(from_ns, until_ns)
        await self._links.call(worker.begin_day, LEAD_S, self._longest_s)
        await self._enter(MEASURE, None)
        return until_ns

    async def _try(self, users: int) -> Plateau:
        """Brings so many users in, or as many as come before one is refused, and holds them if all came."""
        before = await self._readings()
        self._refusals = []
        users = await self._bring(users)
        broken: tuple[str, ...] = ()
        generator: tuple[str, ...] = ()
        if not self._refusals and not self._nobody_pending():
            broken = (f"not everybody was logged on after {STEP_PATIENCE_S:g} s",)
        elif not self._refusals:
            broken, generator = await self._stay()
        if generator and not self._stopping.is_set():  # a hiccup of this machine is no answer
            broken, generator = await self._stay()
        after = await self._readings()
        admitted = min(users, sum(report.snapshot.gauges.users_admitted for report in self._reports))
        refused = users - admitted if self._refusals else 0
        limit = self._limit_hit(before, after) if refused or broken else None
        if limit is not None or refused:
            self._keep_evidence(limit, before, after)
        else:
            self._rested = {
                (each.name, each.server): each.in_use for each in after if each.name not in PASSING
            }
        return Plateau(
            users=users,
            admitted=admitted,
            refused=refused,
            first_refused=min((each.user for each in self._refusals), default=None),
            limit="" if limit is None else limit.name,
            broken=broken,
            generator=generator,
        )

    async def _stay(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        await self._interval()
        await self._look_at_counters(at_once=True)
        self._tally.begin_plateau()
        await self._until_ns(self._clock() + round(self._aim.plateau_s * 1e9))
        await self._look_at_counters(at_once=True)
        plateau = self._tally.plateau()
        self._note_unmeasured(plateau.limit_results)
        document = msgspec.to_builtins(plateau)
        return judge_plateau(document, self._thresholds, self._bounds, self._limit_set.thresholds)

    def _note_unmeasured(self, results: Sequence[LimitResult]) -> None:
        """Without any counter of the limit set no number passes, however small: there is nothing to find."""
        self._blind = none_measured(self._limit_set.name, results)
        if self._blind:
            self._stop()
        elif not self.steps and (warning := some_unmeasured(self._limit_set, results)):
            self._say(f"Warning: {warning}")

    async def _fall_back(self) -> None:
        """Lets those go who are too many, and waits until the servers have released what they had."""
        await self._scale(self.search.held)
        until_ns = self._clock() + round(RELEASE_PATIENCE_S * 1e9)
        while not (self._stopping.is_set() or await self._is_released() or self._clock() >= until_ns):
            await self._until(lambda: False, WATCH_S)

    async def _is_released(self) -> bool:
        return all(
            each.in_use <= self._rested.get((each.name, each.server), each.in_use)
            for each in await self._readings()
        )

    async def _bring(self, users: int) -> int:
        """Lets users in, few at a time, until one is refused; returns how many there were to be by then."""
        present = self.search.held
        while present < users:
            present = min(users, present + AT_A_TIME)
            await self._scale(present)
            if self._refusals or self._stopping.is_set() or not self._nobody_pending():
                break
        return present

    async def _scale(self, users: int) -> None:
        per_s = self._campaign.logons_per_s or LOG_ONS_PER_S
        await self._links.call(worker.scale, users, LEAD_S, per_s)
        over_s = self._population.users / per_s
        await self._until(self._nobody_pending, LEAD_S + over_s + STEP_PATIENCE_S)

    async def _interval(self) -> None:
        await super()._interval()
        self._refusals += [refusal for report in self._reports for refusal in report.snapshot.refusals]

    async def _readings(self) -> list[LimitReading]:
        try:
            return await self._limits.readings()
        except PeerError as error:
            self._tally.event("not_counted", f"limits: {error}")
            return []

    def _limit_hit(
        self, before: Sequence[LimitReading], after: Sequence[LimitReading]
    ) -> LimitReading | None:
        """The limit that a refusal, or a loss, means: of those that were hit in this step, where counted."""
        if self._limits.is_counted:
            hit = moved(before, after)
            candidates = [refusal.limits for refusal in self._in_order] or [LIMITS]
            return next(filter(None, (likeliest(each, hit) for each in candidates)), None)
        meant = [name for refusal in self._in_order for name in refusal.limits]
        return LimitReading(meant[0], "", 0.0, 0.0, 0) if len(set(meant)) == 1 else None

    def _keep_evidence(
        self, limit: LimitReading | None, before: Sequence[LimitReading], after: Sequence[LimitReading]
    ) -> None:
        first = self._in_order[0] if self._refusals else None
        key = None if limit is None else (limit.name, limit.server)
        self.server = limit.server or None if limit is not None else None
        then, now = (
            next((each for each in readings if (each.name, each.server) == key), None)
            for readings in (before, after)
        )
        self.evidence = Evidence(
            before=Reading.of_limit(then),
            after=Reading.of_limit(now),
            first_error="" if first is None else first.error,
            user=None if first is None else first.user,
        )

    @property
    def _in_order(self) -> list[Refusal]:
        return sorted(self._refusals, key=lambda each: each.first_ns)

    def _note(self, plateau: Plateau) -> None:
        reasons = reasons_of(plateau)
        at_s = round((self._clock() - self._started_ns) / 1e9, 3)
        self.steps.append(
            Step(
                time_s=at_s,
                users=plateau.users,
                admitted=plateau.admitted,
                verdict=plateau.verdict,
                reasons=reasons,
            )
        )
        text = f"{plateau.users:,} users: {'; '.join(reasons) or 'held'}"
        self._tally.event("plateau", text)
        self._say(text)
