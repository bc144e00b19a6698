"""Whom a client access server lets in, and what it connects them to."""

import ssl

from loadgen.errors import PeerError
from mock_server import autodiscover
from mock_server.counters import ProxyStatistics
from mock_server.directory import Directory
from mock_server.limits.front_end import FrontEndLimits
from mock_server.limits.shared_cells import SharedCells
from mock_server.limits.valid_ports import BackEnd, back_ends
from mock_server.roles.rpc_server import RpcServerRole
from mock_server.rpch.proxy import PROTOCOL_ERROR, ChannelTable, ProxyChannel, ServerLeg
from mock_server.security.http_authentication import HttpPolicy, Verdict
from mock_server.security.logon import ntlm_server
from mock_server.security.tls import certified_user
from mock_server.topology import ClientAccessServer, Topology, ValidPorts


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
        self.statistics = ProxyStatistics()
        self.proxy = topology.proxy
        self.manners = topology.manners
        ntlm = ntlm_server(topology, server.name, directory)
        self.policy = HttpPolicy(topology.security.http, ntlm, self.statistics, self.manners.http)
        recycles, farm = self.statistics.recycles, self.http.simulate_farm
        partners: dict[bytes, ProxyChannel] = {}
        self.in_channels = ChannelTable("IN", recycles, partners, simulate_farm=farm)
        self.out_channels = ChannelTable("OUT", recycles, partners, simulate_farm=farm)
        self.inner: dict[int, RpcServerRole] = {}
        """The services behind the proxy that are in this process, by port."""
        self.pages = {autodiscover.PATH: autodiscover.Autodiscover(topology, directory).answer}
        self._topology = topology
        self._directory = directory
        self.allow(topology.valid_ports_of(server))

    def certified(self, connection: ssl.SSLObject | None) -> Verdict | None:
        """What a client's certificate proves; None if nobody wants to see one."""
        return Verdict(certified_user(connection, self._directory)) if self.http.client_ca else None

    def allow(self, valid_ports: ValidPorts) -> None:
        """Let new channels go there, and nowhere else."""
        self._back_ends = back_ends(self._topology, valid_ports)

    def back_end(self, server: str, port: int) -> BackEnd | None:
        """Where a channel to ``server`` and ``port`` leads; None if clients may not go there."""
        return self._back_ends.get((server.lower(), port))

    def receive_from_server(self, leg: ServerLeg, data: bytes) -> None:
        """Bytes that came on a leg; a server that breaks the protocol ends the channel."""
        self.statistics.bytes_from_servers += len(data)
        try:
            leg.receive(data)
        except PeerError:
            self.statistics.protocol_errors += 1
            leg.channel.fail(PROTOCOL_ERROR)
        leg.channel.wake()
