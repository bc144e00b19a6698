"""What is checked: one account at one target, and how it is to be talked to."""

from msgspec import Struct

from loadgen.client.account import Account
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions


class Subject(Struct, frozen=True, kw_only=True):
    """All that has been said before anything is asked.

    ``addresses`` are to be taken instead of resolving ``host``. ``dialect`` is "" to go by the version that
    Autodiscover tells. ``autodiscover`` is ``target``, ``domain``, ``off``, or an address. What the account
    lacks is discovered; ``rpc_server`` stands in for its server.
    """

    target: str
    host: str
    port: int
    tls: bool
    account: Account
    options: ConnectionOptions
    tls_settings: TlsSettings = TlsSettings()
    addresses: tuple[str, ...] = ()
    dialect: str = ""
    autodiscover: str = "target"
    rpc_server: str = ""
    timeout_s: float = 15.0
    """For each step that waits for the network."""
