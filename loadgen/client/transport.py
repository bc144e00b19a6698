"""Virtual connections over asyncio: the only file with client sockets.

A virtual connection is two TCP connections, and one more for each channel that is being recycled, under two
state machines, one that turns their bytes into PDUs (:mod:`loadgen.protocol.virtual_connection`) and one that
turns PDUs into answers to calls (:mod:`loadgen.protocol.association`). An idle one has no task and no timer,
only an alarm that sending never touches: when woken it looks whether anything is due.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from math import inf
from sys import intern
from time import monotonic_ns
from typing import Final, Protocol, TypeVar, cast

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.alarm import alarm_clock
from loadgen.errors import ConnectionLost, PeerError, ProfileError, TimedOut, TransportError
from loadgen.protocol.association import Association
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted, Event, ShutdownRequested
from loadgen.protocol.rts_options import RtsOptions
from loadgen.protocol.rts_states import State
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire.pdu import KEEP_CONNECTION_ON_ORPHAN, SyntaxId
from loadgen.wire.rpc import RpcRequest

ResponseT = TypeVar("ResponseT")
Probe = Callable[[str, int, int], None]
"""Told of each layer of a connection that is passed: its name, when it began and ended (monotonic_ns)."""

_HTTP_PORT: Final = 80
_OPENING: Final = 0
"""Opening is waited for like a call, under a number that no call has."""
_TURNS: Final = count()
# Of Linux, not in the socket module: connect chooses the port, so only the pair of addresses must be unique.
_IP_BIND_ADDRESS_NO_PORT: Final = 24


class ConnectionOptions(RtsOptions, frozen=True, gc=False):
    """What a virtual connection announces, and how long its owner waits."""

    connect_timeout_s: float = 30.0
    call_timeout_s: float = 900.0


class RpcConnection(Protocol):
    """One bound RPC connection, whatever carries it.

    ``on_lost`` is called once if the connection goes away by itself. Bytes are those of TCP payload.
    """

    on_lost: Callable[[PeerError], None] | None
    bytes_sent: int
    bytes_received: int

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:  # noqa: ASYNC109 - deadlines share one timer
        """Call a method and wait for its answer, ``timeout`` seconds at most.

        Raises :class:`RpcFault`, :class:`TimedOut`, :class:`WireError` for an answer that cannot be read (the
        connection outlives all three), or what ended the connection.
        """

    def begin(self, request: RpcRequest[object], timeout: float | None = None) -> "asyncio.Future[bytes]":
        """Call a method whose response stub may take long, without a task that waits for it."""

    async def close(self) -> None:
        """Close, and wait until the sockets are closed; pending calls raise :class:`ConnectionLost`."""

    def abort(self) -> None:
        """Close without waiting for anything, not even for what is still to be sent."""


class _Opening:
    """What a connection needs until it is open; ``layer`` is what it is busy with."""

    __slots__ = ("interfaces", "layer", "probe", "ready", "started_ns")

    def __init__(self, interfaces: Sequence[SyntaxId], probe: Probe | None) -> None:
        self.interfaces = interfaces
        self.probe = probe
        self.ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.layer = "connect_tcp"
        self.started_ns = monotonic_ns()

    def begin(self, layer: str) -> None:
        """Report the layer that is passed, and begin ``layer``."""
        ended_ns = monotonic_ns()
        if self.probe is not None:
            self.probe(self.layer, self.started_ns, ended_ns)
        self.layer = layer
        self.started_ns = ended_ns


class VirtualConnection:
    """An :class:`RpcConnection` over Outlook Anywhere, made by :func:`open_virtual_connection`."""

    __slots__ = (
        "_association",
        "_calls",
        "_channels",
        "_closed",
        "_connecting",
        "_failure",
        "_links",
        "_loop",
        "_opening",
        "_options",
        "_peer",
        "_proxy",
        "_rts",
        "alarm_at",
        "bytes_received",
        "bytes_sent",
        "on_lost",
    )

    def __init__(
        self, rts: VirtualConnectionClient, proxy: RpcProxy, peer: str, options: ConnectionOptions
    ) -> None:
        self.on_lost: Callable[[PeerError], None] | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self._loop = asyncio.get_running_loop()
        self._rts = rts
        self._channels = rts.channels
        self._proxy = proxy
        self._association = Association()
        self._peer = peer
        self._options = options
        self._opening: _Opening | None = None
        self._links: tuple[_Link, ...] = ()
        self._connecting: tuple[asyncio.Task[None], ...] = ()
        self._calls: dict[int, tuple[asyncio.Future[bytes], float]] = {}
        self._failure: PeerError | None = None
        self._closed: asyncio.Future[None] | None = None
        self.alarm_at = inf

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:  # noqa: ASYNC109 - deadlines share one timer
        """Call a method and wait for its answer; see :class:`RpcConnection`."""
        return request.decode_response(await self.begin(request, timeout))

    def begin(self, request: RpcRequest[object], timeout: float | None = None) -> "asyncio.Future[bytes]":
        """Call a method; its response stub comes in the future. Cancelling it gives the call up."""
        if self._failure is not None:
            raise ConnectionLost(str(self._failure))
        association = self._association
        context_id = association.context_id(request.interface)
        call_id = association.call(context_id, request.opnum, request.encode())
        future: asyncio.Future[bytes] = self._loop.create_future()
        future.add_done_callback(partial(self._given_up, call_id))
        now = self._loop.time()
        wait_s = self._options.call_timeout_s if timeout is None else timeout
        self._await_answer(call_id, future, now + wait_s)
        self._flush(now)
        return future

    def _given_up(self, call_id: int, future: "asyncio.Future[bytes]") -> None:
        if future.cancelled() and self._calls.pop(call_id, None) is not None:
            self._forget(call_id)
            self._flush(self._loop.time())

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

    async def open(self, sockets: list[socket.socket], opening: _Opening) -> None:
        """Establish and bind over two connected sockets, taking them off the list."""
        self._opening = opening
        try:
            for channel in self._channels:
                await self._attach(channel, sockets)
            if self._failure is not None:  # the first channel may have ended before the second was there
                raise self._failure
            self._await_answer(_OPENING, opening.ready, self._rts.next_timer())
            self._flush(self._loop.time())
            await opening.ready
        except BaseException:
            self.abort()
            raise

    async def _attach(self, channel: InChannel | OutChannel, sockets: list[socket.socket]) -> None:
        """Give a channel one of the connected sockets, taking that off the list."""
        link = _Link(self, channel)
        await self._loop.create_connection(lambda: link, sock=sockets.pop())

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
            sockets = await _connect(self._proxy, 1, what, self._options.connect_timeout_s)
            await self._attach(channel, sockets)
        except PeerError as error:
            self._fail(error)
        else:
            self._flush(self._loop.time())
        finally:
            this = asyncio.current_task()
            self._connecting = tuple(task for task in self._connecting if task is not this)

    def connected(self, link: "_Link") -> None:
        """A channel has its socket."""
        self._links += (link,)

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
            reason = "connection closed" if error is None else _reason(error)
            self._fail(ConnectionLost(f"{link.channel.name} channel: {reason}"))
        if self._closed is not None and not self._links:
            self._closed.set_result(None)

    def _take(self, pdus: Iterator[bytes], now: float) -> None:
        try:
            for pdu in pdus:
                for event in self._association.receive_pdu(pdu):
                    self._on_event(event)
            if self._opening is not None:
                self._proceed(self._opening)
        except PeerError as error:
            self._fail(error)
        else:
            self._flush(now)

    def _proceed(self, opening: _Opening) -> None:
        """Take the steps of opening that the virtual connection allows by now."""
        rts = self._rts
        if opening.layer == "http_auth" and rts.out_channel.answered:
            opening.begin("rts_establish")
        if opening.layer == "rts_establish" and rts.state is State.OPEN:
            opening.begin("rpc_bind")
            self._association.bind(opening.interfaces)
        self._arm(rts.next_timer())

    def _on_event(self, event: Event) -> None:
        match event:
            case CallReturned():
                self._answer(event.call_id, event.stub)
            case CallFaulted():
                future, _ = self._calls.pop(event.call_id)
                if not future.done():
                    future.set_exception(event.fault)
            case ContextsAccepted():
                self._on_bound()
            case ShutdownRequested():
                raise ConnectionLost("the server asked to shut the connection down")

    def _on_bound(self) -> None:
        if self._opening is not None:
            self._opening.begin("")
            self._opening = None
            self._answer(_OPENING, b"")

    def _answer(self, call_id: int, stub: bytes) -> None:
        future, _ = self._calls.pop(call_id)
        if not future.done():  # cancelled, and its call not yet told
            future.set_result(stub)

    def _await_answer(self, call_id: int, future: "asyncio.Future[bytes]", deadline: float) -> None:
        self._calls[call_id] = future, deadline
        self._arm(deadline)

    def _forget(self, call_id: int) -> None:
        """Give up a call, and tell only those servers that promised not to close the connection for it."""
        association = self._association
        if association.features & KEEP_CONNECTION_ON_ORPHAN:
            association.orphan(call_id)
        else:
            association.abandon(call_id)

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

    def _arm(self, when: float) -> None:
        """Make sure to be woken at ``when`` or before."""
        if when < self.alarm_at:
            alarm_clock().set(self, when)

    def wake(self, now: float) -> None:
        """Do what is due: ping, or give up what took too long."""
        try:
            self._rts.handle_timer(now)
        except PeerError as error:
            self._fail(error)
            return
        overdue = [call_id for call_id, (_, deadline) in self._calls.items() if deadline <= now]
        for call_id in overdue:
            self._expire(call_id)
        self._flush(now)
        self._arm(min(self._rts.next_timer(), *(deadline for _, deadline in self._calls.values()), inf))

    def _expire(self, call_id: int) -> None:
        if call_id == _OPENING:
            self._fail(TimedOut("no answer to bind"))
            return
        future, _ = self._calls.pop(call_id)
        self._forget(call_id)
        if not future.done():
            future.set_exception(TimedOut(f"{self._peer}: no answer to a call in time"))

    def _fail(self, error: PeerError) -> None:
        """The connection is of no more use: tell whoever waits, and the owner if there is none to be told."""
        if self._failure is not None:
            return
        error.args = (f"{self._peer}: {error}",)
        self._end(error)
        for link in self._links:
            link.transport.abort()
        if self.on_lost is not None:
            self.on_lost(error)

    def _end(self, error: PeerError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        self._rts.close()
        self.alarm_at = -inf
        for task in self._connecting:
            task.cancel()
        calls, self._calls = self._calls, {}
        for future, _ in calls.values():
            if not future.done():
                future.set_exception(error)


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
    if proxy.tls:
        raise ProfileError(f"https://{proxy.host}: TLS is not supported yet, use http")
    opening = _Opening(interfaces, probe)
    peer = intern(f"{proxy.host}:{proxy.port} ({server}:{port})")  # one for all connections between the two
    sockets = await _connect(proxy, 2, peer, options.connect_timeout_s)
    opening.begin("http_auth")
    try:
        now = asyncio.get_running_loop().time()
        host = intern(_host(proxy))
        rts = VirtualConnectionClient(server, port, host, credentials.basic, now, options)
        connection = VirtualConnection(rts, proxy, peer, options)
        await connection.open(sockets, opening)
    finally:
        for unused in sockets:
            unused.close()
    return connection


def _host(proxy: RpcProxy) -> str:
    """What the Host header says: the port too, unless it is that of plain HTTP (RFC 9110 7.2)."""
    name = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return name if proxy.port == _HTTP_PORT else f"{name}:{proxy.port}"


async def _connect(proxy: RpcProxy, many: int, what: str, timeout_s: float) -> list[socket.socket]:
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
        raise TransportError(f"{what}: {_reason(error)}") from None


def _prepare(sock: socket.socket, source: str | None) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))


def _reason(error: Exception) -> str:
    """What the kernel means, where asyncio says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)
