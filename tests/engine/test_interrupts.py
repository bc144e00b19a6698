"""Who gets a signal; these are real ones, of this process to itself."""

import asyncio
import signal

import pytest

from loadgen.engine.interrupts import interrupted_by

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


class Ear:
    """Hears of interrupts."""

    def __init__(self):
        self.heard = asyncio.Event()

    async def hears(self, number):
        signal.raise_signal(number)
        async with asyncio.timeout(10):
            await self.heard.wait()
        self.heard.clear()


@BOTH
async def test_what_is_innermost_has_them_and_then_what_is_around_it(number):
    before = signal.getsignal(number)
    outer, inner = Ear(), Ear()
    with interrupted_by(outer.heard.set):
        await outer.hears(number)
        with interrupted_by(inner.heard.set):
            await inner.hears(number)
            await asyncio.create_task(nested_in_a_task(number))
            await inner.hears(number)
            assert not outer.heard.is_set()
        await outer.hears(number)
        assert not inner.heard.is_set()
    assert signal.getsignal(number) in (before, signal.default_int_handler)


async def nested_in_a_task(number):
    ear = Ear()
    with interrupted_by(ear.heard.set):
        await ear.hears(number)
