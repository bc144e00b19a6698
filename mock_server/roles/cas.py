"""Client access server: one process of an RPC proxy."""

import asyncio

from loadgen.errors import ProfileError
from mock_server.client_access import ClientAccess
from mock_server.counters import RoleCounters
from mock_server.directory import Directory
from mock_server.limits.shared_cells import SharedCells
from mock_server.roles.channel import ClientConnection
from mock_server.roles.connection import BACKLOG
from mock_server.security.tls import server_context
from mock_server.topology import ClientAccessServer, Topology
from mock_server.topology_file import TopologySource


class ClientAccessRole:
    """Takes channels over HTTP, on an address that it may share with other processes of its server.

    They also share ``cells``, and one of them ``speaks`` for all. If ``source`` says where the topology was
    read, changes of its valid ports are taken up.
    """

    def __init__(
        self,
        topology: Topology,
        server: ClientAccessServer,
        directory: Directory,
        cells: SharedCells | None = None,
        *,
        speaks: bool = True,
        source: TopologySource | None = None,
    ) -> None:
        self.access = ClientAccess(topology, server, directory, cells, speaks=speaks)
        self._server = server
        self._behind_proxy = bool(topology.reverse_proxy)
        self._source = source
        self._rereads_failed = 0

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self.access),
            self._server.address,
            self.access.http.port,
            backlog=BACKLOG,
            reuse_port=self._server.processes > 1,
            ssl=server_context(self.access.http),
        )
        self.access.limits.workers.start()
        if self._source is not None:
            self._reread_later(self._source)

    def report(self) -> RoleCounters:
        """The counters at this moment; connections that a reverse proxy opens are no clients' own."""
        counted = self.access.statistics.report()
        connections = dict(counted.connections)
        if self.access.manners.one_process:
            connections = {"client_to_cas": connections["client_to_cas"]}
        if self._behind_proxy:
            del connections["client_to_cas"]
        limits = self.access.limits.report(asyncio.get_running_loop().time())
        failed = {"Mock\\ValidPorts Failed Rereads": self._rereads_failed} if self._rereads_failed else {}
        return RoleCounters(connections, {**counted.counters, **limits, **failed})

    def _reread(self, source: TopologySource) -> None:
        """Look into the topology's file, and keep what stands if that can't be read."""
        try:
            topology = source.read()
        except ProfileError:
            self._rereads_failed += 1
        else:
            for server in topology.client_access:
                if server.name == self._server.name:
                    self.access.allow(topology.valid_ports_of(server))
        self._reread_later(source)

    def _reread_later(self, source: TopologySource) -> None:
        interval_s = self.access.http.valid_ports_reread_s
        asyncio.get_running_loop().call_later(interval_s, self._reread, source)
