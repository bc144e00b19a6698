"""Time in tests of the mock's sockets: it jumps, or is waited for without counting it."""

import asyncio


class Clock:
    """Makes the event loop's time jump."""

    def __init__(self, loop):
        self._time = loop.time
        self.ahead = 0.0
        loop.time = lambda: self._time() + self.ahead

    async def jump(self, seconds):
        self.ahead += seconds
        await turns()


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    """Waits for something that sockets bring about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.001)
