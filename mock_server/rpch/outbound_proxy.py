"""The outbound proxy role of [MS-RPCH] 3.2.4: an OUT channel, the server's PDUs in the body of a response."""

from typing import Final

from loadgen.errors import RemoteProtocolError, TimedOut
from loadgen.wire import rts, rts_recycling
from loadgen.wire.http import success_head
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    ANCE,
    ConnectionTimeout,
    Cookie,
    Destination,
    Empty,
    FlowControlAck,
    NegativeANCE,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from mock_server.rpch.flow_control import Sender
from mock_server.rpch.proxy import (
    DEFAULT_KEEPALIVE_MS,
    PROTOCOL_ERROR,
    SHORTEST_KEEPALIVE_MS,
    ChannelTable,
    ProxyChannel,
    ProxySettings,
    ProxyState,
)

_SMALLEST_WINDOW: Final = 8192
_PING: Final = rts.ping().encode()
_LAST_CHUNK: Final = b"0\r\n\r\n"
_UNREPORTED_PINGS: Final = 1031


class OutboundProxy(ProxyChannel):
    """One OUT channel. A successor keeps what the server sends until the client has said its last PDU."""

    successor: "OutboundProxy | None"
    predecessor: "OutboundProxy | None"

    def __init__(
        self,
        settings: ProxySettings,
        channels: ChannelTable,
        content_length: int,
        now: float,
        *,
        chunked: bool = False,
        minimum_timeout_ms: int | None = None,
    ) -> None:
        super().__init__(settings, channels, content_length, now)
        self._timeout_ms = minimum_timeout_ms or settings.connection_timeout_ms
        self._timeout_s = self._timeout_ms / 1000
        self._chunked = chunked
        self._ended = False
        self._head = b""
        self._last_sent = now
        self._window = 0
        self._lifetime_left = settings.channel_lifetime
        self._unreported_pings = 0
        self._confirmed = False
        self._waiting = bytearray()
        self._farewell = b""
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
        """The server has been reached: only now does the response to the first OUT channel begin."""
        super().connected()
        if self.state is ProxyState.WAIT_SERVER:
            self._begin_response()
            self._say(rts.conn_a3(self._timeout_ms).encode())

    def receive_from_server(self, pdu: bytes) -> None:
        """A PDU that came on the leg."""
        if pdu[2] == PduType.RTS:
            self._rts_from_server(RtsPdu.decode(pdu), pdu)
        elif self.state not in (ProxyState.PLUGGED, ProxyState.OPEN):
            raise RemoteProtocolError(f"an RPC PDU from the server while {self.state.value}")
        else:
            self._spend(len(pdu))
            self._received.received(len(pdu))
            self._passed_on(self._outlet.send(pdu))

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while it is the server's turn.

        A channel that gives way waits for the client to acknowledge what it was sent.
        """
        if self.state in (ProxyState.WAIT_CLIENT, ProxyState.PLUGGED):
            return self._last_received + self._timeout_s
        if self.state is ProxyState.OPEN:
            return self._last_sent + self._ping_interval_s
        if self.state is ProxyState.WAIT_SERVER and self._settings.manners.partner_s:
            return self._last_received + self._settings.manners.partner_s
        if self.state is ProxyState.ENDING:
            return self._last_sent + self._timeout_s
        return None

    def handle_timer(self, now: float) -> None:
        """Pings a client that has heard nothing for half the timeout; gives up one that is to speak."""
        due = self.next_timeout()
        if due is None or now < due:
            return
        if self.state is ProxyState.WAIT_SERVER:
            self.close()
            return
        if self.state is not ProxyState.OPEN:
            raise TimedOut(f"an OUT channel is {self.state.value} for {self._timeout_s:.0f} s")
        self._say(_PING)
        self._unreported_pings += len(_PING)
        if self._unreported_pings > _UNREPORTED_PINGS:
            self.leg.output += rts.ping_traffic_sent(self._unreported_pings).encode()
            self._unreported_pings = 0

    def data_to_client(self, now: float) -> bytes:
        """What is to be sent on the HTTP connection: the head once, then PDUs, bare or as one chunk."""
        head, self._head = self._head, b""
        data = super().data_to_client(now)
        if data:
            self._last_sent = now
        if data and self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._ended:
            self._ended = False
            data += _LAST_CHUNK
        return head + data

    def fail(self, code: int) -> None:
        """End the channel, and tell the client why if its response has not begun."""
        if self._can_refuse:
            self._chunked = False
        super().fail(code)

    @property
    def _ping_interval_s(self) -> float:
        if not self._settings.manners.keepalive_pings:
            return self._timeout_s / 2
        partner = self._channels.partners.get(self._vc_cookie)
        keepalive_ms = 0 if partner is None else partner.keepalive_ms
        return max(keepalive_ms or DEFAULT_KEEPALIVE_MS, SHORTEST_KEEPALIVE_MS) / 2000

    @property
    def _can_refuse(self) -> bool:
        return self.state in (ProxyState.WAIT_CLIENT, ProxyState.CONNECTING, ProxyState.PLUGGED)

    def _rts_from_client(self, pdu: RtsPdu) -> None:
        match self.state, pdu.flags, pdu.commands:
            case (
                ProxyState.WAIT_CLIENT,
                rts.NONE,
                (Version(), Cookie(vc_cookie), Cookie(cookie), ReceiveWindowSize(window)),
            ):
                self._set_window(window)
                self._join(vc_cookie, cookie)
                settings = self._settings
                hello = rts.conn_a2(vc_cookie, cookie, settings.lifetime_for_server, settings.receive_window)
                self._connect(hello)
            case (
                ProxyState.WAIT_CLIENT,
                rts.RECYCLE_CHANNEL,
                (Version(), Cookie(vc_cookie), Cookie(old), Cookie(cookie), ReceiveWindowSize(window)),
            ):
                self._set_window(window)
                settings = self._settings
                announced = settings.lifetime_for_server, settings.receive_window, self._timeout_ms
                hello = rts_recycling.out_r1_a4(vc_cookie, old, cookie, *announced)
                self._succeed(vc_cookie, old, cookie, hello)
            case ProxyState.PLUGGED, rts.NONE, (ANCE(),) if self.recycled == "R1":
                self._open()
            case ProxyState.PLUGGED, rts.PING, (Empty(),) if self.recycled == "R2" and not self._confirmed:
                self._confirmed = True
                self.open_when_agreed()
            case _:
                raise self._out_of_state(pdu, "client")

    def _set_window(self, size: int) -> None:
        if size < _SMALLEST_WINDOW:
            raise RemoteProtocolError(f"a receive window of {size} bytes")
        self._window = size

    def open_when_agreed(self) -> None:
        """An R2 successor opens when the predecessor has said its last and the client OUT_R2/C1."""
        if self._confirmed and self.predecessor is None:
            self._open()

    def _open(self) -> None:
        super()._open()
        self._begin_response()
        self._to_client += self._waiting
        self._waiting.clear()
        self._passed_on(self._outlet.opened(self._window))

    def _begin_response(self) -> None:
        self._head = success_head(None if self._chunked else self._settings.channel_lifetime)

    def _rts_from_server(self, pdu: RtsPdu, data: bytes) -> None:
        match self.state, pdu.flags, pdu.commands:
            case (
                ProxyState.WAIT_SERVER,
                rts.NONE,
                (Version(), ReceiveWindowSize(), ConnectionTimeout(timeout_ms)),
            ):
                self.state = ProxyState.OPEN
                echoed = self._settings.manners.echoes_window
                self._say(rts.conn_c2(self._window, timeout_ms).encode() if echoed else data)
                self._outlet.opened(self._window)
            case (
                (ProxyState.PLUGGED | ProxyState.OPEN | ProxyState.ENDING),
                rts.OTHER_CMD,
                (Destination(rts.OUT_PROXY), FlowControlAck() as ack),
            ):
                self.acknowledged(ack)
            case ((ProxyState.PLUGGED | ProxyState.OPEN), _, (Destination(rts.CLIENT), *_)) if pdu.names:
                self._say(data)
            case ProxyState.OPEN, rts.NONE, (ANCE(),):
                self._give_way()
            case ProxyState.OPEN, rts.NONE, (NegativeANCE(),) if self.successor is not None:
                refused = self.successor
                self._part(refused)
                refused.fail(PROTOCOL_ERROR)
                refused.wake()
            case _:
                raise self._out_of_state(pdu, "server")

    def _give_way(self) -> None:
        """OUT_R1/A9 or OUT_R2/B1: the server has no more to say here."""
        self.state = ProxyState.ENDING
        self._channels.remove(self._vc_cookie, self)
        if self.successor is None:
            self._farewell = rts_recycling.out_r1_a10().encode()
        else:
            self._farewell = rts_recycling.out_r2_b3().encode()
            self._swap_legs(self.successor)
        self._end_when_empty()

    def acknowledged(self, ack: FlowControlAck) -> None:
        """An ack for this channel, or for a predecessor whose leg this one has taken over."""
        if ack.channel_cookie == self.cookie:
            self._passed_on(self._outlet.acknowledged(ack.bytes_received, ack.available_window))
            self._end_when_empty()
        elif self.predecessor is not None:
            self.predecessor.acknowledged(ack)

    def _end_when_empty(self) -> None:
        if self.state is not ProxyState.ENDING or self._outlet.queued:
            return
        self._say(self._farewell)
        self._ended = self._chunked
        successor = self.successor
        if successor is not None:
            self._part(successor)
            successor.open_when_agreed()
            successor.wake()
        self.close()
        self.wake()

    def _say(self, data: bytes) -> None:
        """An RTS PDU for the client, which flow control does not count."""
        self._spend(len(data))
        if self.state is ProxyState.PLUGGED:
            self._waiting += data
        else:
            self._to_client += data

    def _spend(self, size: int) -> None:
        self._lifetime_left -= size
        if self._lifetime_left < 0:
            raise RemoteProtocolError(
                f"{-self._lifetime_left} bytes more than the Content-Length of the OUT channel"
            )

    def _passed_on(self, size: int) -> None:
        ack = self._received.consumed(size)
        if ack is not None and self.state is ProxyState.OPEN:
            self.leg.output += rts.flow_control_ack(*ack, self.cookie).encode()
