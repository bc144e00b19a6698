"""Endpoint mapper: tells clients inside the firewall on which TCP ports a server's services are."""

import asyncio
from collections.abc import Iterable
from typing import Final

from loadgen.wire import emsmdb, epm, nspi, rfr
from loadgen.wire.pdu import SyntaxId
from mock_server.counters import RoleCounters, RpcStatistics
from mock_server.direct_server import DirectServer
from mock_server.roles.connection import BACKLOG
from mock_server.roles.leg_connection import LegConnection
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpc.epm import epm_interface
from mock_server.topology import ServerTable, Topology

_ANNOTATIONS: Final = {
    emsmdb.INTERFACE: "Exchange Server STORE EMSMDB Interface",
    emsmdb.ASYNC_INTERFACE: "Exchange Server STORE Async EMSMDB Interface",
    rfr.INTERFACE: "Exchange 2003 Directory Referral Interface",
    nspi.INTERFACE: "MS NT Directory NSP Interface",
}
"""What is registered beside the ports, for people."""


class EndpointMapperRole:
    """Listens on ``address`` and ``port``; its connections are short, and in no column."""

    def __init__(self, address: str, port: int, endpoint: Endpoint) -> None:
        self.connections = 0
        self._address = address
        self._port = port
        self._server = DirectServer(endpoint)

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        await loop.create_server(self._connection, self._address, self._port, backlog=BACKLOG)

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        figures = self._server.endpoint.statistics
        return RoleCounters(
            {},
            {
                "Mock\\Endpoint Mapper Connections": self.connections,
                "Mock\\Endpoint Mapper RPC Requests/sec": figures.calls,
                "Mock\\RPC Faults": figures.faults,
                "Mock\\Protocol Errors": figures.protocol_errors,
            },
        )

    def _connection(self) -> LegConnection:
        return LegConnection(self._server.accept, self._server.endpoint.statistics, self._count)

    def _count(self, change: int) -> None:
        self.connections += change


def endpoint_mapper_role(
    topology: Topology, server: ServerTable, services: Iterable[tuple[SyntaxId, int]]
) -> EndpointMapperRole:
    """The endpoint mapper of ``server``, with the ports of its interfaces."""
    entries = [
        epm.Entry(epm.Tower.of_tcp(interface, port, server.address), _ANNOTATIONS[interface])
        for interface, port in services
    ]
    port = topology.ports.endpoint_mapper
    endpoint = Endpoint(server.name, port, (epm_interface(entries),), RpcStatistics())
    return EndpointMapperRole(server.address, port, endpoint)
