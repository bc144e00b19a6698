import asyncio

import pytest

from loadgen.engine.timers import TimerHeap

MS = 1_000_000


@pytest.fixture
def fired():
    """(due, fired) of each timer, in milliseconds."""
    return []


@pytest.fixture
def note(fired):
    return lambda due_ns, fired_ns: fired.append((due_ns / MS, fired_ns / MS))


def test_fires_in_order_of_due_time_then_of_asking(run, clock):
    names = []

    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock)
        for name, due_ms in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20)):
            timers.at(
                due_ms * MS,
                lambda due_ns, fired_ns, name=name: names.append((name, due_ns, fired_ns, clock())),
            )
        await asyncio.sleep(1)
        assert len(timers) == 0

    run(main())
    due = {"a": 10 * MS, "b1": 20 * MS, "b2": 20 * MS, "c": 30 * MS}
    assert names == [(name, at, at, at) for name, at in due.items()]


def test_never_fires_early_and_shows_the_millisecond_of_the_loop_as_lag(run, clock, fired, note):
    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock)
        timers.at(1_250_000, note)
        timers.at(7 * MS, note)
        await asyncio.sleep(1)

    run(main())
    assert fired == [(1.25, 2), (7, 7)]


def test_a_stalled_loop_shows_as_lag_and_what_passed_fires_at_once(run, clock, fired, note):
    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock)
        timers.at(10 * MS, lambda due_ns, fired_ns: clock.stall(0.250))
        timers.at(15 * MS, note)
        timers.at(300 * MS, note)
        timers.at(-5 * MS, note)
        await asyncio.sleep(1)

    run(main())
    assert fired == [(-5, 0), (15, 260), (300, 300)]


def test_what_is_cancelled_or_cleared_never_happens(run, clock, fired, note):
    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock)
        timers.at(10 * MS, note).cancel()
        timers.at(20 * MS, note)
        await asyncio.sleep(0.03)
        timers.at(40 * MS, note)
        timers.clear()
        timers.clear()
        await asyncio.sleep(0.03)
        timers.at(70 * MS, lambda due_ns, fired_ns: timers.at(80 * MS, note))
        await asyncio.sleep(0.1)

    run(main())
    assert fired == [(20, 20), (80, 80)]
