import asyncio

import msgspec
import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.organisation import Accounts, Endpoint, Organisation
from loadgen.engine import live_shard, worker
from loadgen.engine.live_shard import Shard
from loadgen.engine.phases import MEASURE
from loadgen.engine.population import StateCount
from loadgen.engine.shards import ShardPlan
from loadgen.errors import LocalProtocolError
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

ORGANISATION = Organisation(
    cas=(Endpoint("CAS1", "127.0.10.1", 18080), Endpoint("CAS2", "127.0.10.2", 18080)),
    servers={},
    counters_url="http://127.0.10.250:18090",
    accounts=Accounts(
        count=10,
        domain="contoso.test",
        organisation="Contoso",
        administrative_group="AG",
        alias="user{index:05d}",
        display_name="User {index:05d}",
        password="x",
        servers=("MBX1",),
        public_servers=("PF1",),
    ),
)


@pytest.fixture
def plan(population_of):
    return ShardPlan(
        shard=1,
        users=range(1, 10, 2),
        campaign=Campaign(ramp=Duration(4), duration=Duration(50), day=Duration(50), speed=1.0),
        population=population_of(10),
        proxies=(RpcProxy("127.0.10.1", 18080), RpcProxy("127.0.10.2", 18080)),
        accounts=ORGANISATION,
        source_addresses=("127.0.30.1", "127.0.30.2", "127.0.30.3"),
        ports=100,
    )


def test_a_shard_reports_its_users_and_its_own_condition(run, clock, world, plan, monkeypatch):
    cpu_ns = iter(range(0, 10**12, 3_000_000_000))
    monkeypatch.setattr(live_shard.time, "thread_time_ns", lambda: next(cpu_ns))

    async def main():
        shard = Shard(plan, world.connect, clock)
        shard.population.ramp(shard.after(1.0))
        await asyncio.sleep(6)
        shard.population.enter(MEASURE)
        shard.begin_day(0.0, 50.0)
        reports = []
        for _ in range(3):
            reports.append(await shard.report(descriptors=77))
            await asyncio.sleep(5)
        await asyncio.sleep(100)
        reports.append(await shard.report(descriptors=77))
        await shard.end()
        return reports

    first, second, third, last = run(main())
    assert first.states == [StateCount(0, True, 5)]
    assert first.pending == 0
    gauges = first.snapshot.gauges
    assert (gauges.users_logged_on, gauges.descriptors, gauges.ports_use) == (5, 77, 2 * 15 / 100)
    assert min(gauges.descriptors_limit, gauges.resident_octets, gauges.cpu_s_total) > 0
    assert first.snapshot.counts["log_on"].done == 5
    # Three seconds of processor time in each five: known when ten have passed.
    assert (second.snapshot.gauges.busy, third.snapshot.gauges.busy) == (0.0, pytest.approx(0.6))
    sent = [report for report in (first, second, third, last) if "send_message" in report.snapshot.counts]
    assert sum(each.snapshot.counts["send_message"].done for each in sent) == 10
    assert last.left_to_do == 0
    assert last.bug == ""
    assert {client.account.index for client in world.clients} == {1, 3, 5, 7, 9}
    assert all(client.is_aborted for client in world.clients)


def test_a_frozen_shard_can_be_counted(run, clock, world, plan):
    async def main():
        shard = Shard(plan, world.connect, clock)
        shard.population.ramp(shard.after(0.0))
        await asyncio.sleep(5)
        assert await shard.freeze(1.0) == 0
        census = await shard.census()
        shard.thaw()
        await shard.end()
        return census

    census = run(main())
    assert (census.states, census.virtual_connections) == ([StateCount(0, True, 5)], 15)


def test_a_bug_is_told_with_its_place(run, clock, world, plan):
    world.errors = {"log_on": LocalProtocolError("called twice")}

    async def main():
        shard = Shard(plan, world.connect, clock)
        shard.population.ramp(shard.after(0.0))
        await asyncio.sleep(5)
        report = await shard.report(0)
        await shard.end()
        return report

    report = run(main())
    assert report.bug == "LocalProtocolError: called twice"
    assert "Traceback" in report.trace
    assert "log_on" in report.trace


@pytest.fixture
def hosted(plan, world, monkeypatch):
    """This process as the host of a shard whose clients are fake; the loop's thread and its time are real."""
    monkeypatch.setattr(worker, "OutlookClient", FakeOutlook)
    campaign = msgspec.structs.replace(plan.campaign, ramp=Duration(0))
    worker.open_shard(msgspec.structs.replace(plan, campaign=campaign))
    yield
    worker.close_shard()


class FakeOutlook:
    """Opens nothing, and says where it would have connected to."""

    proxies: dict = {}
    notifies = True
    poll_interval_s = 60.0
    bytes_sent = bytes_received = 0
    virtual_connections = {"mail": 1}

    def __init__(self, account, client_type, proxy, **about):
        self.proxies[account.index] = (proxy.host, *proxy.source_addresses)

    async def log_on(self):
        await asyncio.sleep(0)

    end_startup = log_off = log_on

    def abort(self):
        pass


def wait_for(condition):
    """Asks until it is so; the test's own time-out is the limit."""
    while not condition():
        pass


def test_a_worker_is_led_by_short_calls(hosted):
    worker.enter("ramp")
    worker.log_on_first()
    wait_for(lambda: worker.report().pending == 0)
    assert worker.census().virtual_connections == 1
    worker.ramp(0.0)
    wait_for(lambda: worker.report().snapshot.gauges.users_logged_on == 5)
    assert worker.freeze(1.0) == 0
    worker.thaw()
    worker.end_startup()
    worker.begin_day(3600.0, 1.0)
    worker.log_off(0.0)
    wait_for(lambda: worker.report().pending == 0)
    assert worker.census().states == []
    assert FakeOutlook.proxies == {
        1: ("127.0.10.2", "127.0.30.2"),
        3: ("127.0.10.2", "127.0.30.1"),
        5: ("127.0.10.2", "127.0.30.3"),
        7: ("127.0.10.2", "127.0.30.2"),
        9: ("127.0.10.2", "127.0.30.1"),
    }


def test_a_process_that_hosts_nothing_says_so():
    worker.close_shard()
    with pytest.raises(RuntimeError, match="hosts no shard"):
        worker.report()
