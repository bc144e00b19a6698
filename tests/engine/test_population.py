import asyncio

import pytest

from loadgen.engine.phases import DRAIN, HOLD, MEASURE, RAMP, STARTUP, WARMUP
from loadgen.engine.population import LivePopulation, StateCount
from loadgen.errors import ConnectionLost, HttpRefused
from loadgen.measure.recorder import Counts
from loadgen.workload.arrival import Schedule
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

S = 1_000_000_000
CAMPAIGN = Campaign(
    name="test",
    ramp=Duration(10),
    startup_hold=Duration(30),
    day=Duration(1000),
    duration=Duration(1000),
    speed=1.0,
)


@pytest.fixture
def alive(make_surroundings, population_of, world):
    """Makes a live population on the running loop."""

    def make(users=10, indices=None, campaign=CAMPAIGN, speed=1.0, **profile):
        population = population_of(users, **profile)
        around = make_surroundings(speed=speed)
        return LivePopulation(campaign, population, indices or range(users), around), around

    return make


async def settle(population):
    while population.pending:  # noqa: ASYNC110 - polling is how the coordinator learns of it
        await asyncio.sleep(0.1)


def test_the_first_user_is_alone_and_says_why_he_was_refused(run, alive, world):
    world.errors = {"log_on": HttpRefused(401, "Unauthorized")}

    async def main():
        population, _ = alive()
        population.log_on_first()
        assert population.pending == 1
        await settle(population)
        assert population.first_refusal.startswith("HTTP 401 Unauthorized. ")
        assert len(world.clients) == 1

    run(main())


def test_all_others_follow_along_the_ramp_of_the_whole_population(run, alive, world, population_of):
    async def main():
        population, around = alive(users=10, indices=range(1, 10, 2))
        population.log_on_first()
        await settle(population)
        population.ramp(around.clock() + S)
        await settle(population)
        return around.clock()

    run(main())
    schedule = Schedule(CAMPAIGN, population_of(10))
    logged_on = {index: at_ns for method, index, at_ns in world.calls if method == "log_on"}
    assert set(logged_on) == {1, 3, 5, 7, 9}
    for index in (3, 5, 7, 9):
        due_ns = 100_000_000 + S + schedule.log_on_ns(index)
        assert 0 <= logged_on[index] - due_ns < 1_000_000


def test_start_up_is_held_as_long_as_the_campaign_says_from_each_users_log_on(run, alive, world):
    async def main():
        population, around = alive(users=3)
        population.ramp(around.clock())
        await settle(population)
        ended_s = {user.index: user.logged_on_ns / 1e9 + 30 for user in population.users}
        assert population.states() == [StateCount(0, True, 3)]
        population.end_startup(around.clock())
        await settle(population)
        assert population.states() == [StateCount(0, False, 3)]
        return ended_s

    expected_s = run(main())
    ended_s = {index: at_ns / 1e9 for method, index, at_ns in world.calls if method == "end_startup"}
    assert ended_s == pytest.approx(expected_s, abs=0.001)


def test_without_start_up_there_is_nothing_to_end(run, alive, world):
    async def main():
        population, around = alive(users=3, campaign=Campaign(startup="off", ramp=Duration(1)))
        population.ramp(around.clock())
        await settle(population)
        population.end_startup(around.clock())
        assert population.pending == 0
        assert population.states() == [StateCount(0, False, 3)]

    run(main())


def test_a_day_plans_what_the_profiles_say_for_those_who_are_there(run, alive, world, ear):
    async def main():
        population, around = alive(users=6)
        population.ramp(around.clock())
        await settle(population)
        world.errors = {}
        population.begin_day(around.clock() + 5 * S, around.clock() + 1005 * S)
        population.enter(MEASURE)
        await asyncio.sleep(2000)
        assert around.reactions == 0
        return around.recorder.snapshot(around.clock())

    counts = run(main()).counts
    assert counts["send_message"] == Counts(planned=12, done=12)
    assert counts["receive_message"] == counts["read_message"] == Counts(planned=48, done=48)


def test_gauges_know_everybody(run, alive, world):
    async def main():
        population, around = alive(users=4)
        population.ramp(around.clock())
        await settle(population)
        world.clients[-1].on_lost(ConnectionLost("reset"))
        await asyncio.sleep(100)
        return await population.gauges()

    refused = HttpRefused(503, "busy")
    world.errors = {"log_on": [None, refused, None, None, refused]}
    gauges = run(main())
    counted = (gauges.users_logged_on, gauges.users_refused_total, gauges.users_lost_total)
    assert counted == (2, 1, 1)
    assert gauges.connections_lost_total == 1
    assert gauges.virtual_connections == {"mail": 2, "directory": 2, "referral": 2}


def test_gauges_give_the_loop_its_turn(run, alive, monkeypatch):
    monkeypatch.setattr("loadgen.engine.population.USERS_PER_TURN", 2)

    async def main():
        population, _ = alive(users=6)
        turns = []

        async def other():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        before = len(turns)
        await population.gauges()
        task.cancel()
        return len(turns) - before

    assert run(main()) == 3


@pytest.mark.parametrize(
    ("warmup", "phase", "background", "working"),
    [
        (0, RAMP, "startup", False),
        (0, STARTUP, "startup", False),
        (0, WARMUP, None, False),
        (0, MEASURE, "receiving", True),
        (0, HOLD, "idle", True),
        (0, DRAIN, None, True),
        (60, HOLD, "idle", False),
        (60, DRAIN, None, False),
    ],
)
def test_a_phase_says_whose_the_traffic_is(run, alive, warmup, phase, background, working):
    async def main():
        population, _ = alive(users=1, campaign=Campaign(ramp=Duration(1), warmup=Duration(warmup)))
        population.enter(phase)
        [user] = population.users
        assert (user.background, user.working) == (background, working)

    run(main())


def test_idle_traffic_counts_user_seconds_in_the_hold_alone(run, alive, world):
    async def main():
        population, around = alive(users=2)
        population.ramp(around.clock())
        await settle(population)
        population.enter(MEASURE)
        await asyncio.sleep(100)
        population.enter(HOLD)
        await asyncio.sleep(40)
        world.client(0).bytes_sent += 8
        await population.gauges()
        await asyncio.sleep(60)
        population.enter(DRAIN)
        await asyncio.sleep(60)
        await population.gauges()
        return around.recorder.snapshot(around.clock())

    traffic = {part.kind: (part.octets, part.user_seconds) for part in run(main()).traffic}
    assert traffic["idle"] == (8, pytest.approx(200.0))
    assert traffic["receiving"] == (0, 0.0)


def test_who_polls_does_so_in_real_time_while_holding_and_soon_when_draining(run, alive, world):
    world.notifies = False
    world.octets = {"fetch_news": 100}
    fast = Campaign(ramp=Duration(0), startup="off", speed=20.0, day=Duration(1000))
    held_s = []

    async def main():
        population, around = alive(users=1, campaign=fast, speed=20.0)
        population.ramp(around.clock())
        await settle(population)
        for phase, lasts_s in ((MEASURE, 10), (HOLD, 200), (DRAIN, 5)):
            population.enter(phase)
            held_s.append(around.clock() / 1e9)
            await asyncio.sleep(lasts_s)
        await population.gauges()
        return around.recorder.snapshot(around.clock())

    snapshot = run(main())
    _, hold_s, drain_s = held_s
    polls_s = world.times_of("fetch_news")
    in_hold_s = [at_s for at_s in polls_s if hold_s <= at_s < drain_s]
    assert [at_s for at_s in polls_s if at_s < hold_s] == pytest.approx([3, 6, 9], abs=0.01)
    assert in_hold_s == pytest.approx([12, 72, 132, 192], abs=0.01)
    assert polls_s[-1] == pytest.approx(drain_s + 3, abs=0.01)
    assert {part.kind: part.octets for part in snapshot.traffic} == {"receiving": 300, "idle": 400}


def test_nobody_polls_who_takes_leave(run, alive, world):
    """Not even when a slow poll holds up a leave that then takes longer than the beat."""
    world.notifies = False
    world.delays = {"fetch_news": 0.9, "log_off": 5.0}
    fast = Campaign(ramp=Duration(0), startup="off", speed=60.0)

    async def main():
        population, around = alive(users=1, campaign=fast, speed=60.0)
        population.ramp(around.clock())
        await settle(population)
        await asyncio.sleep(1.5)
        population.log_off(around.clock(), 0.0)
        await settle(population)
        return around.recorder.snapshot(around.clock())

    snapshot = run(main())
    assert snapshot.counts["poll_mailbox"] == Counts(planned=1, done=1)
    assert snapshot.counts["log_off"] == Counts(planned=1, done=1)


def test_logging_off_is_spread_and_ends_everything(run, alive, world):
    async def main():
        population, around = alive(users=4)
        population.ramp(around.clock())
        await settle(population)
        start_s = around.clock() / 1e9
        population.begin_day(around.clock(), around.clock() + 1000 * S)
        population.log_off(around.clock(), 2.0)
        await settle(population)
        assert len(around.timers) == 0
        assert population.states() == []
        return start_s

    start_s = run(main())
    assert world.times_of("log_off") == pytest.approx(
        [start_s + each for each in (0, 0.5, 1, 1.5)], abs=0.002
    )
    assert world.times_of("send_message") == []


def test_logging_off_during_the_ramp_forgets_who_has_not_begun_and_waits_for_who_has(run, alive, world):
    world.delays = {"log_on": 3.0}

    async def main():
        population, around = alive(users=10)
        population.ramp(around.clock())
        await asyncio.sleep(5)
        begun = len(world.clients)
        assert 0 < begun < 10
        population.log_off(around.clock(), 0.0)
        await settle(population)
        assert {user.state for user in population.users} == {"gone"}
        assert len(world.times_of("log_off")) == len(world.clients) == begun

    run(main())


def test_abort_cuts_everybody(run, alive, world):
    async def main():
        population, around = alive(users=3)
        population.ramp(around.clock())
        await settle(population)
        population.abort()
        assert all(client.is_aborted for client in world.clients)

    run(main())
