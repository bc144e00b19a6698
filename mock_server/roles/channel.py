"""The sockets of a channel: a client's HTTP connection, and the connection to the server behind.

The latter is opened from one of the client access server's own addresses, when the client has said its first
PDU. What limits of the server end or refuse is told apart here too.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from loadgen.errors import PeerError
from loadgen.wire.http import RPC_IN_DATA
from mock_server.client_access import ClientAccess
from mock_server.limits.front_end import NO_CONTEXT, OUT_OF_MEMORY
from mock_server.limits.port_pool import PortLease
from mock_server.limits.valid_ports import BackEnd
from mock_server.limits.worker_processes import Cuttable
from mock_server.roles.connection import connect_from_pool, reset
from mock_server.roles.one_process import InnerConnection
from mock_server.rpch.inbound_proxy import InboundProxy
from mock_server.rpch.leg import HttpCaller
from mock_server.rpch.outbound_proxy import OutboundProxy
from mock_server.rpch.proxy import PROTOCOL_ERROR, SERVER_UNAVAILABLE, ProxyChannel, ProxyState, ServerLeg
from mock_server.web import ChannelHead, HttpConnection

_LINGER_S: Final = 5.0


class ClientConnection(asyncio.Protocol):
    """A connection of a client: HTTP requests, until one of them opens a channel."""

    transport: asyncio.Transport

    def __init__(self, access: ClientAccess) -> None:
        self._access = access
        self._loop = asyncio.get_running_loop()
        self._http: HttpConnection | None = None
        self._worker: set[Cuttable] | None = None
        self._has_context = False
        self._channel: _Channel | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The clock runs until a channel opens."""
        self.transport = cast("asyncio.Transport", transport)
        self._access.statistics.client_connected()
        self._has_context = self._access.limits.contexts.take()
        if not self._has_context:
            self.transport.write(NO_CONTEXT)
            self.close_after_reply()
            return
        certified = self._access.certified(transport.get_extra_info("ssl_object"))
        check, pages = self._access.policy.connection().check, self._access.pages
        self._http = HttpConnection(check, self._enter, certified, pages, self._access.manners.http)
        self._end_after(self._access.http.connection_timeout_ms / 1000, self._expire)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client, which mean nothing any more after :meth:`close_after_reply`."""
        if self._channel is not None:
            self._channel.from_client(data)
        elif self._http is not None:
            self._to_http(self._http, data)

    def connection_lost(self, _error: Exception | None) -> None:
        """With the connection goes its channel."""
        self._access.statistics.client_connections -= 1
        self._stop_timer()
        self._http = None
        if self._has_context:
            self._access.limits.contexts.give_back()
        if self._worker is not None:
            self._worker.discard(self)
        if self._channel is not None:
            self._channel.client_lost()

    def cut(self) -> None:
        """The worker that serves the channel has ended."""
        reset(self.transport)

    def close_after_reply(self) -> None:
        """No more is read, and the client gets time to take what was sent before the connection ends.

        Closing at once would reset the connection of a client that is still sending, and lose it the reply.
        TLS has no half-closed connections, but its close waits for the client's.
        """
        self._http = self._channel = None
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
        self._end_after(_LINGER_S, self.transport.abort)

    def _expire(self) -> None:
        """The client has been silent for too long."""
        reply = self._access.manners.http.timeout_reply
        if reply:
            self.transport.write(reply)
            self.close_after_reply()
        else:
            self.transport.abort()

    def _enter(self, path: str) -> float | None:
        return self._access.limits.queue_for(path).enter(self._loop.time())

    def _to_http(self, http: HttpConnection, data: bytes) -> None:
        waited = http.wait_s
        self._answer(http, http.receive(data))
        if http.wait_s and not waited:
            self._loop.call_later(http.wait_s, self._take, http)

    def _take(self, http: HttpConnection) -> None:
        """A worker has time for the request that waited, if its client is still there."""
        if http is self._http:
            self._answer(http, http.take())
            if http.wait_s:
                self._loop.call_later(http.wait_s, self._take, http)

    def _answer(self, http: HttpConnection, head: ChannelHead | None) -> None:
        if http.output:
            self.transport.write(bytes(http.output))
            http.output.clear()
        if http.closing:
            self.close_after_reply()
        elif head is not None:
            self._open_channel(head, http.body)

    def _open_channel(self, head: ChannelHead, body: bytes) -> None:
        self._stop_timer()
        self._http = None
        self._worker = self._access.limits.workers.current
        self._worker.add(self)
        self._channel = _Channel(self._access, self, head)
        self._channel.begin(body)

    def _end_after(self, seconds: float, end: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Channel:
    """Moves what the proxy role says between the two connections, and keeps its time."""

    def __init__(self, access: ClientAccess, client: ClientConnection, head: ChannelHead) -> None:
        self._access = access
        self._client = client
        self._head = head
        self._loop = asyncio.get_running_loop()
        self._role = _role(access, client, head, self._loop.time())
        self._role.wake = self._settle
        self._state = self._role.state
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_memory = access.limits.memory.take()
        access.statistics.channel_opened(head.user)
        self._set_timer()

    def begin(self, body: bytes) -> None:
        """Take what has already come of the request's body, or refuse if there is no memory."""
        if not self._has_memory:
            self._role.fail(OUT_OF_MEMORY)
            self._settle()
        elif body:
            self.from_client(body)

    def from_client(self, data: bytes) -> None:
        """Bytes of the request's body."""
        if self._role.state is ProxyState.CLOSED:
            return
        try:
            self._role.receive_from_client(data, self._loop.time())
        except PeerError:
            self._break()
        self._settle()

    def client_lost(self) -> None:
        """The client's connection has gone."""
        self._role.client_lost()
        self._settle()

    def _settle(self) -> None:
        """Bring about what an event has changed."""
        self._flush()
        state = self._role.state
        if state is self._state:
            return
        self._state = state
        self._set_timer()
        if self._role.wants_server and self._access.manners.one_process:
            self._join_inner()
        elif self._role.wants_server:
            self._connecting = self._loop.create_task(self._connect())
        elif state is ProxyState.CLOSED:
            self._end()

    def _end(self) -> None:
        self._access.statistics.channel_closed(self._head.user)
        if self._has_memory:
            self._access.limits.memory.give_back()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._role.refused:
            self._client.close_after_reply()
        else:
            self._client.transport.close()

    def _flush(self) -> None:
        data = self._role.data_to_client(self._loop.time())
        if data:
            self._client.transport.write(data)
        self._role.leg.wake()

    def _join_inner(self) -> None:
        """The service is in this process; its port alone counts, and others lead nowhere."""
        service = self._access.inner.get(self._head.port)
        if service is None:
            self._access.statistics.failed_connects += 1
            self._role.fail(SERVER_UNAVAILABLE)
            self._settle()
        else:
            caller = HttpCaller(self._head.user, self._head.by_password)
            InnerConnection(self._role.leg, service, caller, self._access)

    async def _connect(self) -> None:
        statistics = self._access.statistics
        statistics.connect_attempts += 1
        target = self._access.back_end(self._head.server, self._head.port)
        leg = self._role.leg
        try:
            if target is None:
                raise ConnectionRefusedError
            await connect_from_pool(
                lambda lease: _ServerConnection(leg, self._access, target, lease),
                target.address,
                target.port,
                self._access.limits.ports,
            )
        except OSError:
            statistics.failed_connects += 1
            self._role.fail(SERVER_UNAVAILABLE)
            self._settle()

    def _break(self) -> None:
        """The client has broken the protocol, or stayed silent."""
        self._access.statistics.protocol_errors += 1
        self._role.fail(PROTOCOL_ERROR)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._role.next_timeout()
        self._timer = None if due is None else self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        try:
            self._role.handle_timer(self._loop.time())
        except PeerError:
            self._break()
            self._settle()
        else:
            self._flush()
            self._set_timer()


class _ServerConnection(asyncio.Protocol):
    """The socket of a leg, whichever channel that belongs to; ``lease`` is its port."""

    def __init__(self, leg: ServerLeg, access: ClientAccess, back_end: BackEnd, lease: PortLease) -> None:
        self._leg = leg
        self._lease = lease
        self._closed_first = False
        self._server_closed = False
        self._access = access
        self._statistics = access.statistics
        self._column = back_end.column
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._statistics.server_connections[self._column] += 1
        self._transport = cast("asyncio.Transport", transport)
        self._leg.wake = self._flush
        if self._leg.closed:
            self._transport.abort()
        else:
            self._leg.channel.connected()
            self._leg.channel.wake()

    def data_received(self, data: bytes) -> None:
        self._access.receive_from_server(self._leg, data)

    def eof_received(self) -> None:
        """The server closes first, so the port is not held here."""
        self._server_closed = True

    def connection_lost(self, error: Exception | None) -> None:
        self._statistics.server_connections[self._column] -= 1
        self._lease.end(closed_here=self._closed_first and error is None)
        self._transport = None
        self._leg.channel.close()
        self._leg.channel.wake()

    def _flush(self) -> None:
        if self._transport is None:
            return
        data = self._leg.data_to_send()
        if data:
            self._statistics.bytes_to_servers += len(data)
            self._transport.write(data)
        if self._leg.closed:
            self._closed_first = not self._server_closed
            self._transport.close()


def _role(access: ClientAccess, client: ClientConnection, head: ChannelHead, now: float) -> ProxyChannel:
    settings = access.proxy
    if head.method == RPC_IN_DATA:
        address: str = client.transport.get_extra_info("peername")[0]
        return InboundProxy(settings, access.in_channels, head.content_length, now, address)
    return OutboundProxy(
        settings,
        access.out_channels,
        head.content_length,
        now,
        chunked=access.http.framing == "chunked" and head.http_minor > 0,
        minimum_timeout_ms=head.minimum_timeout_ms,
    )
