"""Whom a client access server lets in, and what it connects them to."""

from loadgen.errors import WireError
from loadgen.wire.http import parse_basic
from mock_server.counters import ProxyStatistics
from mock_server.directory import Directory
from mock_server.front_end import FrontEndLimits
from mock_server.proxy import ChannelTable
from mock_server.shared_cells import SharedCells
from mock_server.topology import ClientAccessServer, Topology, ValidPorts
from mock_server.valid_ports import BackEnd, back_ends


class ClientAccess:
    """What one process of a client access server goes by, and counts.

    ``cells`` are what it shares with the server's other processes, for which one of them ``speaks``.
    """

    def __init__(
        self,
        topology: Topology,
        server: ClientAccessServer,
        directory: Directory,
        cells: SharedCells | None = None,
        *,
        speaks: bool = True,
    ) -> None:
        self.limits = FrontEndLimits(topology, server, cells, speaks=speaks)
        self.http = topology.http
        self.realm = topology.organisation.domain
        self.statistics = ProxyStatistics()
        recycles, simulate_farm = self.statistics.recycles, self.http.simulate_farm
        self.in_channels = ChannelTable("IN", recycles, simulate_farm=simulate_farm)
        self.out_channels = ChannelTable("OUT", recycles, simulate_farm=simulate_farm)
        self._topology = topology
        self.allow(topology.valid_ports_of(server))
        self._password = topology.accounts.password
        self._directory = directory

    def authenticate(self, authorization: str | None) -> str | None:
        """The alias of the user whom an ``Authorization`` header proves; None if it proves nobody."""
        if authorization is not None:
            try:
                name, password = parse_basic(authorization)
            except WireError:
                name = password = ""
            user = self._directory.by_logon_name(name)
            if user is not None and password == self._password:
                return user.alias
        self.statistics.unauthorized += 1
        return None

    def allow(self, valid_ports: ValidPorts) -> None:
        """Let new channels go there, and nowhere else."""
        self._back_ends = back_ends(self._topology, valid_ports)

    def back_end(self, server: str, port: int) -> BackEnd | None:
        """Where a channel to ``server`` and ``port`` leads; None if clients may not go there."""
        return self._back_ends.get((server.lower(), port))
