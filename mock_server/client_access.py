"""Whom a client access server lets in, and what it connects them to."""

from typing import NamedTuple

from loadgen.errors import WireError
from loadgen.wire.http import parse_basic
from mock_server.counters import ProxyStatistics
from mock_server.directory import Directory
from mock_server.proxy import ChannelTable
from mock_server.topology import Topology


class BackEnd(NamedTuple):
    """An endpoint that clients may name, and the column in which connections to it count."""

    address: str
    port: int
    column: str


def back_ends(topology: Topology) -> dict[tuple[str, int], BackEnd]:
    """The proxy's ``ValidPorts``, by server name (NetBIOS or full, in lower case) and port."""
    ports = topology.ports
    of_public = ((ports.store, "cas_to_stores"),)
    of_mailbox = (*of_public, (ports.referral, "cas_to_referral"), (ports.directory, "cas_to_dsproxy"))
    valid: dict[tuple[str, int], BackEnd] = {}
    for servers, endpoints in ((topology.mailbox, of_mailbox), (topology.public_folders, of_public)):
        for server in servers:
            for name in (server.name, f"{server.name}.{topology.organisation.domain}"):
                for port, column in endpoints:
                    valid[name.lower(), port] = BackEnd(server.address, port, column)
    return valid


class ClientAccess:
    """What one process of a client access server goes by, and counts; ``address`` is the server's own."""

    def __init__(self, topology: Topology, address: str, directory: Directory) -> None:
        self.address = address
        self.http = topology.http
        self.realm = topology.organisation.domain
        self.statistics = ProxyStatistics()
        recycles, simulate_farm = self.statistics.recycles, self.http.simulate_farm
        self.in_channels = ChannelTable("IN", recycles, simulate_farm=simulate_farm)
        self.out_channels = ChannelTable("OUT", recycles, simulate_farm=simulate_farm)
        self._back_ends = back_ends(topology)
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

    def back_end(self, server: str, port: int) -> BackEnd | None:
        """Where a channel to ``server`` and ``port`` leads; None if clients may not go there."""
        return self._back_ends.get((server.lower(), port))
