"""The server role of [MS-RPCH] 3.2.5, without sockets or a clock: two legs meet here by their cookie.

Times are seconds of any monotonic clock, passed in. A leg whose first PDU is not RTS carries RPC by itself,
as inside the firewall.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from loadgen.errors import RemoteProtocolError
from loadgen.wire import rts
from loadgen.wire.http import BANNER
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    AssociationGroupId,
    ChannelLifetime,
    ClientAddress,
    ConnectionTimeout,
    Cookie,
    Destination,
    FlowControlAck,
    PingTrafficSentNotify,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from mock_server.flow_control import ReceiveWindow, Sender
from mock_server.pdu_stream import PduStream
from mock_server.rpc.association import Association
from mock_server.rpc.endpoint import Endpoint

SETUP_TIMEOUT_S: Final = 900.0


class ServerSettings(msgspec.Struct, frozen=True):
    """What a server takes, in bytes, and whether it greets proxies with the banner."""

    receive_window: int = 65536
    banner: bool = True


class Leg:
    """One TCP connection to the server: a proxy's, or a client's own.

    ``wake`` is called whenever ``output`` has grown or ``closed`` has turned true, which may be the doing of
    another leg or of a call that had been waiting.
    """

    __slots__ = ("_handle", "_on_lost", "_server", "_stream", "closed", "output", "wake")

    def __init__(self, server: "RpcServer", wake: Callable[[], None]) -> None:
        self.output = bytearray(BANNER if server.settings.banner else b"")
        self.closed = False
        self.wake = wake
        self._server = server
        self._stream = PduStream()
        self._handle: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[], None] | None = None

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the peer; raises :class:`PeerError`, upon which the connection ends by :meth:`lost`."""
        for pdu in self._stream.feed(data):
            if self._handle is not None:
                self._handle(pdu)
            elif pdu[2] == PduType.RTS:
                self._server.introduce(self, RtsPdu.decode(pdu), now)
            else:
                association = Association(self._server.endpoint, self.send)
                self.belongs_to(association.receive_pdu, association.lost)
                association.receive_pdu(pdu)

    def belongs_to(self, handle: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """From now on ``handle`` gets the PDUs, and ``on_lost`` hears of the end."""
        self._handle = handle
        self._on_lost = on_lost

    def send(self, pdu: bytes) -> None:
        """Send a PDU that flow control does not count."""
        self.output += pdu
        self.wake()

    def data_to_send(self) -> bytes:
        """What is to be sent."""
        data = bytes(self.output)
        self.output.clear()
        return data

    def lost(self) -> None:
        """The connection has gone, and with it all that needed it."""
        self.closed = True
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()

    def close(self) -> None:
        """End the connection once the output is out."""
        self._on_lost = None
        if not self.closed:
            self.closed = True
            self.wake()


class OutLeg(msgspec.Struct, frozen=True):
    """A leg that has said CONN/A2; the window is the outbound proxy's, in bytes."""

    leg: Leg
    deadline: float
    channel_cookie: bytes
    window: int


class InLeg(msgspec.Struct, frozen=True):
    """A leg that has said CONN/B2; window (bytes) and timeout are the inbound proxy's."""

    leg: Leg
    deadline: float
    channel_cookie: bytes
    window: int
    timeout_ms: int
    group_id: bytes


class VirtualConnection:
    """An IN and an OUT leg that have met, and the RPC connection that the two make."""

    def __init__(self, server: "RpcServer", cookie: bytes, in_leg: InLeg, out_leg: OutLeg) -> None:
        self._server = server
        self._cookie = cookie
        self._in = in_leg
        self._out = out_leg
        self._received = ReceiveWindow(server.settings.receive_window)
        self._outlet = Sender(out_leg.leg.output)
        self._association = Association(server.endpoint, self._send, in_leg.group_id)
        in_leg.leg.belongs_to(self._from_in_leg, self.close)
        out_leg.leg.belongs_to(self._from_out_leg, self.close)
        out_leg.leg.send(rts.conn_c1(in_leg.window, in_leg.timeout_ms).encode())
        in_leg.leg.send(rts.conn_b3(server.settings.receive_window).encode())
        self._outlet.opened(out_leg.window)

    def close(self) -> None:
        """Either leg has gone: so does the other, and the RPC connection."""
        self._server.forget(self._cookie)
        self._in.leg.close()
        self._out.leg.close()
        self._association.lost()

    def _send(self, pdu: bytes) -> None:
        self._outlet.send(pdu)
        self._out.leg.wake()

    def _from_in_leg(self, data: bytes) -> None:
        if data[2] == PduType.RTS:
            self._forward(RtsPdu.decode(data), data)
            return
        self._received.received(len(data))
        self._association.receive_pdu(data)
        ack = self._received.consumed(len(data))
        if ack is not None:
            self._in.leg.send(rts.flow_control_ack(*ack, self._in.channel_cookie).encode())

    def _forward(self, pdu: RtsPdu, data: bytes) -> None:
        """Acks reach the client and the outbound proxy by way of the OUT leg ([MS-RPCH] 3.2.1.5)."""
        match pdu.flags, pdu.commands:
            case rts.OTHER_CMD, (Destination(rts.CLIENT | rts.OUT_PROXY), FlowControlAck()):
                self._out.leg.send(data)
            case _:
                raise RemoteProtocolError(f"{' or '.join(pdu.names) or 'an unknown RTS PDU'} on an IN leg")

    def _from_out_leg(self, data: bytes) -> None:
        if data[2] != PduType.RTS:
            raise RemoteProtocolError("an RPC PDU on an OUT leg")
        pdu = RtsPdu.decode(data)
        match pdu.flags, pdu.commands:
            case rts.OTHER_CMD, (FlowControlAck(received, window, cookie),):
                if cookie == self._out.channel_cookie and self._outlet.acknowledged(received, window):
                    self._out.leg.wake()
            case rts.OTHER_CMD, (PingTrafficSentNotify(),):
                pass
            case _:
                raise RemoteProtocolError(f"{' or '.join(pdu.names) or 'an unknown RTS PDU'} on an OUT leg")


class RpcServer:
    """One listening port: its legs, and the virtual connections that they make."""

    def __init__(self, settings: ServerSettings, endpoint: Endpoint) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self._waiting: dict[bytes, InLeg | OutLeg] = {}
        self._open: dict[bytes, VirtualConnection] = {}

    @property
    def virtual_connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def accept(self, wake: Callable[[], None]) -> Leg:
        """A new TCP connection."""
        return Leg(self, wake)

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while no leg waits for its other."""
        return next((half.deadline for half in self._waiting.values()), None)

    def handle_timer(self, now: float) -> None:
        """Close the legs whose other has not come within 15 minutes ([MS-RPCH] 3.2.5.2)."""
        late = [cookie for cookie, half in self._waiting.items() if half.deadline <= now]
        for cookie in late:
            self._waiting.pop(cookie).leg.close()

    def forget(self, cookie: bytes) -> None:
        """The virtual connection of this cookie, or what there is of it, has gone."""
        self._open.pop(cookie, None)
        self._waiting.pop(cookie, None)

    def introduce(self, leg: Leg, pdu: RtsPdu, now: float) -> None:
        """A leg's first PDU, which says what it is for."""
        deadline = now + SETUP_TIMEOUT_S
        half: InLeg | OutLeg
        match pdu.flags, pdu.commands:
            case (
                rts.OUT_CHANNEL,
                (Version(), Cookie(vc_cookie), Cookie(cookie), ChannelLifetime(), ReceiveWindowSize(window)),
            ):
                half = OutLeg(leg, deadline, cookie, window)
            case (
                rts.IN_CHANNEL,
                (
                    Version(),
                    Cookie(vc_cookie),
                    Cookie(cookie),
                    ReceiveWindowSize(window),
                    ConnectionTimeout(timeout_ms),
                    AssociationGroupId(group_id),
                    ClientAddress(),
                ),
            ):
                half = InLeg(leg, deadline, cookie, window, timeout_ms, group_id)
            case _:
                raise RemoteProtocolError(f"{' or '.join(pdu.names) or 'an unknown RTS PDU'} on a new leg")
        self._meet(vc_cookie, half)

    def _meet(self, cookie: bytes, half: InLeg | OutLeg) -> None:
        if cookie in self._open:
            self._open[cookie].close()
            raise RemoteProtocolError("another leg for a virtual connection that is open")
        other = self._waiting.pop(cookie, None)
        if other is None:
            self._waiting[cookie] = half
            half.leg.belongs_to(_too_early, lambda: self.forget(cookie))
            return
        match other, half:
            case (InLeg() as in_leg, OutLeg() as out_leg) | (OutLeg() as out_leg, InLeg() as in_leg):
                self._open[cookie] = VirtualConnection(self, cookie, in_leg, out_leg)
            case _:
                other.leg.close()
                raise RemoteProtocolError("two legs of one kind for a virtual connection")


def _too_early(_pdu: bytes) -> None:
    raise RemoteProtocolError("a PDU on a leg whose other has not come")
