import asyncio

import pytest

from loadgen.engine import worker
from loadgen.engine.headcount import Headcount
from loadgen.engine.live_shard import ShardCensus, ShardReport
from loadgen.engine.population import StateCount
from loadgen.errors import TransportError
from loadgen.measure.connections import client_count
from loadgen.measure.recorder import Gauges, Snapshot


class TwoShards:
    """Seven users logged on, three of them still starting: 7 x 2 + 3 virtual connections."""

    def __init__(self):
        self.calls = []

    async def call(self, function, *args):
        self.calls.append((function.__name__, *args))
        if function is worker.census:
            return [
                ShardCensus([StateCount(0, False, 1), StateCount(0, True, 3)], 11),
                ShardCensus([StateCount(0, False, 3)], 6),
            ]
        return []


@pytest.fixture
def shards():
    return TwoShards()


def counting(*answers):
    """A party that gives these answers in turn, the last one again and again."""
    left = list(answers)

    async def count():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return client_count(answer)

    return count


def test_at_a_barrier_all_hold_still_until_all_agree(run, clock, shards, population_of):
    headcount = Headcount(
        population_of(10), shards, {"kernel": counting(12, 15, 17)}, clock=lambda: clock() / 1e9
    )

    async def main():
        return await headcount.at_barrier()

    census = run(main())
    assert census.is_equal
    assert census.expected["client_to_cas"] == 34
    assert census.counts["client"]["client_to_cas"] == census.counts["kernel"]["client_to_cas"] == 34
    assert shards.calls[0] == ("freeze", 1.0)
    assert shards.calls[-1] == ("thaw",)
    assert 0 < clock() < 2e9


def test_what_does_not_agree_in_two_seconds_never_will(run, clock, shards, population_of):
    headcount = Headcount(population_of(10), shards, {"kernel": counting(16)}, clock=lambda: clock() / 1e9)
    census = run(headcount.at_barrier())
    assert not census.is_equal
    assert census.counts["kernel"]["client_to_cas"] == 32
    assert 1.9e9 < clock() <= 2e9
    assert shards.calls[-1] == ("thaw",)


def test_a_party_that_cannot_count_says_why(run, clock, shards, population_of):
    headcount = Headcount(
        population_of(10), shards, {"mock": counting(TransportError("refused"))}, clock=lambda: clock() / 1e9
    )
    assert run(headcount.at_barrier()).errors == {"mock": "refused"}


def test_between_the_barriers_it_counts_once(run, clock, shards, population_of):
    headcount = Headcount(population_of(10), shards, {"kernel": counting(1, 17)}, clock=lambda: clock() / 1e9)
    gauges = Gauges(virtual_connections={"mail": 7, "directory": 7, "referral": 3})
    report = ShardReport(
        snapshot=Snapshot(shard=0, started_ns=0, ended_ns=1, gauges=gauges),
        states=[StateCount(0, False, 4), StateCount(0, True, 3)],
        pending=0,
        left_to_do=0,
    )
    census = run(headcount.now([report]))
    assert (census.expected["client_to_cas"], census.counts["client"]["client_to_cas"]) == (34, 34)
    assert census.counts["kernel"]["client_to_cas"] == 2
    assert shards.calls == []


def test_between_the_barriers_only_the_clients_count_all_the_time(run, clock, shards, population_of):
    async def count():
        await asyncio.sleep(0.1)
        return client_count(0)

    headcount = Headcount(population_of(10), shards, {"kernel": count}, clock=lambda: clock() / 1e9)

    async def main():
        counted = []
        for _ in range(10):
            counted.append(tuple((await headcount.now([])).counts))
            await asyncio.sleep(1.1)
        return counted

    assert run(main()) == 2 * [("client", "kernel"), *4 * [("client",)]]


@pytest.mark.parametrize(("past_dsproxy", "through"), [(False, "cas_to_dsproxy"), (True, "cas_to_gc")])
def test_whom_users_are_referred_to_says_where_connections_lead(
    run, clock, shards, population_of, past_dsproxy, through
):
    headcount = Headcount(
        population_of(10), shards, {}, past_dsproxy=past_dsproxy, clock=lambda: clock() / 1e9
    )
    expected = run(headcount.at_barrier()).expected
    directory = expected["directory"]
    assert {column: expected[column] for column in ("cas_to_dsproxy", "cas_to_gc")} == {
        "cas_to_dsproxy": 0,
        "cas_to_gc": 0,
    } | {through: directory}
