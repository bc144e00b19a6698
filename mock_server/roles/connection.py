"""Sockets that all roles need: outgoing connections bound to the role's own address."""

import asyncio
import errno
import socket
from collections.abc import Callable
from struct import Struct
from typing import Final, TypeVar

from mock_server.limits.port_pool import PortLease, PortPool

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)

BACKLOG: Final = 4096
"""How many connections may wait to be accepted: a campaign's ramp opens them in bursts."""

_IP_BIND_ADDRESS_NO_PORT: Final = 24
_NO_LINGER: Final = Struct("ii").pack(1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End a connection as a kernel ends those of a process that is no more: by RST."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


async def connect(factory: Callable[[], ProtocolT], address: str, port: int, source: str) -> ProtocolT:
    """Open a TCP connection from ``source``; raises :class:`OSError`.

    The kernel chooses the source port when it knows the destination, so each destination has all ports.
    """
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
        await loop.sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    _, protocol = await loop.create_connection(factory, sock=connection)
    return protocol


async def connect_from_pool(
    factory: Callable[[PortLease], ProtocolT], address: str, port: int, pool: PortPool
) -> ProtocolT:
    """Open a TCP connection from the next source address of ``pool``; raises :class:`OSError`.

    The protocol that ``factory`` makes ends the lease when its connection is lost.
    """
    lease = pool.take()
    try:
        return await connect(lambda: factory(lease), address, port, lease.address)
    except BaseException as error:
        lease.end()
        if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            pool.refused_by_kernel()
        raise
