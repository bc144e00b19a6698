"""RPC over TCP, as inside the firewall (ncacn_ip_tcp, [MS-RPCE] 2.1.1.1): one socket, and no RTS."""

import asyncio
import socket
from collections.abc import Sequence
from math import inf
from sys import intern
from time import monotonic_ns
from typing import cast
from uuid import UUID

from msgspec.structs import replace

from loadgen.client.inside import Inside, Service, TcpServer
from loadgen.client.transport.calling import OPENING, Caller, Opening, new_association
from loadgen.client.transport.connection import ConnectionOptions, Probe
from loadgen.client.transport.sockets import connect, reason
from loadgen.client.transport.tap import TappedProtocol
from loadgen.errors import BindRefused, ConnectionLost
from loadgen.protocol.association import Association
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.pdu_stream import PduStream
from loadgen.wire import epm
from loadgen.wire.pdu import SyntaxId

_ASKED_TOWERS = 4
_NO_OBJECT = bytes(16)


class TcpConnection(Caller, asyncio.Protocol):
    """An RpcConnection straight to a server, made by :func:`open_tcp_connection`."""

    __slots__ = ("_closed", "_stream", "_transport")

    def __init__(self, association: Association, peer: str, options: ConnectionOptions) -> None:
        super().__init__(association, peer, options)
        self._stream = PduStream()
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] | None = None

    async def open(self, sock: socket.socket, opening: Opening) -> None:
        """Bind over a connected socket."""
        self._opening = opening
        tap = self._options.tap
        protocol = self if tap is None else TappedProtocol(self, "TCP", tap)
        try:
            await self._loop.create_connection(lambda: protocol, sock=sock)
            opening.begin("rpc_bind")
            if self._failure is not None:  # the server may have gone before the first word
                raise self._failure
            now = self._loop.time()
            self._await_answer(OPENING, opening.ready, now + self._options.establishment_timeout_s)
            self._association.bind(opening.interfaces)
            self._flush(now)
            await opening.ready
        except BaseException:
            self.abort()
            raise

    async def close(self) -> None:
        """Close, and wait until the socket is closed."""
        self._end(ConnectionLost(f"{self._peer}: closed by the client"))
        if self._transport is not None:
            self._transport.close()
            self._closed = self._closed or self._loop.create_future()
            await asyncio.shield(self._closed)

    def abort(self) -> None:
        """Close without waiting for anything."""
        self._end(ConnectionLost(f"{self._peer}: closed by the client"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is asyncio's from now on."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.bytes_received += len(data)
        if self._failure is None:
            self._take(self._stream.receive_data(data), self._loop.time())

    def eof_received(self) -> None:
        """The server will send no more."""
        self._fail(ConnectionLost("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket has gone."""
        self._transport = None
        self._fail(ConnectionLost("connection closed" if exc is None else reason(exc)))
        if self._closed is not None:
            self._closed.set_result(None)

    def _flush(self, _now: float) -> None:
        data = b"".join(self._association.pdus_to_send())
        if data and self._transport is not None:
            self.bytes_sent += len(data)
            self._transport.write(data)

    def _handle_timer(self, _now: float) -> None:
        """Nothing is ever due but answers: there are no pings without RTS."""

    def _next_timer(self) -> float:
        return inf

    def _release(self) -> None:
        """There is no word of goodbye."""

    def _proceed(self, _opening: Opening) -> None:
        """The bind is the only step."""


async def open_service(
    inside: Inside,
    server: str,
    service: Service,
    interfaces: Sequence[SyntaxId],
    credentials: Credentials,
    options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    probe: Probe | None = None,
) -> TcpConnection:
    """Connect to a service of the server of that name, at its static port or as its endpoint mapper tells.

    Raises what :func:`open_mapped_connection` does.
    """
    ports = inside.ports
    static: int = getattr(ports, service)
    if static:
        there = await inside.server(server, static)
        return await open_tcp_connection(there, interfaces, credentials, options, probe)
    mapper = await inside.server(server, ports.endpoint_mapper)
    return await open_mapped_connection(mapper, interfaces, credentials, options, probe)


async def open_tcp_connection(
    server: TcpServer,
    interfaces: Sequence[SyntaxId],
    credentials: Credentials,
    options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    probe: Probe | None = None,
) -> TcpConnection:
    """Connect to ``server`` and bind ``interfaces``, secured as the options say.

    Raises :class:`TransportError`, :class:`TimedOut`, :class:`BindRefused` or another :class:`PeerError`,
    whose text names the server.
    """
    peer = intern(f"{server.host}:{server.port}")  # one for all connections to it
    connection = TcpConnection(new_association(interfaces, server.host, credentials, options), peer, options)
    opening = Opening(interfaces, probe)
    (sock,) = await connect(server, 1, peer, options.connect_timeout_s)
    await connection.open(sock, opening)
    return connection


async def open_mapped_connection(
    mapper: TcpServer,
    interfaces: Sequence[SyntaxId],
    credentials: Credentials,
    options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    probe: Probe | None = None,
) -> TcpConnection:
    """As :func:`open_tcp_connection`, to the port that the server's endpoint mapper tells.

    The mapper is asked on a connection that is closed again and whose bytes count with the other's. Raises
    :class:`BindRefused`, too, if nobody serves the first of ``interfaces`` there.
    """
    started_ns = monotonic_ns()
    asked = await open_mapper(mapper, credentials, options)
    try:
        port = await mapped_port(asked, mapper, interfaces[0])
    finally:
        await asked.close()
    if probe is not None:
        probe("map_endpoint", started_ns, monotonic_ns())
    server = TcpServer(mapper.host, port, mapper.addresses, mapper.source_addresses)
    connection = await open_tcp_connection(server, interfaces, credentials, options, probe)
    connection.bytes_sent += asked.bytes_sent
    connection.bytes_received += asked.bytes_received
    return connection


async def open_mapper(
    mapper: TcpServer, credentials: Credentials, options: ConnectionOptions, probe: Probe | None = None
) -> TcpConnection:
    """Connect to an endpoint mapper, which is asked without security; raises as open_tcp_connection does."""
    if options.rpc_security != "none":
        options = replace(options, rpc_security="none")
    return await open_tcp_connection(mapper, (epm.INTERFACE,), credentials, options, probe)


async def mapped_port(asked: TcpConnection, mapper: TcpServer, interface: SyntaxId) -> int:
    """The port of an interface; the address beside it is that of the server, as seen by itself.

    Raises :class:`BindRefused` if it has none, or what the call raises.
    """
    request = epm.EptMapRequest(epm.Tower.of_tcp(interface), _ASKED_TOWERS, _NO_OBJECT)
    answer = await asked.call(request)
    for tower in answer.towers:
        if tower.interface is not None and tower.interface.uuid == interface.uuid and tower.tcp_endpoint:
            return tower.tcp_endpoint[1]
    name = UUID(bytes_le=interface.uuid)
    raise BindRefused(f"{mapper.host}:{mapper.port}: the endpoint mapper has no port for {name}")
