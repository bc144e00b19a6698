"""Delays that are drawn from a known distribution, told to the microsecond."""

import asyncio
import math
import statistics

import pytest

from loadgen.errors import RpcFault
from loadgen.wire import emsmdb, rfr
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.rop.buffer import write_requests
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from mock_server.counters import RpcStatistics
from mock_server.faults import PERCENTILES, DelayReport, Delays, FaultSettings, SlowCalls
from mock_server.rpc.dispatch import AssociationGroup, CallContext, Interface

CONTEXT = CallContext("", AssociationGroup(1), "MBX1")
RPC = emsmdb.EcDoRpcExt2Request.opnum


class Time:
    """Passes when somebody sleeps, and ``work_s`` with each call."""

    def __init__(self, work_s=0.0):
        self.now = 1000.0
        self.work_s = work_s

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds

    def method(self, _context, stub):
        self.now += self.work_s
        return stub


def slow(settings, method, time, service="store", interface=emsmdb.INTERFACE, opnum=RPC, server="MBX1"):
    """The slowed calls, and the method as they offer it."""
    calls = SlowCalls(settings, service, server, RpcStatistics(), time.clock, time.sleep)
    (offered,) = calls.of([Interface(interface, {opnum: method})])
    return calls, offered.methods[opnum]


async def drawn(count, server="MBX1", **settings):
    time = Time()
    calls, method = slow(FaultSettings(**settings), time.method, time, server=server)
    for _ in range(count):
        assert await method(CONTEXT, b"x") == b"x"
    assert calls.delays.held == calls.delays.drawn
    return calls.delays.drawn


async def test_a_constant_delay():
    assert await drawn(3, distribution="constant", median_ms=12.5) == {12500: 3}
    assert await drawn(2, distribution="constant", median_ms=20, slowdown=1.1) == {22000: 2}


async def test_a_uniform_delay():
    delays = await drawn(20000, distribution="uniform", median_ms=30, spread_ms=20)
    assert (min(delays), max(delays)) == pytest.approx((10000, 50000), abs=50)
    assert statistics.fmean(delays) == pytest.approx(30000, rel=0.01)
    assert min(await drawn(500, distribution="uniform", median_ms=1, spread_ms=20)) == 0


async def test_a_lognormal_delay():
    """Its percentiles are median * exp(sigma * z)."""
    delays = await drawn(100_000, distribution="lognormal", median_ms=20, sigma=0.5)
    told = DelayReport.of(delays)
    assert told.count == 100_000
    for percentile in (50, 90, 99):
        z = statistics.NormalDist().inv_cdf(percentile / 100)
        assert told.percentiles_ms[str(percentile)] == pytest.approx(20 * math.exp(0.5 * z), rel=0.02)


async def test_the_same_seed_draws_the_same_and_each_server_its_own():
    lognormal = {"distribution": "lognormal", "median_ms": 20, "sigma": 0.5}
    first = await drawn(50, **lognormal)
    assert await drawn(50, **lognormal) == first
    assert await drawn(50, **lognormal, seed=2) != first
    assert await drawn(50, server="MBX2", **lognormal) != first


@pytest.mark.parametrize(
    ("settings", "service", "interface", "opnum", "is_slow"),
    [
        ({}, "store", emsmdb.INTERFACE, RPC, True),
        ({}, "public_store", emsmdb.INTERFACE, RPC, False),
        ({"services": ("store", "public_store")}, "public_store", emsmdb.INTERFACE, RPC, True),
        ({}, "store", emsmdb.INTERFACE, emsmdb.EcDoConnectExRequest.opnum, False),
        ({"calls": "all"}, "store", emsmdb.INTERFACE, emsmdb.EcDoConnectExRequest.opnum, True),
        ({"calls": "all"}, "store", emsmdb.ASYNC_INTERFACE, emsmdb.EcDoAsyncWaitExRequest.opnum, False),
        ({"calls": "all", "services": ("referral",)}, "referral", rfr.INTERFACE, 0, True),
        ({"distribution": "off"}, "store", emsmdb.INTERFACE, RPC, False),
    ],
)
def test_which_calls_are_slow(settings, service, interface, opnum, is_slow):
    chosen = FaultSettings(**({"distribution": "constant", "median_ms": 5} | settings))
    time = Time()
    _, method = slow(chosen, time.method, time, service, interface, opnum)
    assert (method != time.method) is is_slow


async def test_polls_alone():
    """A call that can't be read is left to the method."""

    def call(*rops):
        payload = write_payload(write_requests(rops, [1] * len(rops)), 0)
        return emsmdb.EcDoRpcExt2Request(bytes(20), payload).encode()

    time = Time()
    calls, method = slow(
        FaultSettings(distribution="constant", median_ms=5, calls="polls"), time.method, time
    )
    for stub in (call(RopReleaseRequest(0, 0)), b"x", emsmdb.EcDoRpcExt2Request(bytes(20), b"").encode()):
        assert method(CONTEXT, stub) == stub
    assert calls.delays.drawn == {}
    assert await method(CONTEXT, call()) == call()
    assert calls.delays.drawn == {5000: 1}


async def test_work_comes_after_the_delay_and_counts_as_held():
    """Nothing of a call shows before its time is over."""
    time = Time(work_s=0.003)
    seen = []

    def method(_context, stub):
        seen.append(time.now)
        return time.method(_context, stub)

    calls, slowed = slow(FaultSettings(distribution="constant", median_ms=10), method, time)
    waiting = slowed(CONTEXT, b"x")
    assert seen == []
    await waiting
    assert seen == [pytest.approx(1000.01)]
    assert (calls.delays.drawn, calls.delays.held) == ({10000: 1}, {13000: 1})


async def test_what_takes_its_time_is_a_request_and_has_a_latency():
    figures = RpcStatistics()
    release = asyncio.Event()
    calls = SlowCalls(
        FaultSettings(distribution="constant", median_ms=2500),
        "store",
        "MBX1",
        figures,
        sleep=sleep_until(release),
    )
    (offered,) = calls.of([Interface(emsmdb.INTERFACE, {RPC: lambda _context, stub: stub})])
    answers = [asyncio.ensure_future(offered.methods[RPC](CONTEXT, b"x")) for _ in range(3)]
    await asyncio.sleep(0)
    assert figures.executing == 3
    answers.pop().cancel()
    release.set()
    assert await asyncio.gather(*answers) == [b"x", b"x"]
    assert figures.executing == 0
    assert sum(calls.delays.drawn.values()) == sum(calls.delays.held.values()) == 3
    assert figures.averaged_latency_ms > 0


def sleep_until(event):
    async def sleep(_seconds):
        await event.wait()

    return sleep


async def test_methods_that_wait_or_refuse_do_so_later():
    time = Time()

    async def waits(_context, stub):
        return stub * 2

    def refuses(_context, _stub):
        raise RpcFault(5)

    settings = FaultSettings(distribution="constant", median_ms=1)
    _, method = slow(settings, waits, time)
    assert await method(CONTEXT, b"x") == b"xx"
    calls, method = slow(settings, refuses, time)
    with pytest.raises(RpcFault):
        await method(CONTEXT, b"x")
    assert calls.delays.drawn == {1000: 1}


def test_percentiles_are_values_by_rank():
    delays = {1000: 50, 2000: 40, 3000: 9, 9000: 1}
    assert DelayReport.of(delays) == DelayReport(
        100,
        {"50": 1.0, "90": 2.0, "95": 3.0, "99": 3.0, "99.9": 9.0, "99.99": 9.0, "100": 9.0},
    )
    assert len(PERCENTILES) == 7
    assert DelayReport.of({}) == DelayReport(0, {})
    assert Delays.merged([Delays({1: 2}, {5: 1}), Delays({1: 1, 3: 1}, {})]) == Delays({1: 3, 3: 1}, {5: 1})
