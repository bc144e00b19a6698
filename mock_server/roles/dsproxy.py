"""DSProxy: carries the bytes of directory connections between clients and one global catalog server.

It parses nothing. For each connection that it takes it opens one to the global catalog, from its own address.
"""

import asyncio
from typing import cast

from mock_server.counters import RoleCounters
from mock_server.roles.connection import BACKLOG, connect


class DirectoryProxyRole:
    """Listens on ``address`` and ``port``, and copies to and from the same port of ``global_catalog``."""

    def __init__(self, address: str, port: int, global_catalog: str) -> None:
        self.connections = 0
        self.failed_connects = 0
        self._address = address
        self._port = port
        self._global_catalog = global_catalog
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _FrontEnd(self), self._address, self._port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        return RoleCounters(
            {"dsproxy": self.connections}, {"Mock\\DSProxy Failed Connects": self.failed_connects}
        )

    def join(self, front: "_FrontEnd") -> None:
        """Open the connection to the global catalog that belongs to ``front``."""
        task = asyncio.get_running_loop().create_task(self._join(front))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, front: "_FrontEnd") -> None:
        try:
            await connect(lambda: _BackEnd(front), self._global_catalog, self._port, self._address)
        except OSError:
            self.failed_connects += 1
            front.transport.abort()


class _Side(asyncio.Protocol):
    """One side of a connection; what comes in goes out on the other, no faster than that takes it."""

    transport: asyncio.Transport
    other: "_Side | None" = None
    ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """This direction is over; the other goes on, unless it was over already."""
        self.ended = True
        if self.other is not None:
            self.other.transport.write_eof()
        return self.other is None or not self.other.ended

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


class _FrontEnd(_Side):
    """The side of the client, of whom one read is kept until the other side is there."""

    def __init__(self, role: DirectoryProxyRole) -> None:
        self._role = role
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._role.connections += 1
        self._role.join(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def joined(self, other: _Side) -> None:
        """The connection to the global catalog is open."""
        self.other = other
        if self._early:
            other.transport.write(self._early)
            self._early = b""
            self.transport.resume_reading()
        if self.ended:
            other.transport.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._role.connections -= 1
        super().connection_lost(error)


class _BackEnd(_Side):
    """The side of the global catalog."""

    def __init__(self, front: _FrontEnd) -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._front.transport.is_closing():
            self.transport.abort()
        else:
            self.other = self._front
            self._front.joined(self)
