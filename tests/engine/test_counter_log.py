from datetime import UTC, datetime

import pytest

from loadgen.engine.counter_log import EVERY_S, CounterLog
from loadgen.errors import TransportError
from loadgen.measure.counters import read
from loadgen.measure.store import RunStore
from loadgen.report.limit_check import LimitCheck
from loadgen.workload.limit_set import Limit, LimitSet

FAILED = r"\RPC/HTTP Proxy\Number of Failed Back-End Connection attempts per Second"
CHECKED = LimitSet(limits=(Limit(counter=FAILED, agg="max", op="==", value=0, source="a book"),))


class Servers:
    """Counts up by one failed attempt at each question, once it is told to fail."""

    def __init__(self):
        self.failed = 17
        self.is_failing = self.is_gone = False

    async def __call__(self):
        if self.is_gone:
            raise TransportError("gone")
        self.failed += self.is_failing * 10
        return {"CAS1": {FAILED: float(self.failed), r"\A\now": 3.0}}


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path, "test", datetime(2026, 1, 1, tzinfo=UTC), 0) as store:
        yield store


@pytest.fixture
def servers():
    return Servers()


async def test_samples_are_taken_every_five_seconds_written_and_judged(store, servers, clock):
    check = LimitCheck(CHECKED)
    log = CounterLog(store, [servers], check, clock(), clock=clock)
    await log.look()
    for _ in range(4):
        clock.stall(EVERY_S / 2)
        await log.look()
    assert check.results()[0].held is True
    servers.is_failing = True
    await log.look(at_once=True)
    clock.stall(EVERY_S)
    await log.look()
    samples = [
        (sample.time_s, sample.value)
        for sample in read(store.folder / "counters.csv")
        if sample.counter == FAILED
    ]
    assert samples == [(5, 0), (10, 0), (15, 4)]
    (result,) = check.results()
    assert (result.server, result.held) == ("CAS1", False)


async def test_who_cannot_be_asked_is_told_once(store, servers, clock):
    other = Servers()
    other.is_gone = True
    log = CounterLog(store, [other, servers], None, clock(), clock=clock)
    assert await log.look() == ["gone"]
    assert await log.look(at_once=True) == []
    assert len(list(read(store.folder / "counters.csv"))) == 2
