"""DSProxy: carries the bytes of directory connections between clients and one global catalog server.

It parses nothing. For each connection that it takes it opens one to the global catalog, which costs a port of
the mailbox server's addresses.
"""

import asyncio
import errno
from collections.abc import Sequence
from typing import cast

from mock_server.counters import RoleCounters
from mock_server.port_pool import PortLease, PortPool
from mock_server.roles.connection import BACKLOG, connect_from_pool


class DirectoryProxyRole:
    """Listens on ``address`` and ``port``, and copies to and from the same port of a global catalog.

    It uses one of ``global_catalogs`` for all, the first to begin with, and goes on to the next when that is
    not to be had. Connections come from ``ports``.
    """

    def __init__(self, address: str, port: int, global_catalogs: Sequence[str], ports: PortPool) -> None:
        self.connections = 0
        self.failed_connects = 0
        self.failovers = 0
        self._address = address
        self._port = port
        self._global_catalogs = tuple(global_catalogs)
        self._current = 0
        self._ports = ports
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _FrontEnd(self), self._address, self._port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        return RoleCounters(
            {"dsproxy": self.connections},
            {
                "Mock\\DSProxy Failed Connects": self.failed_connects,
                "Mock\\DSProxy Failovers": self.failovers,
                **self._ports.report(),
            },
        )

    def join(self, front: "_FrontEnd") -> None:
        """Open the connection to the global catalog that belongs to ``front``."""
        task = asyncio.get_running_loop().create_task(self._join(front))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, front: "_FrontEnd") -> None:
        for _ in self._global_catalogs:
            current = self._current
            try:
                await connect_from_pool(
                    lambda lease: _BackEnd(front, lease),
                    self._global_catalogs[current],
                    self._port,
                    self._ports,
                )
            except OSError as error:
                self.failed_connects += 1
                if error.errno == errno.EADDRNOTAVAIL:
                    break
                self._fail_over(current)
            else:
                return
        front.transport.abort()

    def _fail_over(self, gone: int) -> None:
        """Use the next global catalog, unless another connection has found out before."""
        if self._current == gone and len(self._global_catalogs) > 1:
            self._current = (gone + 1) % len(self._global_catalogs)
            self.failovers += 1


class _Side(asyncio.Protocol):
    """One side of a connection; what comes in goes out on the other, no faster than that takes it.

    ``ended`` says that its peer has finished, ``finished`` that this side did so before.
    """

    transport: asyncio.Transport
    other: "_Side | None" = None
    ended = False
    finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
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
            other.finish()

    def connection_lost(self, error: Exception | None) -> None:
        self._role.connections -= 1
        super().connection_lost(error)


class _BackEnd(_Side):
    """The side of the global catalog, which holds a port."""

    def __init__(self, front: _FrontEnd, lease: PortLease) -> None:
        self._front = front
        self._lease = lease

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._front.transport.is_closing():
            self.transport.abort()
        else:
            self.other = self._front
            self._front.joined(self)

    def connection_lost(self, error: Exception | None) -> None:
        closed_here = self.finished or not self.ended
        self._lease.end(closed_here=error is None and closed_here)
        super().connection_lost(error)
