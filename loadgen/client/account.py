"""Who logs on, and through which RPC proxy."""

from msgspec import Struct

from loadgen.protocol.http_authentication import BasicAuthentication


class Credentials(Struct, frozen=True, gc=False):
    """A user name as HTTP authentication takes it, and its password, which no representation shows."""

    user: str
    """``name``, ``DOMAIN\\name`` or a user principal name."""
    password: str
    domain: str = ""
    nt_hash: bytes = b""
    """The 16 bytes that NTLM makes of a password; b"" if they are still to be made of it."""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"

    def basic(self) -> BasicAuthentication:
        """HTTP Basic with them."""
        return BasicAuthentication(self.user, self.password)


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
    are local ones to connect from in turn, since each has ports of its own.
    """

    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    source_addresses: tuple[str, ...] = ()
