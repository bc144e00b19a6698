"""How many connections there should be, and how many each party counts: at the barriers, and in between."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final

from loadgen.engine import worker
from loadgen.engine.links import ShardLinks
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.population import StateCount
from loadgen.measure.columns import ConnectionCount
from loadgen.measure.connections import Census, Counter, client_count, count_until_equal
from loadgen.workload import connection_model
from loadgen.workload.campaign import Population

BARRIER_S: Final = 2.0
"""How long openings and closings may be withheld while the parties count."""
COUNTING_SHARE: Final = 0.02
"""Of the time between the barriers: to count some sockets, the kernel looks at all of them. Clients know."""


class Headcount:
    """Counts connections by all parties; ``counters`` are those besides the clients'.

    ``past_dsproxy``: users are referred to global catalogs.
    """

    def __init__(
        self,
        population: Population,
        links: ShardLinks,
        counters: Mapping[str, Counter],
        *,
        past_dsproxy: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._past_dsproxy = past_dsproxy
        self._population = population
        self._links = links
        self._counters = dict(counters)
        self._clock = clock
        self._rested_at = -inf

    async def at_barrier(self) -> Census:
        """Counts while nobody opens or closes, again and again until all agree, for two seconds at most."""
        deadline = self._clock() + BARRIER_S
        try:
            await self._links.call(worker.freeze, BARRIER_S / 2)
            frozen = await self._links.call(worker.census)
            expected = self._expected([state for shard in frozen for state in shard.states])
            counters = {"client": self._clients, **self._counters}
            return await count_until_equal(expected, counters, deadline - self._clock(), clock=self._clock)
        finally:
            await self._links.call(worker.thaw)

    async def now(self, reports: Sequence[ShardReport]) -> Census:
        """Counts once, while work goes on, so the parties need not agree.

        The clients always count; the others are left out while they rest from what their last count took.
        """
        started = self._clock()
        others = self._counters if started >= self._rested_at else {}
        gauges = [report.snapshot.gauges for report in reports]
        virtual = sum(sum(each.virtual_connections.values()) for each in gauges)
        direct = sum(each.direct_connections for each in gauges)

        async def clients() -> ConnectionCount:
            return client_count(virtual, direct)

        expected = self._expected([state for report in reports for state in report.states])
        census = await count_until_equal(expected, {"client": clients, **others}, 0.0)
        if others:
            ended = self._clock()
            self._rested_at = ended + (ended - started) / COUNTING_SHARE
        return census

    async def _clients(self) -> ConnectionCount:
        shards = await self._links.call(worker.census)
        virtual = sum(shard.virtual_connections for shard in shards)
        return client_count(virtual, sum(shard.direct for shard in shards))

    def _expected(self, states: Sequence[StateCount]) -> dict[str, int]:
        groups = self._population.groups
        return connection_model.expected(
            ((groups[state.group].client, state.starting, state.users) for state in states),
            direct=self._past_dsproxy,
        )
