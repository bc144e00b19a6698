"""Client access server: one process of an RPC proxy."""

import asyncio

from mock_server.client_access import ClientAccess
from mock_server.counters import RoleCounters
from mock_server.directory import Directory
from mock_server.roles.channel import ClientConnection
from mock_server.roles.connection import BACKLOG
from mock_server.topology import ClientAccessServer, Topology


class ClientAccessRole:
    """Takes channels over HTTP, on an address that it may share with other processes of its server."""

    def __init__(self, topology: Topology, server: ClientAccessServer, directory: Directory) -> None:
        self._access = ClientAccess(topology, server.address, directory)
        self._shared = server.processes > 1

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self._access),
            self._access.address,
            self._access.http.port,
            backlog=BACKLOG,
            reuse_port=self._shared,
        )

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        return self._access.statistics.report()
