"""A pause in the schedule: everything afterwards comes later by its length, to the nanosecond."""

import asyncio

import msgspec
import pytest

from loadgen.engine.phases import DRAIN, MEASURE, PAUSE, WARMUP
from loadgen.engine.population import LivePopulation
from loadgen.engine.standing_clock import StandingClock
from loadgen.engine.timers import ScheduleTimers
from loadgen.measure.recorder import Arrived, Counts, Submitted
from loadgen.workload.arrival import Schedule
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

S = 1_000_000_000
MS = 1_000_000
DAY_S = 1000
CAMPAIGN = Campaign(startup="off", day=Duration(DAY_S), duration=Duration(DAY_S))


def test_a_standing_clock_tells_real_time_without_its_pauses(clock):
    time = StandingClock(clock)
    clock.now_ns = 100
    assert (time(), time.stands, time.stood_ns) == (100, False, 0)
    time.stop()
    clock.now_ns = 130
    time.stop()
    assert (time(), time.stands, time.stood_ns) == (100, True, 30)
    assert time.of(90) == 90
    clock.now_ns = 150
    assert time.go() == (100, 50)
    assert time.go() is None
    clock.now_ns = 160
    assert (time(), time.stands, time.stood_ns) == (110, False, 50)
    time.stop()
    clock.now_ns = 170
    assert time.go() == (160, 10)
    assert [time.of(real) for real in (100, 120, 150, 155, 160, 165, 200)] == [
        *(100, 100, 100, 105, 110, 110, 140)
    ]
    assert [time.real(time.of(real)) for real in (170, 200, 10**9)] == [170, 200, 10**9]


def test_timers_of_the_schedule_fire_later_by_the_pauses_and_say_so(run, clock):
    fired = []

    async def main():
        timers = ScheduleTimers(asyncio.get_running_loop(), clock)
        for due_ms in (10, 20, 30):
            timers.at(due_ms * MS, lambda due, now: fired.append((due / MS, now / MS)))
        await asyncio.sleep(0.015)
        timers.pause()
        timers.at(timers.time() + MS, lambda due, now: fired.append(("asked in the pause", due / MS)))
        await asyncio.sleep(1)
        assert timers.resume() == (15 * MS, 1000 * MS)
        assert timers.resume() is None
        await asyncio.sleep(1)

    run(main())
    assert fired == [(10, 10), ("asked in the pause", 1016), (1020, 1020), (1030, 1030)]


def test_nothing_spins_while_the_schedule_stands(run, clock):
    async def main():
        loop = asyncio.get_running_loop()
        turns = 0
        call_later = loop.call_later

        def counted(*arguments):
            nonlocal turns
            turns += 1
            return call_later(*arguments)

        loop.call_later = counted
        timers = ScheduleTimers(loop, clock)
        timers.pause()
        timers.at(timers.time() + 1, lambda due, now: None)
        await asyncio.sleep(3600)
        return turns

    assert run(main()) <= 1


@pytest.fixture
def alive(make_surroundings, population_of):
    def make(users=8, **keys):
        around = make_surroundings()
        campaign = msgspec.structs.replace(CAMPAIGN, **keys)
        population = population_of(users)
        return LivePopulation(campaign, population, range(users), around), around, population

    return make


async def all_in(population, until_s=DAY_S):
    population.enter(WARMUP)
    population.scale(len(population.users), 0, 1e6)
    await asyncio.sleep(0.1)
    population.begin_day(S, (1 + until_s) * S)
    population.enter(MEASURE)


async def pause(population, at_s, for_s, then=MEASURE):
    await asyncio.sleep(at_s - asyncio.get_running_loop().time())
    population.enter(PAUSE)
    await asyncio.sleep(for_s)
    population.enter(then)


def sends(world):
    return [round(at_s, 2) for at_s in sorted(world.times_of("send_message"))]


def test_arrivals_are_neither_skipped_nor_burst_and_response_times_do_not_count_the_pause(
    run, alive, world, ear
):
    world.delays = {"send_message": 0.2, "fetch_news": 0.05, "read_message": 0.1, "delete_message": 0.1}

    async def play(*pauses):
        population, around, people = alive()
        await all_in(population)
        for at_s, for_s in pauses:
            await pause(population, at_s, for_s)
        await asyncio.sleep(2 * DAY_S)
        snapshot = around.recorder.snapshot(around.clock())
        schedule = Schedule(CAMPAIGN, people)
        due = sorted(1 + send.due_ns / S for user in range(8) for send in schedule.sends(user))
        return snapshot, due

    snapshot, due = run(play((300, 400), (800, 50)))
    expected = [at + (400 if at > 300 else 0) + (50 if at + 400 > 800 and at > 300 else 0) for at in due]
    assert sends(world) == pytest.approx(expected, abs=0.011)
    assert any(at > 300 for at in due), "something has to come after the pause"
    counts = snapshot.counts
    assert counts["send_message"] == Counts(planned=16, done=16)
    assert counts["read_message"] == Counts(planned=64, done=64)
    deleted = counts["delete_message"]
    assert deleted.planned == deleted.done > 25
    assert max(response for response, _ in ear.times_ms("send_message")) < 202
    assert max(response for response, _ in ear.times_ms("read_message")) < 1000
    assert max(ear.lags_ms("send_message"), default=0) < 2
    timed = snapshot.histograms["send_message.response"].count
    assert timed == 16, "the measured phase is as much longer as the pauses were"


def test_mail_on_its_way_is_fetched_in_the_pause_and_read_after_it(run, alive, world):
    async def main():
        population, _, _ = alive(6)
        population.enter(WARMUP)
        population.scale(2, 0, 1e6)
        await asyncio.sleep(1)
        population.begin_day(S, 500 * S)
        population.enter(MEASURE)
        population.enter(PAUSE)
        await asyncio.sleep(9)
        world.deliver(1, "mail")
        await asyncio.sleep(40)
        assert (world.times_of("fetch_news"), world.times_of("read_message")) == ([10.0], [])
        population.enter(MEASURE)
        await asyncio.sleep(100)

    run(main())
    read_s = world.times_of("read_message")[0]
    assert 50 <= read_s <= 70


def test_polls_stand_too_and_what_they_find_late_is_not_the_servers_fault(run, alive, world, ear):
    world.notifies = False

    async def main():
        population, around, _ = alive(6)
        population.enter(WARMUP)
        population.scale(2, 0, 1e6)
        await asyncio.sleep(1)
        population.begin_day(S, 500 * S)
        population.enter(MEASURE)
        await asyncio.sleep(29)
        world.deliver(1, "mail")
        population.enter(PAUSE)
        await asyncio.sleep(200)
        assert world.times_of("fetch_news") == []
        population.enter(MEASURE)
        await asyncio.sleep(60)
        return around.recorder.snapshot(around.clock())

    snapshot = run(main())
    assert world.times_of("fetch_news") == pytest.approx([260, 260], abs=0.002)
    [arrived] = snapshot.arrived
    assert (arrived.user, arrived.at_ns / S) == (1, pytest.approx(60, abs=0.002))
    assert max(response for response, _ in ear.times_ms("poll_mailbox")) < 2


def test_users_may_come_and_go_while_the_schedule_stands(run, alive, world):
    async def main():
        population, around, _ = alive(6)
        await all_in(population)
        await asyncio.sleep(1)
        population.enter(PAUSE)
        population.scale(2, around.clock(), 10.0)
        await asyncio.sleep(10)
        assert [user.state for user in population.users] == ["logged_on"] * 2 + ["away"] * 4
        population.scale(6, around.clock(), 10.0)
        await asyncio.sleep(10)
        assert [user.state for user in population.users] == ["logged_on"] * 6
        assert world.times_of("send_message") == []
        population.enter(MEASURE)
        await asyncio.sleep(2 * DAY_S)
        return around.recorder.snapshot(around.clock())

    counts = run(main()).counts["send_message"]
    assert counts == Counts(planned=12, done=12)


def test_a_pause_in_the_warm_up_puts_the_whole_measured_phase_off(run, alive, ear):
    async def main():
        population, around, _ = alive(6)
        population.enter(WARMUP)
        population.begin_day(10 * S, 20 * S)
        await pause(population, 5, 100, WARMUP)
        ear.lag("send_message", 109 * S, 109 * S)
        ear.lag("send_message", 110 * S, 110 * S)
        ear.lag("send_message", 119 * S, 119 * S)
        ear.lag("send_message", 120 * S, 120 * S)
        return around.recorder.snapshot(around.clock())

    assert run(main()).histograms["send_message.lag"].count == 2


def test_a_drain_ends_a_pause(run, alive, world):
    async def main():
        population, around, _ = alive(6)
        await all_in(population)
        await pause(population, 2, 50, DRAIN)
        assert not around.schedule.time.stands

    run(main())


def test_the_closed_shape_stands_too(run, alive, world):
    world.delays = {"send_message": 1.0}

    async def main():
        population, _, _ = alive(6, shape="closed")
        await all_in(population, until_s=10)
        await pause(population, 3.5, 100)
        await asyncio.sleep(100)

    run(main())
    at_s = sends(world)
    assert not [each for each in at_s if 4 < each < 103.5]
    assert max(at_s) > 110
    assert 6 * 10 <= len(at_s) <= 6 * 12, "each user one a second, for the ten seconds of the schedule"


def test_a_day_that_is_cut_short_planned_what_was_due(run, alive, world):
    async def main():
        population, around, _ = alive()
        await all_in(population)
        await asyncio.sleep(DAY_S / 2)
        population.cut_short()
        await asyncio.sleep(DAY_S)
        return around.recorder.snapshot(around.clock())

    counts = run(main()).counts["send_message"]
    assert 0 < counts.planned < 16
    assert counts.planned == counts.done == len(world.times_of("send_message"))


def test_who_goes_before_his_first_day_had_nothing_planned(run, alive):
    async def main():
        population, around, _ = alive(6)
        population.scale(2, 0, 100.0)
        await asyncio.sleep(1)
        population.scale(0, around.clock(), 100.0)
        await asyncio.sleep(1)
        return around.recorder.snapshot(around.clock())

    assert "send_message" not in run(main()).counts


def test_the_ledger_is_told_to_whom_a_message_goes(run, alive, world):
    world.delays = {"send_message": 0.0}

    async def main():
        population, around, _ = alive(8)
        await all_in(population)
        await asyncio.sleep(DAY_S)
        return around.recorder.snapshot(around.clock())

    snapshot = run(main())
    [submitted, *_] = snapshot.submitted
    assert isinstance(submitted, Submitted)
    assert len(submitted.users) == submitted.copies == 4
    assert {each.user for each in snapshot.arrived if each.key == submitted.key} == set(submitted.users)
    assert isinstance(snapshot.arrived[0], Arrived)
