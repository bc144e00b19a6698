"""What differs between the servers that speak these protocols, as far as the client has to know."""

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from loadgen.client.client_type import ClientType, PublicFolderWork
from loadgen.client.inside import TcpPorts
from loadgen.wire.http import RPC_PROXY_PATH

UNKNOWN: Final = "unknown"
"""The dialect of servers that nobody has told us about."""

_BY_MAJOR_VERSION: Final = {6: "exchange2007", 8: "exchange2007", 14: "exchange2010", 15: "exchange2013"}
_GROMOX_DN: Final = re.compile(r"(?i)/cn=[0-9a-f]{16}-[^/]*$")
"""Two numbers and the local part of the address; Exchange puts 32 digits there, or the alias alone."""

_GROMOX_STORE: Final = (15, 0, 847, 4040)
"""What Gromox gives its stores out as; of Exchange there is no such revision."""

Port = Annotated[int, Meta(ge=1, le=65535)]


class Ports(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Endpoints behind the RPC proxy; the defaults are those of Exchange 2003 to 2010."""

    store: Port = 6001
    referral: Port = 6002
    directory: Port = 6004


class Dialect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one kind of server wants to be talked to (``profiles/dialect``)."""

    name: str = ""
    title: str = ""
    path: Annotated[
        str,
        Meta(
            pattern=r"^/[!->@-~]*$",
            description=f"a path from / on without spaces and question marks, such as {RPC_PROXY_PATH}",
        ),
    ] = RPC_PROXY_PATH
    """Virtual path of the RPC proxy."""
    ports: Ports = Ports()
    tcp: TcpPorts = TcpPorts()
    """Endpoints of the servers for clients inside the firewall."""
    public_folders: bool = True
    """Whether there is a public folder store to log on to over MAPI."""
    recipients: Literal["alias", "address"] = "alias"
    """What the directory is asked for when names are resolved; an address cannot be ambiguous."""

    def adapt(self, client: ClientType) -> ClientType:
        """The client type without the connections that this server has no use for."""
        if self.public_folders or not client.connections.public_folder:
            return client
        connections = msgspec.structs.replace(client.connections, public_folder=0)
        return msgspec.structs.replace(client, connections=connections, public_folder=PublicFolderWork())


class Evidence(Struct, frozen=True, gc=False):
    """What has been seen of a server that may tell its make; "" and zeros for what has not."""

    version: tuple[int, int, int] = (0, 0, 0)
    """Major, minor and build, as Autodiscover tells them."""
    legacy_dn: str = ""
    """Of a mailbox."""
    server: str = ""
    """Name of a mailbox server."""
    store_version: tuple[int, ...] = ()
    """Major, minor, build and revision of a mailbox store, as EcDoConnectEx tells them."""


def tell_dialect(seen: Evidence) -> tuple[str, str]:
    """The dialect of a server, and by what it was told; UNKNOWN if nothing tells.

    Gromox gives itself out as an Exchange 2013, so what it alone does is looked at first.
    """
    if _GROMOX_DN.search(seen.legacy_dn):
        return "gromox", "mailboxes have names as Gromox makes them"
    if seen.store_version == _GROMOX_STORE:
        return "gromox", "its mailbox store has the version that Gromox tells"
    told = (("Autodiscover", seen.version), ("its mailbox store", seen.store_version))
    for who, version in told:
        name = _BY_MAJOR_VERSION.get(version[0]) if version else None
        if name is not None:
            return name, f"{who} tells version {_dotted(version)}"
    if "@" in seen.server:
        return "exchange2013", "its servers are called GUID@domain"
    for _, version in told:
        if any(version):
            return UNKNOWN, f"nobody knows version {_dotted(version)}, so the most tolerant one"
    return UNKNOWN, "nothing says what server it is, so the most tolerant one"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
