import asyncio

from loadgen.engine.timers import TimerHeap

MS = 1_000_000


def test_fires_in_order_of_due_time_then_of_asking(run, clock):
    fired: list[tuple[str, int, int]] = []

    def note(name):
        return lambda due_ns: fired.append((name, due_ns, clock()))

    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock, lambda lag: None)
        for name, due_ms in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20)):
            timers.at(due_ms * MS, note(name))
        await asyncio.sleep(1)
        assert len(timers) == 0

    run(main())
    assert fired == [
        ("a", 10 * MS, 10 * MS),
        ("b1", 20 * MS, 20 * MS),
        ("b2", 20 * MS, 20 * MS),
        ("c", 30 * MS, 30 * MS),
    ]


def test_never_fires_early_and_shows_the_millisecond_of_the_loop_as_lag(run, clock):
    lags = []

    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock, lags.append)
        timers.at(1_250_000, lambda due_ns: None)
        timers.at(7 * MS, lambda due_ns: None)
        await asyncio.sleep(1)

    run(main())
    assert lags == [750_000, 0]


def test_a_stalled_loop_shows_as_lag_and_what_passed_fires_at_once(run, clock):
    lags = []

    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock, lags.append)
        timers.at(10 * MS, lambda due_ns: clock.stall(0.250))
        timers.at(15 * MS, lambda due_ns: None)
        timers.at(300 * MS, lambda due_ns: None)
        timers.at(-5 * MS, lambda due_ns: None)
        await asyncio.sleep(1)

    run(main())
    assert lags == [5 * MS, 0, 245 * MS, 0]


def test_what_is_cancelled_or_cleared_never_happens(run, clock):
    fired = []

    async def main():
        timers = TimerHeap(asyncio.get_running_loop(), clock, lambda lag: None)
        timers.at(10 * MS, fired.append).cancel()
        timers.at(20 * MS, fired.append)
        await asyncio.sleep(0.03)
        timers.at(40 * MS, fired.append)
        timers.clear()
        timers.clear()
        await asyncio.sleep(0.03)
        timers.at(70 * MS, lambda due_ns: timers.at(80 * MS, fired.append))
        await asyncio.sleep(0.1)

    run(main())
    assert fired == [20 * MS, 80 * MS]
