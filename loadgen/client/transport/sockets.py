"""TCP connections to a peer: addresses in turn, source addresses in turn, and why it did not work."""

import asyncio
import os
import socket
from contextlib import ExitStack
from functools import lru_cache
from itertools import count
from typing import Final, Protocol

from loadgen.errors import NameNotFound, TimedOut, TransportError

_TURNS: Final = count()
# Of Linux, not in the socket module: connect chooses the port, so only the pair of addresses must be unique.
_IP_BIND_ADDRESS_NO_PORT: Final = 24


class Destination(Protocol):
    """Where to: a name and a port, or IP addresses to try in turn instead; and local ones to start from."""

    @property
    def host(self) -> str:
        """A name or an IP address."""

    @property
    def port(self) -> int:
        """The TCP port."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """IP addresses instead of ``host``, if there are any."""

    @property
    def source_addresses(self) -> tuple[str, ...]:
        """Local addresses, if not any one will do."""


async def connect(peer: Destination, many: int, what: str, timeout_s: float) -> list[socket.socket]:
    """TCP connections to one address of the peer, from one source address of ours: those in turn.

    An address that cannot be reached is followed by the next one. Raises :class:`TransportError` for the last
    of them, or :class:`TimedOut`.
    """
    turn = next(_TURNS)
    source = peer.source_addresses[turn % len(peer.source_addresses)] if peer.source_addresses else None
    hosts = peer.addresses or (peer.host,)
    first = turn % len(hosts)
    failure = OSError("no address")
    try:
        async with asyncio.timeout(timeout_s):
            for host in hosts[first:] + hosts[:first]:
                try:
                    return await _connect_to_host(host, peer.port, source, many)
                except OSError as error:
                    failure = error
    except TimeoutError:
        raise TimedOut(f"{what}: no TCP connection within {timeout_s:g} s") from None
    kind = NameNotFound if isinstance(failure, socket.gaierror) else TransportError
    raise kind(f"{what}: {reason(failure)}")


async def _connect_to_host(host: str, port: int, source: str | None, many: int) -> list[socket.socket]:
    if _is_ipv4(host):
        return await _connect_all(socket.AF_INET, (host, port), source, many)
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return await _connect_all(family, address, source, many)
        except OSError as error:
            failure = error
    raise failure


async def _connect_all(
    family: int, address: tuple[str | int | bytes, ...], source: str | None, many: int
) -> list[socket.socket]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(family, socket.SOCK_STREAM)) for _ in range(many)]
        for sock in sockets:
            _prepare(sock, source)
        setting_out = [sock for sock in sockets if sock.connect_ex(address)]  # all of them at once
        for sock in setting_out:
            await _arrive(sock, address)
        stack.pop_all()
        return sockets


async def _arrive(sock: socket.socket, address: tuple[str | int | bytes, ...]) -> None:
    """Wait until a socket is connected that has set out to ``address``; trying again says how far it is."""
    try:
        sock.connect(address)
    except BlockingIOError:  # only then is the loop asked: it would look the address up, and that is dear
        await asyncio.get_running_loop().sock_connect(sock, address)


@lru_cache(maxsize=1024)
def _is_ipv4(host: str) -> bool:
    """Whether there is no name to be looked up."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return False
    return True


def _prepare(sock: socket.socket, source: str | None) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))


def reason(error: Exception) -> str:
    """What the kernel or the resolver means, where asyncio says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return (os.strerror(error.errno) if error.errno > 0 else error.strerror) or str(error)
    return str(error)
