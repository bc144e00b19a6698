"""The servers themselves, for clients inside the firewall: no proxy stands before them."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from loadgen.wire import epm

Port = Annotated[int, Meta(ge=1, le=65535)]
Service: TypeAlias = Literal["store", "referral", "directory"]
StaticPort = Annotated[int, Meta(ge=0, le=65535)]


class TcpPorts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Endpoints over ncacn_ip_tcp; for a service whose port is 0, the server's endpoint mapper is asked."""

    endpoint_mapper: Port = epm.PORT
    store: StaticPort = 0
    referral: StaticPort = 0
    directory: StaticPort = 0


class TcpServer(Struct, frozen=True, gc=False):
    """One server that takes RPC over TCP.

    ``addresses`` are IP addresses to connect to in turn instead of resolving ``host``, ``source_addresses``
    local ones to connect from in turn.
    """

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    source_addresses: tuple[str, ...] = ()


class Inside(Struct, frozen=True):
    """How clients find servers: ``addresses`` by name in lower case, before the system's resolver."""

    ports: TcpPorts = TcpPorts()
    addresses: Mapping[str, tuple[str, ...]] = {}
    source_addresses: tuple[str, ...] = ()

    def server(self, name: str, port: int) -> TcpServer:
        """A server's endpoint."""
        return TcpServer(name, port, self.addresses.get(name.lower(), ()), self.source_addresses)
