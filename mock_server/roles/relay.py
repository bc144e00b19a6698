"""Carrying bytes between two connections, for proxies that parse nothing."""

import asyncio
from collections.abc import Callable
from typing import cast

from mock_server.limits.port_pool import PortLease


class Side(asyncio.Protocol):
    """One side of a connection; what comes in goes out on the other, no faster than that takes it.

    ``ended`` says that its peer has finished, ``finished`` that this side did so before.
    """

    transport: asyncio.Transport
    other: "Side | None" = None
    ended = False
    finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The side is open."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes for the other side."""
        if self.other is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """This direction is over; the other goes on, unless it was over already."""
        self.ended = True
        if self.other is not None:
            self.other.finish()
        return self.other is None or not self.other.ended

    def finish(self) -> None:
        """Nothing more comes from the other side."""
        self.finished = not self.ended
        self.transport.write_eof()

    def pause_writing(self) -> None:
        """This side takes no more for now."""
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side takes more again."""
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """With this side goes the other."""
        if self.other is not None:
            self.other.transport.close()


class FrontSide(Side):
    """The side of the client, of whom one read is kept until the other side is there.

    ``join`` is called when it is open, and sees to a :class:`BackSide` for it.
    """

    def __init__(self, join: Callable[["FrontSide"], None]) -> None:
        self._join = join
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there: get the other side."""
        super().connection_made(transport)
        self._join(self)

    def data_received(self, data: bytes) -> None:
        """Bytes for the other side, which may not be there yet."""
        if self.other is None:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def joined(self, other: Side) -> None:
        """The connection to the other side is open."""
        self.other = other
        if self._early:
            other.transport.write(self._early)
            self._early = b""
            self.transport.resume_reading()
        if self.ended:
            other.finish()


class BackSide(Side):
    """The side of the server behind, which holds a port."""

    def __init__(self, front: FrontSide, lease: PortLease) -> None:
        self._front = front
        self._lease = lease

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The other side is there, if the client still is."""
        super().connection_made(transport)
        if self._front.transport.is_closing():
            self.transport.abort()
        else:
            self.other = self._front
            self._front.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The port is free, or held for TIME_WAIT."""
        closed_here = self.finished or not self.ended
        self._lease.end(closed_here=error is None and closed_here)
        super().connection_lost(error)
