"""The servers themselves, for clients inside the firewall: no proxy stands before them."""

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from loadgen.errors import NameNotFound, TransportError
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
    """How clients find servers: ``addresses`` by name in lower case, before the system's resolver.

    ``only_here``: nobody has agreed to the load of other machines than this one, whatever names them.
    """

    ports: TcpPorts = TcpPorts()
    addresses: Mapping[str, tuple[str, ...]] = {}
    source_addresses: tuple[str, ...] = ()
    only_here: bool = False

    async def server(self, name: str, port: int) -> TcpServer:
        """A server's endpoint; raises :class:`~loadgen.errors.TransportError` if it must not be used."""
        addresses = self.addresses.get(name.lower(), ())
        if self.only_here:
            addresses = addresses or await _looked_up(name, port)
            elsewhere = [address for address in addresses if not ip_address(address).is_loopback]
            if elsewhere:
                raise TransportError(
                    f"{name} is another machine ({', '.join(elsewhere)}), and nobody has agreed to its load: "
                    "when whoever runs it has, say --authorised true"
                )
        return TcpServer(name, port, addresses, self.source_addresses)


async def _looked_up(name: str, port: int) -> tuple[str, ...]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name that cannot be one is no matter of the resolver
        raise NameNotFound(f"{name}: {getattr(error, 'strerror', error)}") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
