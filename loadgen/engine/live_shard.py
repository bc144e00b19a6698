"""One shard at work: its users on one event loop, and what it reports of itself."""

import asyncio
import os
import resource
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from loadgen.engine.client import Connect
from loadgen.engine.pace import Pace
from loadgen.engine.population import NS_PER_S, LivePopulation, StateCount
from loadgen.engine.shards import ShardPlan
from loadgen.engine.surroundings import Surroundings
from loadgen.measure.recorder import Recorder, Snapshot

BUSY_WINDOW_NS: Final = 10 * NS_PER_S


class ShardReport(msgspec.Struct, kw_only=True):
    """What a shard has to say at the end of an interval."""

    snapshot: Snapshot
    states: list[StateCount]
    pending: int
    """Users with whom the commands so far have still to do."""
    left_to_do: int
    """Operations waiting and running, polls apart, and messages that are still to be read or deleted."""
    first_refusal: str = ""
    bug: str = ""
    """An error of ours that must stop the run."""
    trace: str = ""
    """Where it happened."""


class ShardCensus(msgspec.Struct, frozen=True):
    """Users by state and their open virtual connections at one instant, ``direct`` of them without proxy."""

    states: list[StateCount]
    virtual_connections: int
    direct: int = 0


class Shard:
    """A share of the users on the loop of one thread. Its methods run on that loop."""

    def __init__(
        self, plan: ShardPlan, connect: Connect, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        campaign, users = plan.campaign, len(plan.users)
        self._clock = clock
        self._ports = plan.ports
        self._recorder = Recorder(plan.shard, self._clock())
        self._around = Surroundings(
            clock=self._clock,
            recorder=self._recorder,
            connect=connect,
            account=plan.accounts.account,
            speed=campaign.speed,
            capacity=max(1, round(campaign.unfinished_per_user * users)),
            log_ons=_share(campaign.logons_per_s, plan),
            sends=_share(campaign.sends_per_s, plan),
            stamp=plan.stamp,
        )
        self.population = LivePopulation(campaign, plan.population, plan.users, self._around)
        self._busy: deque[tuple[int, int]] = deque()

    async def report(self, descriptors: int) -> ShardReport:
        """Ends the interval; histograms are encoded in turns with the users' work."""
        around = self._around
        gauges = await self.population.gauges()
        gauges.busy = self._busy_share()
        gauges.cpu_s_total = time.process_time()
        gauges.descriptors = descriptors
        gauges.descriptors_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        gauges.ports_use = gauges.tcp_connections / self._ports
        gauges.resident_octets = _resident_octets()
        cut = self._recorder.cut(self._clock(), gauges)
        while cut.encode_next():  # noqa: ASYNC110 - nothing is waited for: the users get their turn
            await asyncio.sleep(0)
        return ShardReport(
            snapshot=cut.finish(),
            states=self.population.states(),
            pending=self.population.pending,
            left_to_do=around.admission.unfinished - around.admission.polls + around.reactions,
            first_refusal=self.population.first_refusal,
            bug="" if around.bug is None else f"{type(around.bug).__name__}: {around.bug}",
            trace="" if around.bug is None else "".join(traceback.format_exception(around.bug)),
        )

    async def census(self) -> ShardCensus:
        """Who is logged on, with how many connections, without ending the interval."""
        gauges = await self.population.gauges()
        return ShardCensus(
            self.population.states(), sum(gauges.virtual_connections.values()), gauges.direct_connections
        )

    async def freeze(self, patience_s: float) -> int:
        """Holds openings and closings back; returns how many are still under way."""
        return await self._around.gate.freeze(patience_s)

    def after(self, seconds: float) -> int:
        """The shard's time that many seconds from now."""
        return self._clock() + round(seconds * NS_PER_S)

    def thaw(self) -> None:
        """Lets openings and closings go on."""
        self._around.gate.thaw()

    def begin_day(self, in_s: float, for_s: float) -> None:
        """Starts the schedules; from now on it counts how busy the loop is."""
        self._busy.clear()
        self.population.begin_day(self.after(in_s), self.after(in_s + for_s))

    async def end(self) -> None:
        """Cuts what is still open and ends what is still under way."""
        await self._around.cancel_all()
        self.population.abort()

    def _busy_share(self) -> float:
        """Share of the last ten seconds that the loop's thread was on a processor, if ten have passed."""
        now = (self._clock(), time.thread_time_ns())
        self._busy.append(now)
        while len(self._busy) > 1 and now[0] - self._busy[1][0] >= BUSY_WINDOW_NS:
            self._busy.popleft()
        since = self._busy[0]
        passed_ns = now[0] - since[0]
        return (now[1] - since[1]) / passed_ns if passed_ns >= BUSY_WINDOW_NS else 0.0


def _share(per_s: float | None, plan: ShardPlan) -> Pace:
    """The shard's part of a rate of the whole run."""
    return Pace(per_s and per_s * len(plan.users) / plan.population.users)


def _resident_octets() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
