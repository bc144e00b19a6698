"""Who logs on, and through which RPC proxy."""

from msgspec import Struct

from loadgen.protocol.http_authentication import BasicAuthentication


class Credentials(Struct, frozen=True, gc=False):
    """A user name as HTTP authentication takes it, and its password, which no representation shows."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"

    def basic(self) -> BasicAuthentication:
        """HTTP Basic with them."""
        return BasicAuthentication(self.user, self.password)


class Account(Struct, frozen=True, gc=False):
    """One mailbox owner of the organisation; ``user`` is the name for HTTP, ``index`` counts from 0."""

    index: int
    user: str
    password: str
    alias: str
    display_name: str
    legacy_dn: str
    smtp: str
    home_server: str
    public_server: str

    @property
    def credentials(self) -> Credentials:
        """What the account logs on to the RPC proxy with."""
        return Credentials(self.user, self.password)

    def __repr__(self) -> str:
        return f"Account(index={self.index}, user={self.user!r})"


class RpcProxy(Struct, frozen=True):
    """The web server whose RPC proxy carries the virtual connections.

    ``addresses`` are IP addresses to connect to in turn instead of resolving ``host``. ``source_addresses``
    are local ones to connect from in turn, since each has ports of its own.
    """

    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    source_addresses: tuple[str, ...] = ()
