"""What is checked: one account at one target, and how it is to be talked to."""

from collections.abc import Mapping

from msgspec import Struct

from loadgen.client.account import Account
from loadgen.client.client_type import ClientType
from loadgen.client.inside import TcpPorts
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions


class Subject(Struct, frozen=True, kw_only=True):
    """All that has been said before anything is asked.

    ``client`` decides the way, and which services there are to be. ``addresses`` are to be taken instead of
    resolving ``host``. ``dialect`` is "" to go by the version that Autodiscover tells. ``autodiscover`` is
    ``target``, ``domain``, ``off``, or an address. What the account lacks is discovered; ``rpc_server``
    stands in for its server.

    Over TCP, ``server_addresses`` are those of servers, by names in lower case, and ``tcp_ports`` the ones to
    take instead of the dialect's.
    """

    target: str
    host: str
    port: int
    tls: bool
    account: Account
    client: ClientType
    options: ConnectionOptions
    tls_settings: TlsSettings = TlsSettings()
    addresses: tuple[str, ...] = ()
    dialect: str = ""
    autodiscover: str = "target"
    rpc_server: str = ""
    server_addresses: Mapping[str, tuple[str, ...]] = {}
    tcp_ports: TcpPorts | None = None
    timeout_s: float = 15.0
    """For each step that waits for the network."""
