"""DSProxy: carries the bytes of directory connections between clients and one global catalog server.

It parses nothing. For each connection that it takes it opens one to the global catalog, which costs a port of
the mailbox server's addresses.
"""

import asyncio
import errno
from collections.abc import Sequence

from mock_server.counters import RoleCounters
from mock_server.limits.port_pool import PortPool
from mock_server.roles.connection import BACKLOG, connect_from_pool
from mock_server.roles.relay import BackSide, FrontSide


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

    def join(self, front: FrontSide) -> None:
        """Open the connection to the global catalog that belongs to ``front``."""
        task = asyncio.get_running_loop().create_task(self._join(front))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, front: FrontSide) -> None:
        for _ in self._global_catalogs:
            current = self._current
            try:
                await connect_from_pool(
                    lambda lease: BackSide(front, lease),
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


class _FrontEnd(FrontSide):
    """The side of the client, which the role counts."""

    def __init__(self, role: DirectoryProxyRole) -> None:
        super().__init__(role.join)
        self._role = role

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._role.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._role.connections -= 1
        super().connection_lost(error)
