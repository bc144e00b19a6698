"""Faults that a topology asks for: calls that take a drawn time, and servers that stall or go for a while."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import accumulate
from math import ceil
from random import Random
from time import monotonic
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from loadgen.errors import WireError
from loadgen.wire import emsmdb
from loadgen.wire.extended_buffer import read_payloads
from mock_server.counters import RpcStatistics
from mock_server.rpc.dispatch import CallContext, Interface, Method

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=604800)]
Service: TypeAlias = Literal["store", "public_store", "referral", "directory"]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=600000)]

PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)
"""What is told of delays; the last is the longest."""
_NO_ROPS: Final = b"\x02\x00"
"""RopSize of a list without ROPs: it counts itself ([MS-OXCRPC] 2.2.2.1)."""


class PlannedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server that stops or stalls ``at_s`` seconds after everything listens, and is back ``for_s`` later.

    One that is stopped has no process: its connections are cut and new ones are refused. One that is stalled
    keeps its connections and says nothing.
    """

    server: str
    at_s: Seconds
    for_s: Seconds
    action: Literal["stop", "stall"] = "stop"


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the calls of which services take, and what is planned to go wrong.

    A constant delay is ``median_ms``; a uniform one lies within ``spread_ms`` of it; a lognormal one has that
    median and ``sigma``, the standard deviation of its logarithm. ``slowdown`` multiplies all of them. With
    one ``seed``, each service draws the same delays again. ``polls`` are those EcDoRpcExt2 that carry no ROP
    and so only ask for news: a client that cannot be told makes nothing else while it is idle.
    """

    services: tuple[Service, ...] = ("store",)
    calls: Literal["EcDoRpcExt2", "polls", "all"] = "EcDoRpcExt2"
    distribution: Literal["off", "constant", "uniform", "lognormal"] = "off"
    median_ms: Milliseconds = 0.0
    spread_ms: Milliseconds = 0.0
    sigma: Annotated[float, Meta(ge=0, le=5)] = 0.0
    slowdown: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    seed: int = 1
    planned: tuple[PlannedFault, ...] = ()


class Delays(msgspec.Struct):
    """Every delay to the microsecond, by how often there was one.

    ``drawn`` is what was asked of the clock, ``held`` how long calls took from their arrival to their answer,
    work included. A call that its client cancels or leaves is over then, and counts with what it took.
    """

    drawn: dict[int, int] = msgspec.field(default_factory=dict)
    held: dict[int, int] = msgspec.field(default_factory=dict)

    @classmethod
    def merged(cls, parts: Iterable["Delays"]) -> "Delays":
        """All of several processes."""
        drawn: Counter[int] = Counter()
        held: Counter[int] = Counter()
        for part in parts:
            drawn.update(part.drawn)
            held.update(part.held)
        return cls(drawn, held)


class DelayReport(msgspec.Struct, frozen=True):
    """How many delays there were, and in milliseconds what so many percent of them do not exceed."""

    count: int
    percentiles_ms: dict[str, float]

    @classmethod
    def of(cls, delays: Mapping[int, int]) -> "DelayReport":
        """Exact: the values themselves, by rank."""
        values = sorted(delays)
        ranks = list(accumulate(delays[value] for value in values))
        count = ranks[-1] if ranks else 0
        found: dict[str, float] = {}
        for percentile in PERCENTILES if count else ():
            rank = ceil(round(percentile * count / 100, 6))
            found[f"{percentile:g}"] = values[bisect_left(ranks, rank)] / 1000
        return cls(count, found)


class SlowCalls:
    """Makes the calls of one service take the time that is drawn for each.

    A call is carried out when its time is over, so that nothing shows of it before.
    """

    def __init__(
        self,
        settings: FaultSettings,
        service: Service,
        server: str,
        statistics: RpcStatistics,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.delays = Delays()
        self._settings = settings
        self._statistics = statistics
        self._clock = clock
        self._sleep = sleep
        self._draw_ms = _draws(settings, Random(f"{settings.seed} {server} {service}"))
        self._is_on = settings.distribution != "off" and service in settings.services

    def of(self, interfaces: Iterable[Interface]) -> tuple[Interface, ...]:
        """The same interfaces, with such methods slower as the settings name."""
        return tuple(self._slowed(interface) if self._is_on else interface for interface in interfaces)

    def _slowed(self, interface: Interface) -> Interface:
        methods = dict(interface.methods)
        for opnum, method in methods.items():
            if self._is_meant(interface, opnum):
                methods[opnum] = self._slow(method)
        return Interface(interface.interface, methods)

    def _is_meant(self, interface: Interface, opnum: int) -> bool:
        """Whether a method is to be slow; the wait for news never is, since its time is no service."""
        if self._settings.calls != "all":
            return interface.interface == emsmdb.INTERFACE and opnum == emsmdb.EcDoRpcExt2Request.opnum
        return interface.interface != emsmdb.ASYNC_INTERFACE

    def _slow(self, method: Method) -> Method:
        slow = self._slow_always(method)
        if self._settings.calls != "polls":
            return slow
        return lambda context, stub: slow(context, stub) if _is_poll(stub) else method(context, stub)

    def _slow_always(self, method: Method) -> Method:
        async def slow(context: CallContext, stub: bytes) -> bytes:
            started = self._clock()
            delay_us = round(self._draw_ms() * self._settings.slowdown * 1000)
            self._statistics.executing += 1
            try:
                await self._sleep(delay_us / 1e6)
                answer = method(context, stub)
                return answer if isinstance(answer, bytes) else await answer
            finally:
                self._statistics.executing -= 1
                held_s = self._clock() - started
                self._statistics.answered(round(held_s * 1e9))
                _count(self.delays.drawn, delay_us)
                _count(self.delays.held, round(held_s * 1e6))

        return slow


def _is_poll(stub: bytes) -> bool:
    """Whether an EcDoRpcExt2 carries no ROP; what can't be read is left to the method to refuse."""
    try:
        payloads = read_payloads(emsmdb.EcDoRpcExt2Request.decode(stub).rgb_in)
    except WireError:
        return False
    return [payload[: len(_NO_ROPS)] for payload in payloads] == [_NO_ROPS]


def _draws(settings: FaultSettings, random: Random) -> Callable[[], float]:
    """Draws a delay in milliseconds, never a negative one."""
    median, spread, sigma = settings.median_ms, settings.spread_ms, settings.sigma
    if settings.distribution == "uniform":
        return lambda: max(0.0, random.uniform(median - spread, median + spread))
    if settings.distribution == "lognormal":
        return lambda: median * random.lognormvariate(0.0, sigma)
    return lambda: median


def _count(counts: dict[int, int], value_us: int) -> None:
    counts[value_us] = counts.get(value_us, 0) + 1
