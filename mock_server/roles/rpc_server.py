"""The sockets of an RPC server: a port for proxies, one for clients inside the firewall, a leg each time."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from mock_server.counters import RoleCounters, RpcStatistics, logon_counters, recycle_counters
from mock_server.direct_server import DirectServer
from mock_server.directory import Directory
from mock_server.faults import Delays, Service, SlowCalls
from mock_server.roles.connection import BACKLOG
from mock_server.roles.leg_connection import LegConnection
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpc.security import LEVELS
from mock_server.rpch.server import RpcServer
from mock_server.security.logon import rpc_security
from mock_server.topology import ServerTable, Topology

CounterNames = Mapping[str, Callable[["RpcServerRole"], float]]


class RpcServerRole:
    """An RPC server on ``address`` and ``port``; its connections count in ``column`` of the table.

    ``more`` gives further counters, and ``delays`` is what its calls are delayed by. ``direct`` is the server
    of the same service for clients inside the firewall, and its port; they count in ``client_to_servers``,
    too. Without an address it is reached within the process, and counts no connections.
    """

    def __init__(
        self,
        server: RpcServer,
        address: str | None,
        port: int,
        column: str,
        names: CounterNames,
        more: Callable[[], dict[str, float]] = dict,
        delays: Delays | None = None,
        direct: tuple[DirectServer, int] | None = None,
    ) -> None:
        self.server = server
        self.connections = 0
        self.direct_connections = 0
        self.delays = delays or Delays()
        self._more = more
        self._address = address
        self._port = port
        self._column = column
        self._names = names
        self._direct = direct
        self._timer: asyncio.TimerHandle | None = None
        server.recyclings.wake = self.watch

    @property
    def endpoint(self) -> Endpoint:
        """What is served, and how often."""
        return self.server.endpoint

    @property
    def virtual_connections(self) -> int:
        """How many are open, those of clients inside the firewall included."""
        return self.server.virtual_connections + (self._direct[0].associations if self._direct else 0)

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        if self._address is None:
            return
        loop = asyncio.get_running_loop()
        statistics = self.endpoint.statistics
        proxied = partial(LegConnection, self.server.accept, statistics, self._count, self.watch)
        await loop.create_server(proxied, self._address, self._port, backlog=BACKLOG)
        if self._direct is not None:
            server, port = self._direct
            inside = partial(LegConnection, server.accept, statistics, self._count_direct)
            await loop.create_server(inside, self._address, port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        figures = self.endpoint.statistics
        counters = {name: count(self) for name, count in self._names.items()} | self._more()
        counters["Mock\\Pending Calls"] = figures.outstanding
        counters["Mock\\RPC Faults"] = figures.faults
        counters["Mock\\Protocol Errors"] = figures.protocol_errors
        calls = figures.calls_by_level
        counters |= {f"Mock\\RPC Calls at Level {name}": calls[level] for name, level in LEVELS.items()}
        counters |= logon_counters(figures.refused_logons)
        connections: dict[str, int] = {}
        if self._address is not None:
            connections[self._column] = self.connections + self.direct_connections
        if self._direct is not None:
            connections["client_to_servers"] = self.direct_connections
        return RoleCounters(connections, counters | recycle_counters(figures.recycles))

    def watch(self) -> None:
        """See to it that legs which wait in vain are closed in time."""
        loop = asyncio.get_running_loop()
        due = self.server.next_timeout(loop.time())
        if self._timer is None and due is not None:
            self._timer = loop.call_at(due, self._on_timer)

    def _count(self, change: int) -> None:
        self.connections += change

    def _count_direct(self, change: int) -> None:
        self.direct_connections += change

    def _on_timer(self) -> None:
        self._timer = None
        self.server.handle_timer(asyncio.get_running_loop().time())
        self.watch()


def rpc_server_role(
    topology: Topology,
    server: ServerTable,
    directory: Directory,
    port: int,
    interfaces: Iterable[Interface],
    service: Service,
    names: CounterNames,
    more: Callable[[], dict[str, float]] = dict,
    direct_port: int | None = None,
    inside: Iterable[Interface] | None = None,
) -> RpcServerRole:
    """The role that serves ``interfaces`` on one port of ``server``, as slowly as the topology wants it.

    At ``direct_port`` clients inside the firewall are served the same, unless ``inside`` says otherwise.
    """
    statistics = RpcStatistics()
    slow = SlowCalls(topology.faults, service, server.name, statistics)
    security = rpc_security(topology, server.name, directory)
    manners = topology.manners.rpc
    served = slow.of(interfaces)
    endpoint = Endpoint(server.name, port, served, statistics, security, manners)
    rpc = RpcServer(topology.rpc.server, endpoint)
    address = None if topology.manners.one_process else server.address
    direct = None
    if direct_port is not None and address is not None:
        served = served if inside is None else slow.of(inside)
        own = Endpoint(server.name, direct_port, served, statistics, security, manners)
        direct = DirectServer(own), direct_port
    return RpcServerRole(rpc, address, port, service, names, more, slow.delays, direct)
