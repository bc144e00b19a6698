"""What differs between the servers that speak these protocols, as far as the client has to know."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from loadgen.client.client_type import ClientType, PublicFolderWork
from loadgen.client.inside import TcpPorts
from loadgen.wire.http import RPC_PROXY_PATH

UNKNOWN: Final = "unknown"
"""The dialect of servers that nobody has told us about."""

_BY_MAJOR_VERSION: Final = {8: "exchange2007", 14: "exchange2010", 15: "exchange2013"}

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
    path: Annotated[str, Meta(pattern=r"^/[!->@-~]*$")] = RPC_PROXY_PATH
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


def name_by_version(version: tuple[int, int, int]) -> str:
    """The dialect of a server of this version of Exchange; UNKNOWN for any other."""
    return _BY_MAJOR_VERSION.get(version[0], UNKNOWN)
