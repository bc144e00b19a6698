"""TCP connections to a peer: addresses in turn, source addresses in turn, and why it did not work."""

import asyncio
import os
import socket
from contextlib import ExitStack
from itertools import count
from typing import Final

from loadgen.client.account import RpcProxy
from loadgen.errors import TimedOut, TransportError

_TURNS: Final = count()
# Of Linux, not in the socket module: connect chooses the port, so only the pair of addresses must be unique.
_IP_BIND_ADDRESS_NO_PORT: Final = 24


async def connect(proxy: RpcProxy, many: int, what: str, timeout_s: float) -> list[socket.socket]:
    """TCP connections to one address of the proxy, from one source address of ours: those in turn."""
    turn = next(_TURNS)
    host = proxy.addresses[turn % len(proxy.addresses)] if proxy.addresses else proxy.host
    source = proxy.source_addresses[turn % len(proxy.source_addresses)] if proxy.source_addresses else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, proxy.port, type=socket.SOCK_STREAM)
            family, _, _, _, address = found[0]
            with ExitStack() as stack:
                sockets = [
                    stack.enter_context(socket.socket(family, socket.SOCK_STREAM)) for _ in range(many)
                ]
                for sock in sockets:
                    _prepare(sock, source)
                connecting = (loop.sock_connect(sock, address) for sock in sockets)
                for failure in await asyncio.gather(*connecting, return_exceptions=True):
                    if failure is not None:
                        raise failure
                stack.pop_all()
                return sockets
    except TimeoutError:
        raise TimedOut(f"{what}: no TCP connection within {timeout_s:g} s") from None
    except OSError as error:
        raise TransportError(f"{what}: {reason(error)}") from None


def _prepare(sock: socket.socket, source: str | None) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))


def reason(error: Exception) -> str:
    """What the kernel means, where asyncio says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)
