"""Virtual connections over asyncio ([MS-RPCH]).

A virtual connection is two TCP connections, and one more for each channel that is being recycled, under two
state machines, one that turns their bytes into PDUs (:mod:`loadgen.protocol.virtual_connection`) and one that
turns PDUs into answers to calls (:mod:`loadgen.protocol.association`).
"""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from ssl import SSLError
from sys import intern
from typing import Final, cast

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.transport.calling import OPENING, Caller, Opening, new_association
from loadgen.client.transport.connection import ConnectionOptions, Probe
from loadgen.client.transport.sockets import connect, reason
from loadgen.client.transport.tap import TappedProtocol
from loadgen.client.transport.tls import end_point, start_tls, tls_failure
from loadgen.errors import ConnectionLost, PeerError, Unauthorized
from loadgen.protocol.association import Association
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.http_authentication import (
    Candidate,
    HttpScheme,
    candidates,
    still_possible,
)
from loadgen.protocol.rts_states import State
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire.http import RPC_WITH_CERTIFICATE_PATH
from loadgen.wire.pdu import SyntaxId

_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443
_TAKEN: Final[dict[tuple[str, int, tuple[HttpScheme, ...]], Candidate]] = {}
"""How users have authenticated to a web server, of what they may try: the next one need not search."""


class VirtualConnection(Caller):
    """An RpcConnection over Outlook Anywhere, made by :func:`open_virtual_connection`."""

    __slots__ = ("_channels", "_closed", "_connecting", "_links", "_proxy", "_rts")

    def __init__(
        self,
        rts: VirtualConnectionClient,
        association: Association,
        proxy: RpcProxy,
        peer: str,
        options: ConnectionOptions,
    ) -> None:
        super().__init__(association, peer, options)
        self._rts = rts
        self._channels = rts.channels
        self._proxy = proxy
        self._links: tuple[_Link, ...] = ()
        self._connecting: tuple[asyncio.Task[None], ...] = ()
        self._closed: asyncio.Future[None] | None = None

    async def close(self) -> None:
        """Close, and wait until the sockets are closed."""
        self._end(ConnectionLost(f"{self._peer}: closed by the client"))
        for link in self._links:
            link.transport.close()
        if self._connecting:
            await asyncio.wait(self._connecting)
        if self._links:
            self._closed = self._closed or self._loop.create_future()
            await asyncio.shield(self._closed)

    def abort(self) -> None:
        """Close without waiting for anything."""
        self._end(ConnectionLost(f"{self._peer}: closed by the client"))
        for link in self._links:
            link.transport.abort()

    async def open(self, sockets: list[socket.socket], opening: Opening) -> None:
        """Establish and bind over two connected sockets, taking them off the list."""
        self._opening = opening
        try:
            await self._attach_all(sockets)
            if self._proxy.tls:
                opening.begin("http_auth")
            if self._failure is not None:  # the first channel may have ended before the second was there
                raise self._failure
            self._await_answer(OPENING, opening.ready, self._rts.next_timer())
            self._flush(self._loop.time())
            await opening.ready
        except BaseException:
            self.abort()
            raise

    async def _attach_all(self, sockets: list[socket.socket]) -> None:
        if not self._proxy.tls:  # one after the other: there is nothing to wait for, and tasks are dear
            for channel in self._channels:
                await self._attach(channel, sockets)
            return
        attaching = (self._attach(channel, sockets) for channel in self._channels)
        for failure in await asyncio.gather(*attaching, return_exceptions=True):
            if isinstance(failure, PeerError):
                self._fail(failure)
            elif failure is not None:
                raise failure

    async def _attach(self, channel: InChannel | OutChannel, sockets: list[socket.socket]) -> None:
        """Give a channel one of the connected sockets, taking that off the list."""
        tap = self._options.tap
        link = _Link(self, channel)
        protocol = link if tap is None else TappedProtocol(link, channel.name, tap)
        sock = sockets.pop()
        if self._proxy.tls:
            await start_tls(self._proxy, lambda: protocol, sock, self._options.connect_timeout_s)
        else:
            await self._loop.create_connection(lambda: protocol, sock=sock)

    def _rewire(self) -> None:
        """Connect the channels that have come, and close those that have gone."""
        before, self._channels = self._channels, self._rts.channels
        for link in self._links:
            if link.channel not in self._channels:
                link.transport.close()
        for channel in self._channels:
            if channel not in before:
                self._connecting += (self._loop.create_task(self._connect(channel)),)
        self._arm(self._rts.next_timer())

    async def _connect(self, channel: InChannel | OutChannel) -> None:
        """Open the connection of a successor; without it the virtual connection is lost."""
        try:
            what = f"successor of the {channel.name} channel"
            sockets = await connect(self._proxy, 1, what, self._options.connect_timeout_s)
            await self._attach(channel, sockets)
        except PeerError as error:
            self._fail(error)
        else:
            self._flush(self._loop.time())
        finally:
            this = asyncio.current_task()
            self._connecting = tuple(task for task in self._connecting if task is not this)

    def connected(self, link: "_Link") -> None:
        """A channel has its socket, and TLS on it if there is to be any."""
        self._links += (link,)
        tls = link.transport.get_extra_info("ssl_object")
        if tls is not None:
            link.channel.secured(end_point(tls.getpeercert(binary_form=True)))

    def received(self, channel: InChannel | OutChannel, data: bytes) -> None:
        """Bytes came on a channel."""
        self.bytes_received += len(data)
        if self._failure is None:
            now = self._loop.time()
            self._take(self._rts.receive_data(channel, data, now), now)

    def ended(self, channel: InChannel | OutChannel) -> None:
        """The server will send no more on a channel."""
        if self._failure is None:
            now = self._loop.time()
            self._take(self._rts.receive_eof(channel, now), now)

    def disconnected(self, link: "_Link", error: Exception | None) -> None:
        """A channel has lost its socket."""
        self._links = tuple(other for other in self._links if other is not link)
        now = self._loop.time()
        if self._failure is None and self._rts.disconnected(link.channel, now):
            self._flush(now)
        else:
            self._fail(_loss(link, error))
        if self._closed is not None and not self._links:
            self._closed.set_result(None)

    def _proceed(self, opening: Opening) -> None:
        """Take the steps of opening that the virtual connection allows by now."""
        rts = self._rts
        if opening.layer == "http_auth" and rts.out_channel.answered:
            opening.begin("rts_establish")
        if opening.layer == "rts_establish" and rts.state is State.OPEN:
            opening.begin("rpc_bind")
            self._association.bind(opening.interfaces)
        self._arm(rts.next_timer())

    def _flush(self, now: float) -> None:
        """Give the sockets all there is to send. Flow control bounds what piles up in them."""
        for pdu in self._association.pdus_to_send():
            self._rts.send_pdu(pdu, now)
        for link in self._links:
            data = link.channel.data_to_send()
            if data:
                self.bytes_sent += len(data)
                link.transport.write(data)
        if self._rts.channels is not self._channels:
            self._rewire()

    def _handle_timer(self, now: float) -> None:
        self._rts.handle_timer(now)

    def _next_timer(self) -> float:
        return self._rts.next_timer()

    def _release(self) -> None:
        self._rts.close()
        for task in self._connecting:
            task.cancel()


class _Link(asyncio.Protocol):
    """What asyncio calls for one of the TCP connections."""

    __slots__ = ("channel", "owner", "transport")

    def __init__(self, owner: VirtualConnection, channel: InChannel | OutChannel) -> None:
        self.owner = owner
        self.channel = channel
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.owner.connected(self)

    def data_received(self, data: bytes) -> None:
        self.owner.received(self.channel, data)

    def eof_received(self) -> None:
        self.owner.ended(self.channel)

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.disconnected(self, exc)


async def open_virtual_connection(
    proxy: RpcProxy,
    server: str,
    port: int,
    interfaces: Sequence[SyntaxId],
    credentials: Credentials,
    options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    probe: Probe | None = None,
) -> VirtualConnection:
    """Open a virtual connection to ``server:port`` and bind ``interfaces`` on it.

    Raises :class:`TransportError`, :class:`TimedOut`, :class:`HttpRefused`, :class:`BindRefused` or another
    :class:`PeerError`, whose text names proxy and server.
    """
    peer = intern(f"{proxy.host}:{proxy.port} ({server}:{port})")  # one for all connections between the two
    key = proxy.host, proxy.port, options.auth
    left = candidates(options.auth, proxy.scheme)
    if key in _TAKEN:
        left = (_TAKEN[key], *(candidate for candidate in left if candidate != _TAKEN[key]))
    while True:
        opening = Opening(interfaces, probe)
        sockets = await connect(proxy, 2, peer, options.connect_timeout_s)
        opening.begin("connect_tls" if proxy.tls else "http_auth")
        try:
            now = asyncio.get_running_loop().time()
            authenticate = partial(left[0].authentication, credentials, proxy.host)
            rts = VirtualConnectionClient(
                server, port, intern(_host(proxy)), authenticate, now, options, path=_path(proxy)
            )
            association = new_association(interfaces, server, credentials, options)
            connection = VirtualConnection(rts, association, proxy, peer, options)
            await connection.open(sockets, opening)
        except Unauthorized as error:
            left = still_possible(left[1:], error.schemes)
            if error.refused or not left:
                raise
        else:
            _TAKEN[key] = left[0]
            return connection
        finally:
            for unused in sockets:
                unused.close()


def _path(proxy: RpcProxy) -> str:
    with_certificate = proxy.tls and proxy.tls_settings.client_certificate
    return RPC_WITH_CERTIFICATE_PATH if with_certificate else proxy.path


def _host(proxy: RpcProxy) -> str:
    """What the Host header says: the port too, unless it is that of the scheme (RFC 9110 7.2)."""
    name = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return name if proxy.port == (_HTTPS_PORT if proxy.tls else _HTTP_PORT) else f"{name}:{proxy.port}"


def _loss(link: _Link, error: Exception | None) -> PeerError:
    """Why a channel has no socket any more."""
    if isinstance(error, SSLError):  # with TLS 1.3 the server looks at our certificate after the handshake
        return tls_failure(error)
    why = "connection closed" if error is None else reason(error)
    return ConnectionLost(f"{link.channel.name} channel: {why}")
