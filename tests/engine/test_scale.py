"""A population grows and shrinks while it lives; every time is exact."""

import asyncio
import itertools

import msgspec
import pytest

from loadgen.engine.pace import Pace
from loadgen.engine.phases import MEASURE
from loadgen.engine.population import LivePopulation, StateCount
from loadgen.errors import ConnectionLost, HttpRefused
from loadgen.measure.recorder import Counts
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

S = 1_000_000_000
BUSY = HttpRefused(503, "Service Unavailable")
CAMPAIGN = Campaign(startup_hold=Duration(30), day=Duration(1000), duration=Duration(1000))


@pytest.fixture
def alive(make_surroundings, population_of):
    def make(users=10, indices=None, population_users=None, **keys):
        around = make_surroundings()
        campaign = msgspec.structs.replace(CAMPAIGN, **keys)
        population = population_of(population_users or users)
        return LivePopulation(campaign, population, indices or range(users), around), around

    return make


async def settle(population):
    while population.pending:  # noqa: ASYNC110 - polling is how the coordinator learns of it
        await asyncio.sleep(0.001)


def calls(world, method):
    """(user, seconds) of each call."""
    return [(index, round(at_ns / S, 2)) for name, index, at_ns in world.calls if name == method]


def test_users_come_one_after_the_other_at_the_rate_and_go_the_other_way_round(run, alive, world):
    async def main():
        population, around = alive()
        population.scale(4, S, 2.0)
        await settle(population)
        population.scale(6, around.clock(), 10.0)
        await settle(population)
        assert population.states() == [StateCount(0, True, 6)]
        await asyncio.sleep(100)
        population.scale(3, 200 * S, 2.0)
        await settle(population)
        assert [user.state for user in population.users] == ["logged_on"] * 3 + ["away"] * 7

    run(main())
    assert calls(world, "log_on") == [(0, 1.0), (1, 1.5), (2, 2.0), (3, 2.5), (4, 2.5), (5, 2.6)]
    assert calls(world, "log_off") == [(5, 200.0), (4, 200.5), (3, 201.0)]


def test_shards_together_keep_the_rate_and_the_order(run, alive, world):
    async def main():
        one, around = alive(indices=range(0, 9, 2), population_users=9)
        other, _ = alive(indices=range(1, 9, 2), population_users=9)
        other._around = around
        other._around.present = None
        for shard in (one, other):
            around.present = None
            shard.scale(5, 0, 1.0)
        await settle(one)
        await settle(other)
        for shard in (one, other):
            around.present = 5
            shard.scale(9, 100 * S, 1.0)
        await settle(one)
        await settle(other)

    run(main())
    assert sorted(calls(world, "log_on")) == [
        *((user, float(user)) for user in range(5)),
        *((user, 95.0 + user) for user in range(5, 9)),
    ]


def test_who_was_logged_off_logs_on_again(run, alive, world):
    async def main():
        population, around = alive(users=2)
        for users in (2, 0, 2):
            population.scale(users, around.clock(), 100.0)
            await settle(population)
        assert population.states() == [StateCount(0, True, 2)]
        world.client(1).on_notify()
        await asyncio.sleep(1)

    run(main())
    assert len(calls(world, "log_on")) == 4
    assert calls(world, "fetch_news")[0][0] == 1


def test_start_up_ends_by_itself_a_hold_after_each_log_on(run, alive, world):
    async def main():
        population, around = alive(users=3)
        population.log_on_first()
        await settle(population)
        population.scale(3, 10 * S, 1.0)
        await settle(population)
        await asyncio.sleep(5)
        population.scale(2, around.clock(), 100.0)
        population.scale(3, around.clock() + S, 100.0)
        await asyncio.sleep(100)
        assert population.states() == [StateCount(0, False, 3)]

    run(main())
    assert calls(world, "log_on") == [(0, 0.0), (1, 10.0), (2, 11.0)]
    assert calls(world, "end_startup") == [(0, 30.0), (1, 40.0), (2, 41.0)]


def test_the_end_of_an_earlier_start_up_does_not_end_the_next(run, alive, world):
    async def main():
        population, _ = alive(users=1)
        for users, at_s in ((1, 0), (0, 10), (1, 20)):
            population.scale(users, at_s * S, 1.0)
            await settle(population)
        await asyncio.sleep(100)

    run(main())
    assert calls(world, "end_startup") == [(0, 50.0)]


def test_a_later_command_takes_the_place_of_an_earlier_one(run, alive, world):
    async def main():
        population, around = alive()
        population.scale(10, 0, 1.0)
        await asyncio.sleep(2.5)
        population.scale(5, around.clock(), 1.0)
        await settle(population)
        await asyncio.sleep(100)

    run(main())
    assert calls(world, "log_on") == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 2.5), (4, 3.5)]


def test_who_is_called_back_while_he_leaves_comes_back(run, alive, world):
    world.delays = {"log_off": 3.0}

    async def main():
        population, around = alive(users=1)
        population.scale(1, 0, 1.0)
        await settle(population)
        population.scale(0, around.clock(), 1.0)
        await asyncio.sleep(1)
        population.scale(1, around.clock(), 1.0)
        await settle(population)
        assert population.users[0].state == "logged_on"

    run(main())
    assert [at_s for _, at_s in calls(world, "log_on")] == pytest.approx([0, 3], abs=0.01)


def test_who_waits_for_his_turn_to_log_on_is_sent_away_with_the_others(run, alive):
    async def main():
        population, around = alive()
        around.log_ons = Pace(1.0)
        population.scale(10, 0, 1000.0)
        await asyncio.sleep(2.5)
        population.scale(3, around.clock(), 1000.0)
        await settle(population)
        await asyncio.sleep(100)
        return [user.state for user in population.users]

    assert run(main()) == ["logged_on"] * 3 + ["away"] * 7


def test_who_was_refused_tries_again_with_the_next_command_or_is_away(run, alive, world):
    world.errors = {"log_on": [None, BUSY, BUSY, None]}

    async def main():
        population, around = alive(users=4)
        population.scale(3, 0, 1.0)
        await settle(population)
        assert [user.state for user in population.users] == ["logged_on", "refused", "refused", "away"]
        population.scale(2, around.clock(), 1.0)
        await settle(population)
        return [user.state for user in population.users]

    assert run(main()) == ["logged_on", "logged_on", "away", "away"]


def test_who_is_refused_may_try_again_so_often_and_no_more(run, alive, world):
    world.errors = {"log_on": BUSY}

    async def main():
        population, _ = alive(users=1, retry_refused=3, retry_refused_after=Duration(20))
        population.ramp(0)
        await asyncio.sleep(1000)
        [user] = population.users
        assert (user.state, user.refusal) == ("refused", BUSY)
        return await population.gauges()

    gauges = run(main())
    times_s = world.times_of("log_on")
    waits_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    assert len(waits_s) == 3
    assert all(10 <= wait_s <= 20 for wait_s in waits_s)
    assert (gauges.users_refused_total, gauges.users_refused_by) == (1, {"request_queue": 1})
    assert all(client.is_aborted for client in world.clients)


def test_who_gets_in_later_joins_the_day_and_ends_his_own_start_up(run, alive, world):
    """Of two messages a day, one was due before he came: it is not planned."""
    world.errors = {"log_on": [None, None, None, None, None, BUSY, None]}
    came_s = []

    async def main():
        population, around = alive(users=6, retry_refused=1, retry_refused_after=Duration(800))
        population.ramp(0)
        await settle(population)
        population.end_startup(around.clock())
        await settle(population)
        population.begin_day(around.clock(), around.clock() + 1000 * S)
        population.enter(MEASURE)
        began_s = around.clock() / S
        await asyncio.sleep(2000)
        late = world.clients[-1].account.index
        came_s.extend((late, world.times_of("log_on")[-1] - began_s))
        return around.recorder.snapshot(around.clock()), population

    snapshot, population = run(main())
    late, after_s = came_s
    missed = sum(send.due_ns < after_s * S for send in population._schedule.sends(late))
    sent = snapshot.counts["send_message"]
    assert sent == Counts(planned=12 - missed, done=12 - missed)
    assert (late, round(world.times_of("end_startup")[-1] - world.times_of("log_on")[-1])) == (late, 30)


def test_mail_goes_to_those_who_are_there(run, alive, world):
    async def main():
        population, around = alive(users=30)
        population.scale(6, 0, 100.0)
        await settle(population)
        population.begin_day(around.clock(), around.clock() + 1000 * S)
        await asyncio.sleep(2000)
        return around.recorder.snapshot(around.clock())

    snapshot = run(main())
    recipients = [
        to.index for client in world.clients for message in client.sent for to in message.recipients
    ]
    assert max(recipients) < 6
    assert sum(each.copies for each in snapshot.submitted) == len(recipients) == len(snapshot.arrived) == 48


def test_who_leaves_in_the_day_plans_no_more_and_who_comes_back_plans_the_rest(run, alive, world):
    async def main():
        population, around = alive(users=10)
        population.scale(10, 0, 100.0)
        await settle(population)
        origin_ns = around.clock()
        population.begin_day(origin_ns, origin_ns + 1000 * S)
        population.enter(MEASURE)
        await asyncio.sleep(300)
        population.scale(5, around.clock(), 1000.0)
        await asyncio.sleep(300)
        population.scale(10, around.clock(), 1000.0)
        await asyncio.sleep(2000)
        due_s = [send.due_ns / S for user in range(5, 10) for send in population._schedule.sends(user)]
        return around.recorder.snapshot(around.clock()).counts, due_s

    counts, due_s = run(main())
    missed = sum(300 < at_s < 600 for at_s in due_s)
    assert missed
    assert counts["send_message"] == Counts(planned=20 - missed, done=20 - missed)
    assert counts["read_message"].skipped == counts["delete_message"].skipped == 0


def test_sessions_end_and_begin_anew_while_work_waits(run, alive, world):
    world.delays = {"log_on": 1.0, "log_off": 1.0}

    async def main():
        population, around = alive(users=5, session_length=Duration(250))
        population.ramp(0)
        await settle(population)
        origin_ns = around.clock()
        population.begin_day(origin_ns, origin_ns + 1000 * S)
        population.enter(MEASURE)
        await asyncio.sleep(2000)
        assert population.states() == [StateCount(0, False, 5)]
        return around.recorder.snapshot(around.clock()).counts

    counts = run(main())
    assert counts["log_off"] == Counts(planned=20, done=20)
    assert counts["log_on"] == Counts(planned=25, done=25)
    assert counts["send_message"] == Counts(planned=10, done=10)
    assert not any(each.skipped for each in counts.values())


def test_a_new_session_may_be_refused(run, alive, world):
    world.errors = {"log_on": [*[None] * 5, BUSY, None]}

    async def main():
        population, around = alive(
            users=5, session_length=Duration(400), retry_refused=1, retry_refused_after=Duration(10)
        )
        population.ramp(0)
        await settle(population)
        population.end_startup(around.clock())
        await settle(population)
        population.begin_day(around.clock(), around.clock() + 400 * S)
        await asyncio.sleep(1500)
        assert population.states() == [StateCount(0, False, 5)]
        return around.recorder.snapshot(around.clock()).counts

    counts = run(main())
    assert (counts["log_on"].failed, counts["log_on"].done) == (1, 10)
    assert counts["send_message"].planned == counts["send_message"].done


def test_a_whole_population_comes_back_spread_as_the_server_said(run, alive, world):
    world.retries, world.retry_delay_s = 2, 10.0

    async def main():
        population, around = alive(users=200)
        population.scale(200, 0, 1000.0)
        await settle(population)
        world.calls.clear()
        cut_s = around.clock() / S
        for client in list(world.clients):
            client.on_lost(ConnectionLost("recycled"))
            client.on_lost(ConnectionLost("recycled"))
        gauges = await population.gauges()
        assert (gauges.users_logged_on, gauges.users_admitted, gauges.users_lost_total) == (0, 0, 200)
        await asyncio.sleep(20)
        return cut_s, await population.gauges()

    cut_s, gauges = run(main())
    waits_s = [at_s - cut_s for at_s in world.times_of("log_on")]
    assert len(waits_s) == 200
    assert 5 <= min(waits_s) < 5.5
    assert 9.5 < max(waits_s) <= 10.01
    assert (gauges.users_admitted, gauges.reconnects_total) == (200, 200)


def test_news_from_before_a_loss_is_late_by_the_loss_and_not_by_a_lag_of_ours(run, alive, world, ear):
    world.synchronisation_delay_s = 5.0

    async def main():
        population, _ = alive(users=2)
        population.scale(2, 0, 100.0)
        await settle(population)
        world.client(0).on_notify()
        world.errors = {"log_on": [BUSY] * 5 + [None], "fetch_news": BUSY}
        world.client(0).on_lost(ConnectionLost("reset"))
        await asyncio.sleep(1000)

    run(main())
    assert all(
        response_ms > 10_000 > service_ms for response_ms, service_ms in ear.times_ms("receive_message")
    )
    assert max(ear.lags_ms("receive_message")) < 1


def test_who_misses_a_connection_is_not_admitted(run, alive, world):
    async def main():
        population, _ = alive(users=2)
        population.scale(2, 0, 100.0)
        await settle(population)
        world.client(0).virtual_connections.pop("directory")
        gauges = await population.gauges()
        assert (gauges.users_logged_on, gauges.users_admitted) == (2, 1)

    run(main())
