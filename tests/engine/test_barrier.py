import asyncio

from loadgen.engine.barrier import Gate


async def opening(gate, log, name, seconds):
    async with gate:
        log.append(f"{name} begins")
        await asyncio.sleep(seconds)
        log.append(f"{name} ends")


def test_a_frozen_gate_waits_for_what_is_under_way_and_holds_what_comes(run, clock):
    log = []

    async def main():
        gate = Gate()
        tasks = [asyncio.create_task(opening(gate, log, "first", 0.5))]
        await asyncio.sleep(0.1)
        freeze = asyncio.create_task(gate.freeze(2.0))
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(opening(gate, log, "second", 0.5)))
        assert await freeze == 0
        assert clock() == 500_000_000
        log.append("counted")
        gate.thaw()
        await asyncio.gather(*tasks)

    run(main())
    assert log == ["first begins", "first ends", "counted", "second begins", "second ends"]


def test_patience_ends(run, clock):
    async def main():
        gate = Gate()
        slow = asyncio.create_task(opening(gate, [], "slow", 60.0))
        await asyncio.sleep(0)
        assert await gate.freeze(2.0) == 1
        assert clock() == 2_000_000_000
        assert await gate.freeze(1.0) == 1
        gate.thaw()
        gate.thaw()
        await slow
        assert await gate.freeze(2.0) == 0

    run(main())
    assert clock() == 60_000_000_000


def test_an_opening_that_is_cancelled_while_held_leaves_nothing_under_way(run):
    async def main():
        gate = Gate()
        await gate.freeze(0)
        held, waiting = (asyncio.create_task(opening(gate, [], name, 1)) for name in "ab")
        await asyncio.sleep(0)
        held.cancel()
        await asyncio.sleep(0)
        assert (held.cancelled(), waiting.done(), gate.in_flight) == (True, False, 0)
        gate.thaw()
        await waiting
        assert gate.in_flight == 0

    run(main())
