"""Barriers: nobody opens or closes a connection while all parties count."""

import asyncio
from types import TracebackType


class Gate:
    """What every opening and closing of connections passes through; closed, it holds them back.

    Use: ``async with gate: await client.log_on()``. Losses that the peer causes pass no gate.
    """

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self.in_flight = 0

    async def __aenter__(self) -> None:
        while self._opened is not None:
            await asyncio.shield(self._opened)
        self.in_flight += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        if self.in_flight == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def freeze(self, patience_s: float) -> int:
        """Hold back what comes, wait for what is under way; returns how many still are when patience ends."""
        loop = asyncio.get_running_loop()
        if self._opened is None:
            self._opened = loop.create_future()
        if self.in_flight:
            self._idle = loop.create_future()
            await asyncio.wait((self._idle,), timeout=patience_s)
            self._idle = None
        return self.in_flight

    def thaw(self) -> None:
        """Let through what was held back."""
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None
