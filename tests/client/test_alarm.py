"""Alarms over a clock and a loop of our own."""

import asyncio
from math import inf
from types import SimpleNamespace

import pytest
import uvloop

from loadgen.client.alarm import AlarmClock, alarm_clock

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Loop:
    """What an event loop has of timers, moved by hand."""

    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_at(self, when, callback):
        timer = (when, callback)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def advance(self, now):
        self.now = now
        due = [timer for timer in self.timers if timer[0] <= now]
        self.timers = [timer for timer in self.timers if timer[0] > now]
        for _, callback in due:
            callback()


class Sleeper:
    def __init__(self):
        self.alarm_at = inf
        self.woken = []

    def wake(self, now):
        self.woken.append(now)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def clock(loop):
    return AlarmClock(loop.time, loop.call_at)


def test_sleepers_wake_in_turn(loop, clock):
    first, second, third = (Sleeper() for _ in range(3))
    clock.set(second, 120.0)
    clock.set(third, 130.0)
    clock.set(first, 110.0)
    assert [when for when, _ in loop.timers] == [110.0]
    for now in (109.0, 110.0, 125.0, 131.0):
        loop.advance(now)
    assert [first.woken, second.woken, third.woken] == [[110.0], [125.0], [131.0]]
    assert first.alarm_at == inf
    assert loop.timers == []


def test_only_the_latest_alarm_counts(loop, clock):
    sleeper = Sleeper()
    clock.set(sleeper, 110.0)
    clock.set(sleeper, 105.0)
    loop.advance(105.0)
    loop.advance(110.0)
    assert sleeper.woken == [105.0]
    clock.set(sleeper, 120.0)
    sleeper.alarm_at = -inf  # no more
    loop.advance(120.0)
    assert sleeper.woken == [105.0]


def test_a_timer_may_be_a_little_early(loop, clock):
    """And what sets its alarm anew is not woken twice for it."""
    sleeper = Sleeper()
    sleeper.wake = lambda now: (sleeper.woken.append(now), clock.set(sleeper, now + 10))
    clock.set(sleeper, 110.0)
    loop.now = 109.9995
    loop.timers.pop()[1]()
    assert sleeper.woken == [110.0]
    assert [when for when, _ in loop.timers] == [120.0]


def test_many_alarms_need_one_timer(loop, clock):
    sleepers = [Sleeper() for _ in range(100)]
    for number, sleeper in enumerate(sleepers):
        clock.set(sleeper, 110.0 + number)
    assert len(loop.timers) == 1
    loop.advance(250.0)
    assert all(sleeper.woken == [250.0] for sleeper in sleepers)


def test_there_is_never_more_than_one_timer(loop, clock):
    """Sleepers that set their next alarm when woken, as pings do, while others come with earlier ones."""
    for number in range(20):
        sleeper = Sleeper()
        sleeper.wake = lambda now, sleeper=sleeper: (sleeper.woken.append(now), clock.set(sleeper, now + 60))
        clock.set(sleeper, 150.0 - number)
    for now in range(100, 400):
        loop.advance(float(now))
        clock.set(Sleeper(), now + 0.5)
        assert len(loop.timers) == 1


def test_one_that_fails_does_not_keep_the_others_asleep(loop, clock):
    failing, fine = Sleeper(), Sleeper()
    failing.wake = lambda _: 1 / 0
    clock.set(failing, 110.0)
    clock.set(fine, 110.0)
    with pytest.raises(ZeroDivisionError):
        loop.advance(110.0)
    loop.advance(110.0)
    assert fine.woken == [110.0]


async def test_each_loop_has_its_own():
    clock = alarm_clock()
    assert alarm_clock() is clock
    done = asyncio.get_running_loop().create_future()
    sleeper = Sleeper()
    sleeper.wake = done.set_result
    clock.set(sleeper, 0.0)
    assert await done > 0.0
