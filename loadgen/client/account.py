"""Who logs on, and through which RPC proxy."""

from msgspec import Struct

from loadgen.client.tls_settings import TlsSettings
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.http_authentication import HttpScheme
from loadgen.wire.http import RPC_PROXY_PATH

__all__ = ["Account", "Credentials", "RpcProxy"]


class Account(Struct, frozen=True, gc=False):
    """One mailbox owner, wherever it comes from; ``user`` is the name for HTTP, ``index`` counts from 0.

    What is not known yet is "": discovery finds display name, DN and servers (docs/accounts.md).
    """

    index: int
    user: str
    password: str
    alias: str
    display_name: str
    legacy_dn: str
    smtp: str
    home_server: str
    public_server: str = ""
    domain: str = ""
    nt_hash: bytes = b""
    directory_server: str = ""
    """Whom the user was referred to before, as his profile remembers; "": the DSProxy of his server."""

    @property
    def credentials(self) -> Credentials:
        """What the account logs on with."""
        return Credentials(self.user, self.password, self.domain, self.nt_hash)

    @property
    def is_complete(self) -> bool:
        """Whether all is known that a client needs to log on."""
        return bool(self.display_name and self.legacy_dn and self.home_server)

    def __repr__(self) -> str:
        return f"Account(index={self.index}, user={self.user!r})"


class RpcProxy(Struct, frozen=True):
    """The web server whose RPC proxy carries the virtual connections.

    ``addresses`` are IP addresses to connect to in turn instead of resolving ``host``. ``source_addresses``
    are local ones to connect from in turn, since each has ports of its own. ``tls_settings`` count
    if there is ``tls``.
    """

    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    source_addresses: tuple[str, ...] = ()
    tls_settings: TlsSettings = TlsSettings()
    path: str = RPC_PROXY_PATH
    """Virtual path of the RPC proxy for clients without a certificate."""
    scheme: HttpScheme | None = None
    """What it wants as HTTP authentication, to be tried first if it is allowed at all."""
