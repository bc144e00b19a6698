"""The two proxy roles of [MS-RPCH] 3.2.3 and 3.2.4, without sockets or a clock: one object for each channel.

A channel joins the body of one HTTP request or response to one TCP connection to the RPC server. Times are
seconds of any monotonic clock, passed in. What a peer may not send raises :class:`~loadgen.errors.PeerError`,
upon which the owner calls ``fail`` and closes both connections; when one connection is lost, so is the other.
"""

from enum import Enum
from typing import Final

import msgspec

from loadgen.errors import RemoteProtocolError, TimedOut
from loadgen.wire import rts
from loadgen.wire.http import CHANNEL_LENGTH, rpc_error_head, success_head
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    AssociationGroupId,
    ChannelLifetime,
    ClientKeepalive,
    ConnectionTimeout,
    Cookie,
    Destination,
    FlowControlAck,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from mock_server.flow_control import ReceiveWindow, Sender
from mock_server.pdu_stream import PduStream

SERVER_UNAVAILABLE: Final = 0x6BA
PROTOCOL_ERROR: Final = 0x6C0

_SMALLEST_WINDOW: Final = 8192
_LIFETIMES: Final = range(131072, 0x80000000 + 1)
_SHORTEST_KEEPALIVE_MS: Final = 60000
_PING: Final = rts.ping().encode()
_UNREPORTED_PINGS: Final = 1031


class ProxySettings(msgspec.Struct, frozen=True):
    """What the proxies of one server announce; sizes in bytes."""

    receive_window: int = 65536
    channel_lifetime: int = 1 << 30
    connection_timeout_ms: int = 120000


class ProxyState(Enum):
    """How far a channel has come; a proxy waits for the server's answer before it lets RPC PDUs through."""

    WAIT_CLIENT = "waiting for the client's first PDU"
    CONNECTING = "connecting to the server"
    WAIT_SERVER = "waiting for the server's first PDU"
    OPEN = "open"


class ProxyChannel:
    """What the inbound and the outbound role have in common.

    ``wants_server`` turns true when the connection to the server is to be opened; the owner answers with
    :meth:`connected`, or with :meth:`fail`.
    """

    def __init__(self, settings: ProxySettings, content_length: int, now: float) -> None:
        self.state = ProxyState.WAIT_CLIENT
        self.rpc_pdus = 0
        self._settings = settings
        self._timeout_s = settings.connection_timeout_ms / 1000
        self._body_left = content_length
        self._last_received = now
        self._last_sent = now
        self._cookie = b""
        self._hello = b""
        self._from_client = PduStream()
        self._from_server = PduStream(banner=True)
        self._to_client = bytearray()
        self._to_server = bytearray()
        self._received = ReceiveWindow(settings.receive_window)

    @property
    def wants_server(self) -> bool:
        """Whether the server is to be connected to."""
        return self.state is ProxyState.CONNECTING

    def connected(self) -> None:
        """The server has been reached."""
        self._to_server += self._hello
        self.state = ProxyState.WAIT_SERVER

    def data_to_client(self, now: float) -> bytes:
        """What is to be sent on the HTTP connection."""
        data = bytes(self._to_client)
        if data:
            self._last_sent = now
        self._to_client.clear()
        return data

    def data_to_server(self) -> bytes:
        """What is to be sent on the connection to the server."""
        data = bytes(self._to_server)
        self._to_server.clear()
        return data

    def _out_of_state(self, pdu: RtsPdu, sender: str) -> RemoteProtocolError:
        name = (
            " or ".join(pdu.names) or f"an RTS PDU of flags {pdu.flags:#06x} and {len(pdu.commands)} commands"
        )
        return RemoteProtocolError(f"{name} from the {sender} while {self.state.value}")


class InboundProxy(ProxyChannel):
    """The IN channel: the client's PDUs to the server."""

    def __init__(self, settings: ProxySettings, content_length: int, now: float, client_address: str) -> None:
        super().__init__(settings, content_length, now)
        self._client_address = client_address
        self._outlet = Sender(self._to_server)

    def receive_from_client(self, data: bytes, now: float) -> None:
        """Bytes of the request's body."""
        self._last_received = now
        self._body_left -= len(data)
        if self._body_left < 0:
            raise RemoteProtocolError(
                f"{-self._body_left} bytes more than the Content-Length of the IN channel"
            )
        for pdu in self._from_client.feed(data):
            if pdu[2] == PduType.RTS:
                self._rts_from_client(RtsPdu.decode(pdu), pdu)
            elif self.state is ProxyState.WAIT_CLIENT:
                raise RemoteProtocolError("an RPC PDU before CONN/B1")
            else:
                self.rpc_pdus += 1
                self._received.received(len(pdu))
                self._passed_on(self._outlet.send(pdu))

    def receive_from_server(self, data: bytes) -> None:
        """Bytes that came on the connection to the server."""
        for pdu in self._from_server.feed(data):
            if pdu[2] != PduType.RTS:
                raise RemoteProtocolError("an RPC PDU from the server on an IN channel")
            self._rts_from_server(RtsPdu.decode(pdu))

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest."""
        return self._last_received + self._timeout_s

    def handle_timer(self, now: float) -> None:
        """Raises :class:`TimedOut` for a client that has been silent for the connection timeout."""
        if now >= self._last_received + self._timeout_s:
            raise TimedOut(f"nothing on an IN channel for {self._timeout_s:.0f} s")

    def fail(self, code: int) -> None:
        """Tell the client why its channel ends ([MS-RPCH] 2.1.2.1.3)."""
        self._to_client += rpc_error_head(code)

    def _rts_from_client(self, pdu: RtsPdu, data: bytes) -> None:
        match self.state, pdu.flags, pdu.commands:
            case (
                ProxyState.WAIT_CLIENT,
                rts.NONE,
                (
                    Version(),
                    Cookie(vc_cookie),
                    Cookie(cookie),
                    ChannelLifetime(lifetime),
                    ClientKeepalive(keepalive_ms),
                    AssociationGroupId(group_id),
                ),
            ):
                _check_lifetime(lifetime)
                _check_keepalive(keepalive_ms)
                self._begin(vc_cookie, cookie, group_id)
            case ProxyState.WAIT_CLIENT, _, _:
                raise self._out_of_state(pdu, "client")
            case _, rts.PING, ():
                pass
            case _, rts.OTHER_CMD, (ClientKeepalive(keepalive_ms),):
                _check_keepalive(keepalive_ms)
            case ProxyState.OPEN, rts.OTHER_CMD, (Destination(rts.OUT_PROXY), FlowControlAck()):
                self._to_server += data
            case _:
                raise self._out_of_state(pdu, "client")

    def _begin(self, vc_cookie: bytes, cookie: bytes, group_id: bytes) -> None:
        self.state = ProxyState.CONNECTING
        self._cookie = cookie
        settings = self._settings
        self._hello = rts.conn_b2(
            vc_cookie,
            cookie,
            settings.receive_window,
            settings.connection_timeout_ms,
            group_id,
            self._client_address,
        ).encode()

    def _rts_from_server(self, pdu: RtsPdu) -> None:
        match self.state, pdu.flags, pdu.commands:
            case ProxyState.WAIT_SERVER, rts.NONE, (ReceiveWindowSize(size), Version()):
                self.state = ProxyState.OPEN
                self._passed_on(self._outlet.opened(size))
            case ProxyState.OPEN, rts.OTHER_CMD, (FlowControlAck(received, window, cookie),):
                if cookie == self._cookie:
                    self._passed_on(self._outlet.acknowledged(received, window))
            case _:
                raise self._out_of_state(pdu, "server")

    def _passed_on(self, size: int) -> None:
        ack = self._received.consumed(size)
        if ack is not None:
            pdu = rts.flow_control_ack_with_destination(rts.CLIENT, *ack, self._cookie)
            self._to_server += pdu.encode()


class OutboundProxy(ProxyChannel):
    """The OUT channel: the server's PDUs to the client, in the body of the HTTP response."""

    def __init__(
        self,
        settings: ProxySettings,
        content_length: int,
        now: float,
        *,
        chunked: bool = False,
        minimum_timeout_ms: int | None = None,
    ) -> None:
        super().__init__(settings, content_length, now)
        self._timeout_ms = minimum_timeout_ms or settings.connection_timeout_ms
        self._timeout_s = self._timeout_ms / 1000
        self._chunked = chunked
        self._head = b""
        self._window = 0
        self._unreported_pings = 0
        self._outlet = Sender(self._to_client)

    def receive_from_client(self, data: bytes, now: float) -> None:
        """Bytes of the request's body; what comes after its Content-Length is left alone, as IIS does."""
        self._last_received = now
        body = data[: self._body_left]
        self._body_left -= len(body)
        for pdu in self._from_client.feed(body):
            if pdu[2] != PduType.RTS:
                raise RemoteProtocolError("an RPC PDU from the client on an OUT channel")
            self._rts_from_client(RtsPdu.decode(pdu))

    def connected(self) -> None:
        """The server has been reached: only now does the HTTP response begin."""
        super().connected()
        self._head = success_head(None if self._chunked else CHANNEL_LENGTH)
        self._to_client += rts.conn_a3(self._timeout_ms).encode()

    def receive_from_server(self, data: bytes) -> None:
        """Bytes that came on the connection to the server."""
        for pdu in self._from_server.feed(data):
            if pdu[2] == PduType.RTS:
                self._rts_from_server(RtsPdu.decode(pdu), pdu)
            elif self.state is not ProxyState.OPEN:
                raise RemoteProtocolError("an RPC PDU before CONN/C1")
            else:
                self.rpc_pdus += 1
                self._received.received(len(pdu))
                self._passed_on(self._outlet.send(pdu))

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while it is the server's turn."""
        if self.state is ProxyState.WAIT_CLIENT:
            return self._last_received + self._timeout_s
        if self.state is ProxyState.OPEN:
            return self._last_sent + self._timeout_s / 2
        return None

    def handle_timer(self, now: float) -> None:
        """Pings a client that has heard nothing for half the timeout; gives up one without CONN/A1."""
        due = self.next_timeout()
        if due is None or now < due:
            return
        if self.state is ProxyState.WAIT_CLIENT:
            raise TimedOut(f"no CONN/A1 within {self._timeout_s:.0f} s")
        self._to_client += _PING
        self._unreported_pings += len(_PING)
        if self._unreported_pings > _UNREPORTED_PINGS:
            self._to_server += rts.ping_traffic_sent(self._unreported_pings).encode()
            self._unreported_pings = 0

    def fail(self, code: int) -> None:
        """Tell the client why its channel ends ([MS-RPCH] 2.1.2.1.3), if the response has not begun yet."""
        if self.state in (ProxyState.WAIT_CLIENT, ProxyState.CONNECTING):
            self._to_client += rpc_error_head(code)
            self._chunked = False

    def data_to_client(self, now: float) -> bytes:
        """What is to be sent on the HTTP connection: the head once, then PDUs, bare or as one chunk."""
        head, self._head = self._head, b""
        data = super().data_to_client(now)
        if data and self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        return head + data

    def _rts_from_client(self, pdu: RtsPdu) -> None:
        match self.state, pdu.flags, pdu.commands:
            case (
                ProxyState.WAIT_CLIENT,
                rts.NONE,
                (Version(), Cookie(vc_cookie), Cookie(cookie), ReceiveWindowSize(window)),
            ):
                if window < _SMALLEST_WINDOW:
                    raise RemoteProtocolError(f"a receive window of {window} bytes")
                self.state = ProxyState.CONNECTING
                self._cookie = cookie
                self._window = window
                settings = self._settings
                hello = rts.conn_a2(vc_cookie, cookie, settings.channel_lifetime, settings.receive_window)
                self._hello = hello.encode()
            case _:
                raise self._out_of_state(pdu, "client")

    def _rts_from_server(self, pdu: RtsPdu, data: bytes) -> None:
        match self.state, pdu.flags, pdu.commands:
            case ProxyState.WAIT_SERVER, rts.NONE, (Version(), ReceiveWindowSize(), ConnectionTimeout()):
                self.state = ProxyState.OPEN
                self._to_client += data
                self._outlet.opened(self._window)
            case ProxyState.OPEN, rts.OTHER_CMD, (Destination(rts.CLIENT), FlowControlAck()):
                self._to_client += data
            case (
                ProxyState.OPEN,
                rts.OTHER_CMD,
                (Destination(rts.OUT_PROXY), FlowControlAck(received, window, cookie)),
            ):
                if cookie == self._cookie:
                    self._passed_on(self._outlet.acknowledged(received, window))
            case _:
                raise self._out_of_state(pdu, "server")

    def _passed_on(self, size: int) -> None:
        ack = self._received.consumed(size)
        if ack is not None:
            self._to_server += rts.flow_control_ack(*ack, self._cookie).encode()


def _check_lifetime(size: int) -> None:
    if size not in _LIFETIMES:
        raise RemoteProtocolError(f"a channel lifetime of {size} bytes")


def _check_keepalive(milliseconds: int) -> None:
    if 0 < milliseconds < _SHORTEST_KEEPALIVE_MS:
        raise RemoteProtocolError(f"a keep-alive interval of {milliseconds} ms")
