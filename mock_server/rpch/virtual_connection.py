"""A virtual connection in the server role of [MS-RPCH] 3.2.5, from the meeting of its legs to its end.

Either channel may be replaced while RPC goes on. In the R1 form the successor comes with a leg of its own; in
the R2 form the leg stays and only its channel cookie changes, upon which both ends count from 0 again.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec.structs import replace

from loadgen.errors import RemoteProtocolError
from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    Cookie,
    Destination,
    Empty,
    FlowControlAck,
    PingTrafficSentNotify,
    RtsPdu,
    Version,
)
from mock_server.rpc.association import Association
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.flow_control import ReceiveWindow, Sender
from mock_server.rpch.leg import InLeg, Leg, OutLeg
from mock_server.rpch.patience import Patience

RECYCLE_BELOW: Final = 8192
"""How many bytes of an OUT channel are left when Windows asks for its successor."""

_KEPT_FOR_RTS: Final = 2048
"""What RPC PDUs leave of an OUT channel's lifetime."""

_KEPT_FOR_PARTING: Final = 1152
"""What forwarded PDUs leave of it: OUT_R1/A5, the proxy's last PDU, and the pings it has not yet reported."""


class InState(Enum):
    """How far the recycling of the IN channel has come."""

    OPEN = "open"
    WAIT_A6 = "waiting for IN_R1/A6"
    WAIT_B1 = "waiting for IN_R1/B1"


class OutState(Enum):
    """How far the recycling of the OUT channel has come."""

    OPEN = "open"
    WAIT_A4 = "waiting for OUT_R1/A4 or OUT_R2/A4"
    WAIT_A8 = "waiting for OUT_R1/A8 or OUT_R2/A8"


class VirtualConnection:
    """An IN and an OUT leg that have met, and the RPC connection that the two make.

    ``window`` is what the server takes, in bytes; ``patience`` is told what a recycling waits for, and closes
    the connection if that does not come; ``on_closed`` is called once, at the end.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        window: int,
        patience: Patience,
        on_closed: Callable[[], None],
        in_leg: InLeg,
        out_leg: OutLeg,
        group_id: bytes,
    ) -> None:
        self._window = window
        self._patience = patience
        self._on_closed = on_closed
        self._statistics = endpoint.statistics
        self._in = in_leg
        self._out = out_leg
        self._in_state = InState.OPEN
        self._out_state = OutState.OPEN
        self._next_in: InLeg | None = None
        self._later_in: InLeg | None = None
        self._next_out: OutLeg | None = None
        self._parting: dict[bytes, Leg] = {}
        self._held = bytearray()
        self._received = ReceiveWindow(window)
        self._outlet = Sender(out_leg.leg.output, out_leg.lifetime, _KEPT_FOR_RTS)
        self._association = Association(endpoint, self._send, group_id, in_leg.leg.caller)
        in_leg.leg.belongs_to(self._from_in_leg, self.close)
        out_leg.leg.belongs_to(self._from_out_leg, self.close)
        self._outlet.opened(out_leg.window)
        self._to_client(rts.conn_c1(in_leg.window, in_leg.timeout_ms))
        in_leg.leg.send(rts.conn_b3(window).encode())

    def close(self) -> None:
        """A leg that is needed has gone: so do the others, and the RPC connection."""
        self._enter_in(InState.OPEN)
        self._enter_out(OutState.OPEN)
        self._on_closed()
        for half in (self._in, self._out, self._next_in, self._later_in, self._next_out):
            if half is not None:
                half.leg.close()
        for leg in self._parting.values():
            leg.close()
        self._association.lost()

    def join_in(self, predecessor: bytes, successor: InLeg) -> None:
        """IN_R1/A2 on a new leg.

        A client that knows its successor to be there uses it before the server has seen the predecessor end,
        and may use it up: the next successor then waits for its turn.
        """
        successor.leg.belongs_to(_too_early, self.close)
        pending = self._next_in
        if pending is None and predecessor == self._in.channel_cookie:
            self._expect_in(successor)
        elif pending is not None and predecessor == pending.channel_cookie and self._later_in is None:
            self._later_in = successor
        else:
            raise RemoteProtocolError("IN_R1/A2 does not name the IN channel")

    def join_out(self, predecessor: bytes, successor: OutLeg, timeout_ms: int) -> None:
        """OUT_R1/A4 on a new leg; the timeout is the successor's proxy's."""
        successor.leg.belongs_to(_too_early, self.close)
        if self._out_state is not OutState.WAIT_A4 or predecessor != self._out.channel_cookie:
            raise RemoteProtocolError(f"OUT_R1/A4 while {self._out_state.value}")
        self._next_out = successor
        self._enter_out(OutState.WAIT_A8)
        self._send_rts(rts_recycling.out_r1_a5(timeout_ms).encode())

    def _enter_in(self, state: InState) -> None:
        self._in_state = state
        if state is InState.OPEN:
            self._patience.end(self, "IN")
        else:
            self._patience.begin(self, "IN")

    def _enter_out(self, state: OutState) -> None:
        self._out_state = state
        if state is OutState.OPEN:
            self._patience.end(self, "OUT")
        else:
            self._patience.begin(self, "OUT")

    def _send(self, pdu: bytes) -> None:
        if self._outlet.send(pdu):
            self._sent()

    def _to_client(self, pdu: RtsPdu) -> None:
        self._forward(pdu.encode())

    def _forward(self, data: bytes) -> None:
        """An RTS PDU for the client: on the successor if the OUT channel is all but used up."""
        if self._out_state is not OutState.OPEN and self._outlet.left - len(data) < _KEPT_FOR_PARTING:
            self._held += data
        else:
            self._send_rts(data)
            self._sent()

    def _send_rts(self, data: bytes) -> None:
        self._outlet.left -= len(data)
        self._out.leg.send(data)

    def _sent(self) -> None:
        self._out.leg.wake()
        if self._out_state is OutState.OPEN and self._outlet.left <= RECYCLE_BELOW:
            self._enter_out(OutState.WAIT_A4)
            self._send_rts(rts_recycling.out_r1_a1().encode())

    def _from_in_leg(self, data: bytes) -> None:
        if data[2] == PduType.RTS:
            self._rts_from_in_leg(RtsPdu.decode(data), data)
            return
        self._received.received(len(data))
        self._association.receive_pdu(data)
        ack = self._received.consumed(len(data))
        if ack is not None:
            self._in.leg.send(rts.flow_control_ack(*ack, self._in.channel_cookie).encode())

    def _rts_from_in_leg(self, pdu: RtsPdu, data: bytes) -> None:
        match pdu.flags, pdu.commands:
            case rts.OTHER_CMD, (Destination(rts.CLIENT), FlowControlAck()):
                self._forward(data)
            case rts.OTHER_CMD, (Destination(rts.OUT_PROXY), FlowControlAck(_, _, cookie)):
                self._parting.get(cookie, self._out.leg).send(data)
            case rts.NONE, (Cookie(cookie),):
                self._expect_end_of_in(cookie)
            case rts.NONE, (Empty(),) if self._in_state is InState.WAIT_B1 and self._next_in is not None:
                self._switch_in(self._next_in)
            case (rts.OUT_CHANNEL, (Destination(rts.SERVER), Cookie(cookie))) | (
                rts.OUT_CHANNEL,
                (Destination(rts.SERVER), Cookie(cookie), Version()),
            ) if self._out_state is OutState.WAIT_A8 and self._next_out is not None:
                self._conclude_out(self._next_out, cookie)
            case _:
                raise RemoteProtocolError(f"{_name(pdu)} on an IN leg that is {self._in_state.value}")

    def _expect_in(self, successor: InLeg) -> None:
        self._next_in = successor
        self._enter_in(InState.WAIT_A6)
        self._to_client(rts_recycling.in_r1_a3(successor.window, successor.timeout_ms))

    def _expect_end_of_in(self, cookie: bytes) -> None:
        """IN_R1/A6 if a successor has announced itself on a leg of its own, else IN_R2/A2."""
        if self._in_state is InState.OPEN:
            self._in = replace(self._in, channel_cookie=cookie)
            self._received = ReceiveWindow(self._window)
            self._statistics.recycles["IN_R2"] += 1
            self._to_client(rts_recycling.in_r2_a3())
        elif (
            self._in_state is InState.WAIT_A6
            and self._next_in is not None
            and cookie == self._next_in.channel_cookie
        ):
            self._enter_in(InState.WAIT_B1)
        else:
            raise RemoteProtocolError(f"a successor's cookie on an IN leg that is {self._in_state.value}")

    def _switch_in(self, successor: InLeg) -> None:
        """IN_R1/B1: all has come on the predecessor."""
        self._in.leg.close()
        self._in = successor
        self._enter_in(InState.OPEN)
        self._received = ReceiveWindow(self._window)
        self._statistics.recycles["IN_R1"] += 1
        successor.leg.belongs_to(self._from_in_leg, self.close)
        successor.leg.send(rts_recycling.in_r1_b2(self._window).encode())
        self._next_in, later, self._later_in = None, self._later_in, None
        if later is not None:
            self._expect_in(later)

    def _from_out_leg(self, data: bytes) -> None:
        if data[2] != PduType.RTS:
            raise RemoteProtocolError("an RPC PDU on an OUT leg")
        pdu = RtsPdu.decode(data)
        match pdu.flags, pdu.commands:
            case rts.OTHER_CMD, (FlowControlAck(received, window, cookie),):
                if cookie == self._out.channel_cookie and self._outlet.acknowledged(received, window):
                    self._sent()
            case rts.OTHER_CMD, (PingTrafficSentNotify(size),):
                self._outlet.left -= size
                self._sent()
            case rts.NONE, (Cookie(cookie),) if self._out_state is OutState.WAIT_A4:
                self._next_out = replace(self._out, channel_cookie=cookie)
                self._enter_out(OutState.WAIT_A8)
                self._send_rts(rts_recycling.out_r2_a5().encode())
            case _:
                raise RemoteProtocolError(f"{_name(pdu)} on an OUT leg that is {self._out_state.value}")

    def _conclude_out(self, successor: OutLeg, cookie: bytes) -> None:
        """OUT_R1/A8 or OUT_R2/A8: the client uses the successor, if it is the one that the proxy named."""
        same_leg = successor.leg is self._out.leg
        if cookie == successor.channel_cookie:
            self._switch_out(successor, same_leg=same_leg)
        elif same_leg:
            self._next_out = None
            self._enter_out(OutState.WAIT_A4)
            self._out.leg.send(rts_recycling.out_r2_b2().encode())
        else:
            raise RemoteProtocolError("OUT_R1/A8 does not name the successor of the OUT channel")

    def _switch_out(self, successor: OutLeg, *, same_leg: bool) -> None:
        self._out.leg.send(rts_recycling.out_r1_a9().encode())
        if same_leg:
            self._statistics.recycles["OUT_R2"] += 1
        else:
            self._statistics.recycles["OUT_R1"] += 1
            self._let_part(self._out)
            successor.leg.belongs_to(self._from_out_leg, self.close)
        self._out, self._next_out = successor, None
        self._enter_out(OutState.OPEN)
        held, self._held = self._held, bytearray()
        successor.leg.output += held
        lifetime = successor.lifetime - len(held)
        self._outlet.replace(successor.leg.output, successor.window, lifetime)
        self._sent()

    def _let_part(self, predecessor: OutLeg) -> None:
        """Its proxy closes the leg when the client has taken all, and gets the client's acks until then."""
        cookie = predecessor.channel_cookie
        self._parting[cookie] = predecessor.leg
        predecessor.leg.belongs_to(_from_parting_leg, lambda: self._has_parted(cookie))

    def _has_parted(self, cookie: bytes) -> None:
        self._parting.pop(cookie, None)


def _from_parting_leg(data: bytes) -> None:
    """The proxy may have said this before it heard of the end."""
    if data[2] == PduType.RTS:
        match RtsPdu.decode(data):
            case RtsPdu(rts.OTHER_CMD, (FlowControlAck() | PingTrafficSentNotify(),)):
                return
    raise RemoteProtocolError("neither an ack nor a ping notification on an OUT leg that was replaced")


def _too_early(_pdu: bytes) -> None:
    raise RemoteProtocolError("a PDU on a leg that is not in use yet")


def _name(pdu: RtsPdu) -> str:
    return " or ".join(pdu.names) or "an unknown RTS PDU"
