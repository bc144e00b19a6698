"""The sockets of the server role: one listening port, and a leg for each connection."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from loadgen.errors import PeerError
from mock_server.counters import RoleCounters, RpcStatistics, logon_counters, recycle_counters
from mock_server.directory import Directory
from mock_server.faults import Delays, Service, SlowCalls
from mock_server.leg import Leg
from mock_server.logon import rpc_security
from mock_server.roles.connection import BACKLOG
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.server import RpcServer
from mock_server.topology import ServerTable, Topology

CounterNames = Mapping[str, Callable[[RpcServer], float]]


class RpcServerRole:
    """An RPC server on ``address`` and ``port``; its connections count in ``column`` of the table.

    ``more`` gives further counters, and ``delays`` is what its calls are delayed by.
    """

    def __init__(
        self,
        server: RpcServer,
        address: str,
        port: int,
        column: str,
        names: CounterNames,
        more: Callable[[], dict[str, float]] = dict,
        delays: Delays | None = None,
    ) -> None:
        self.server = server
        self.connections = 0
        self.delays = delays or Delays()
        self._more = more
        self._address = address
        self._port = port
        self._column = column
        self._names = names
        self._timer: asyncio.TimerHandle | None = None
        server.recyclings.wake = self.watch

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _LegConnection(self), self._address, self._port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        figures = self.server.endpoint.statistics
        counters = {name: count(self.server) for name, count in self._names.items()} | self._more()
        counters["Mock\\Pending Calls"] = figures.outstanding
        counters["Mock\\RPC Faults"] = figures.faults
        counters["Mock\\Protocol Errors"] = figures.protocol_errors
        counters |= logon_counters(figures.refused_logons)
        return RoleCounters({self._column: self.connections}, counters | recycle_counters(figures.recycles))

    def watch(self) -> None:
        """See to it that legs which wait in vain are closed in time."""
        loop = asyncio.get_running_loop()
        due = self.server.next_timeout(loop.time())
        if self._timer is None and due is not None:
            self._timer = loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.server.handle_timer(asyncio.get_running_loop().time())
        self.watch()


class _LegConnection(asyncio.Protocol):
    """A socket of a leg; what a turn of the loop has to send goes out in one piece."""

    def __init__(self, role: RpcServerRole) -> None:
        self._role = role
        self._loop = asyncio.get_running_loop()
        self._statistics: RpcStatistics = role.server.endpoint.statistics
        self._transport: asyncio.Transport | None = None
        self._leg: Leg = role.server.accept(self._wake)
        self._flushing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._role.connections += 1
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._leg.receive(data, self._loop.time())
        except PeerError:
            self._statistics.protocol_errors += 1
            self._leg.lost()
            self._wake()
        self._role.watch()

    def connection_lost(self, _error: Exception | None) -> None:
        self._role.connections -= 1
        self._transport = None
        self._leg.lost()

    def _wake(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None:
            return
        data = self._leg.data_to_send()
        if data:
            self._transport.write(data)
        if self._leg.closed:
            self._transport.close()


def rpc_server_role(
    topology: Topology,
    server: ServerTable,
    directory: Directory,
    port: int,
    interfaces: Iterable[Interface],
    service: Service,
    names: CounterNames,
    more: Callable[[], dict[str, float]] = dict,
) -> RpcServerRole:
    """The role that serves ``interfaces`` on one port of ``server``, as slowly as the topology wants it."""
    statistics = RpcStatistics()
    slow = SlowCalls(topology.faults, service, server.name, statistics)
    security = rpc_security(topology, server.name, directory)
    endpoint = Endpoint(server.name, port, slow.of(interfaces), statistics, security)
    rpc = RpcServer(topology.rpc.server, endpoint)
    return RpcServerRole(rpc, server.address, port, service, names, more, slow.delays)
