"""A 32-bit proxy in front of the client access servers: it copies bytes as long as it has memory for that.

Each connection takes of the non-paged pool of its kernel, which is small on 32-bit machines (white paper,
"Port Exhaustion with Outlook Anywhere Causes Scalability Limitations"). When that is used up, a new
connection is reset before anything was said on it, as by HTTP.sys when it "has stopped receiving new
connections". What the proxy opens costs ports of its addresses.
"""

import asyncio
from typing import Final

from mock_server.counters import RoleCounters
from mock_server.limits.port_pool import PortPool
from mock_server.limits.table import LimitMeter
from mock_server.roles.connection import BACKLOG, connect_from_pool, reset
from mock_server.roles.relay import BackSide, FrontSide
from mock_server.topology import ReverseProxyServer, Topology

_BYTES_PER_KB: Final = 1000


class ReverseProxyRole:
    """Takes the clients' connections, and passes them on to the client access servers in turn."""

    def __init__(self, topology: Topology, server: ReverseProxyServer) -> None:
        self.connections = 0
        self.pool = LimitMeter("nonpaged_pool", server.connections(topology.limits))
        self._ports = PortPool(topology.limits, server.sources)
        self._server = server
        self._port = topology.http.port
        self._published = [each.address for each in topology.client_access]
        self._turn = 0
        self._failed_connects = 0
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _ClientSide(self), self._server.address, self._port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment; the clients' connections count here, not where they end."""
        pool = self.connections * self._server.kb_per_connection * _BYTES_PER_KB
        return RoleCounters(
            {"client_to_cas": self.connections},
            {
                "Memory\\Pool Nonpaged Bytes": pool,
                "Mock\\Reverse Proxy Failed Connects": self._failed_connects,
                **self.pool.report(),
                **self._ports.report(),
            },
        )

    def join(self, front: FrontSide) -> None:
        """Open the connection to a client access server that belongs to ``front``."""
        task = asyncio.get_running_loop().create_task(self._join(front))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, front: FrontSide) -> None:
        address = self._published[self._turn % len(self._published)]
        self._turn += 1
        try:
            await connect_from_pool(lambda lease: BackSide(front, lease), address, self._port, self._ports)
        except OSError:
            self._failed_connects += 1
            reset(front.transport)


class _ClientSide(FrontSide):
    """The side of a client, which takes of the pool."""

    def __init__(self, role: ReverseProxyRole) -> None:
        super().__init__(self._admit)
        self._role = role
        self._is_admitted = False

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_admitted:
            self._role.connections -= 1
            self._role.pool.give_back()
        super().connection_lost(error)

    def _admit(self, front: FrontSide) -> None:
        self._is_admitted = self._role.pool.take()
        if self._is_admitted:
            self._role.connections += 1
            self._role.join(front)
        else:
            reset(self.transport)
