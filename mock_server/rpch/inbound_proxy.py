"""The inbound proxy role of [MS-RPCH] 3.2.3: an IN channel, which carries the client's PDUs to the server."""

from typing import Final

from loadgen.errors import RemoteProtocolError, TimedOut
from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    AssociationGroupId,
    ChannelLifetime,
    ClientKeepalive,
    Cookie,
    Destination,
    FlowControlAck,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from mock_server.rpch.flow_control import Sender
from mock_server.rpch.proxy import (
    PROTOCOL_ERROR,
    SHORTEST_KEEPALIVE_MS,
    ChannelTable,
    ProxyChannel,
    ProxySettings,
    ProxyState,
    ServerLeg,
)

_SHORTEST_LIFETIME: Final = 131072
_LONGEST_LIFETIME: Final = 0x80000000
_BEFORE_OPEN: Final = (ProxyState.CONNECTING, ProxyState.WAIT_SERVER, ProxyState.PLUGGED)


class InboundLeg(ServerLeg):
    """A leg that PDUs go down; ``cookie`` is what the server calls the channel in its acks.

    When an R2 successor is announced on the leg, the server turns to the new cookie and counts from 0 again.
    """

    def __init__(self, channel: "InboundProxy") -> None:
        super().__init__(channel)
        self.cookie = b""
        self.outlet = Sender(self.output)


class InboundProxy(ProxyChannel):
    """One IN channel. PDUs that come while it is plugged wait, and are looked at again when it opens."""

    leg: InboundLeg
    successor: "InboundProxy | None"
    predecessor: "InboundProxy | None"

    def __init__(
        self,
        settings: ProxySettings,
        channels: ChannelTable,
        content_length: int,
        now: float,
        client_address: str,
    ) -> None:
        super().__init__(settings, channels, content_length, now)
        self._client_address = client_address
        self._began = now
        self._waiting: list[bytes] = []
        self._inherited = 0

    def receive_from_client(self, data: bytes, now: float) -> None:
        """Bytes of the request's body."""
        self._last_received = now
        if self._settings.manners.drops_excess:
            data = data[: self._body_left]
        self._body_left -= len(data)
        if self._body_left < 0:
            raise RemoteProtocolError(
                f"{-self._body_left} bytes more than the Content-Length of the IN channel"
            )
        for pdu in self._from_client.feed(data):
            if pdu[2] == PduType.RTS:
                self._rts_from_client(RtsPdu.decode(pdu), pdu)
            else:
                self._received.received(len(pdu))
                self._rpc_from_client(pdu)

    def receive_from_server(self, pdu: bytes) -> None:
        """A PDU that came on the leg."""
        if pdu[2] != PduType.RTS:
            raise RemoteProtocolError("an RPC PDU from the server on an IN channel")
        self._rts_from_server(RtsPdu.decode(pdu))

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None once the channel is closed.

        Pings keep alive what is open, not what waits to be; what gives way has so long to get empty.
        """
        if self.state is ProxyState.CLOSED:
            return None
        since = self._began if self.state in _BEFORE_OPEN else self._last_received
        return since + self._timeout_s

    def handle_timer(self, now: float) -> None:
        """Raises :class:`TimedOut` if the connection timeout is over and the dialect has no word for it."""
        due = self.next_timeout()
        if due is None or now < due:
            return
        if self._settings.timeout_reply:
            self._to_client += self._settings.timeout_reply
            self.refused = True
            self.close()
        else:
            raise TimedOut(f"an IN channel is {self.state.value} for {self._timeout_s:.0f} s")

    def client_lost(self) -> None:
        """The HTTP connection has gone; what a predecessor still has for the server is not lost with it."""
        if self.state is not ProxyState.ENDING:
            self.close()

    @property
    def _can_refuse(self) -> bool:
        return True

    def _new_leg(self) -> InboundLeg:
        return InboundLeg(self)

    def _rpc_from_client(self, pdu: bytes) -> None:
        if self.state is ProxyState.OPEN:
            self._passed_on(self.leg.outlet.send(pdu))
        elif self.state in _BEFORE_OPEN:
            self._waiting.append(pdu)
        else:
            raise RemoteProtocolError(f"an RPC PDU from the client while {self.state.value}")

    def _rts_from_client(self, pdu: RtsPdu, data: bytes) -> None:
        match self.state, pdu.flags, pdu.commands:
            case ProxyState.WAIT_CLIENT, _, _:
                self._begin(pdu)
            case ((ProxyState.ENDING | ProxyState.CLOSED), _, _):
                raise self._out_of_state(pdu, "client")
            case _, rts.PING, ():
                pass
            case _, rts.OTHER_CMD, (ClientKeepalive(keepalive_ms),):
                self._check_keepalive(keepalive_ms)
                self.keepalive_ms = keepalive_ms
            case (
                (_, rts.OTHER_CMD, (Destination(rts.OUT_PROXY), FlowControlAck()))
                | (_, rts.OUT_CHANNEL, (Destination(rts.SERVER), Cookie()))
                | (_, rts.OUT_CHANNEL, (Destination(rts.SERVER), Cookie(), Version()))
                | (_, rts.NONE, (Cookie(),))
            ):
                self._act_or_wait(pdu, data)
            case _:
                raise self._out_of_state(pdu, "client")

    def _act_or_wait(self, pdu: RtsPdu, data: bytes) -> None:
        match self.state, pdu.commands:
            case ProxyState.OPEN, (Cookie(successor),):
                self._give_way(successor, data)
            case ProxyState.OPEN, _:
                self.leg.output += data
            case _:
                self._waiting.append(data)

    def _begin(self, pdu: RtsPdu) -> None:
        match pdu.flags, pdu.commands:
            case (
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
                self._check_lifetime(lifetime)
                self._check_keepalive(keepalive_ms)
                self.keepalive_ms = keepalive_ms
                self._join(vc_cookie, cookie)
                address, announced = self._client_address, self._announced
                hello = rts.conn_b2(vc_cookie, cookie, *announced, group_id, address)
                self._connect(hello)
            case rts.RECYCLE_CHANNEL, (Version(), Cookie(vc_cookie), Cookie(old), Cookie(cookie)):
                hello = rts_recycling.in_r1_a2(vc_cookie, old, cookie, *self._announced)
                self._succeed(vc_cookie, old, cookie, hello)
            case _:
                raise self._out_of_state(pdu, "client")

    @property
    def _announced(self) -> tuple[int, int]:
        return self._settings.receive_window, self._settings.connection_timeout_ms

    def _join(self, vc_cookie: bytes, cookie: bytes) -> None:
        super()._join(vc_cookie, cookie)
        self.leg.cookie = cookie
        predecessor = self._channels.partners.get(vc_cookie)
        if predecessor is not None:
            self.keepalive_ms = predecessor.keepalive_ms
        self._channels.partners[vc_cookie] = self

    def close(self) -> None:
        """End the channel; its OUT channel is without it from now on."""
        if self._channels.partners.get(self._vc_cookie) is self:
            del self._channels.partners[self._vc_cookie]
        super().close()

    def _announce(self) -> None:
        super()._announce()
        if self.successor is not None:
            self.leg.cookie = self.successor.cookie
            self._passed_on(self.leg.outlet.restart())

    def _give_way(self, cookie: bytes, data: bytes) -> None:
        """IN_R1/A5 or IN_R2/A5: the client has no more to say here."""
        successor = self.successor
        if successor is None:
            self.leg.output += data
            self.state = ProxyState.ENDING
            self._channels.remove(self._vc_cookie, self)
            self._end_when_empty()
            return
        self._part(successor)
        if successor.cookie == cookie:
            successor.take_over(self)
            self.close()
        else:
            successor.fail(PROTOCOL_ERROR)
            successor.wake()

    def take_over(self, predecessor: "InboundProxy") -> None:
        """The predecessor of an R2 recycling has ended; what it left in the queue is not of this channel."""
        self._swap_legs(predecessor)
        self._inherited = self.leg.outlet.queued
        self._open()
        self.wake()

    def _open(self) -> None:
        super()._open()
        waiting, self._waiting = self._waiting, []
        for pdu in waiting:
            if pdu[2] == PduType.RTS:
                self._rts_from_client(RtsPdu.decode(pdu), pdu)
            else:
                self._rpc_from_client(pdu)

    def _rts_from_server(self, pdu: RtsPdu) -> None:
        match self.state, pdu.flags, pdu.commands:
            case (ProxyState.WAIT_SERVER, rts.NONE, (ReceiveWindowSize(size), Version())) | (
                ProxyState.PLUGGED,
                rts.NONE,
                (ReceiveWindowSize(size),),
            ):
                self.leg.outlet.opened(size)
                self._open()
            case ((ProxyState.OPEN | ProxyState.ENDING), rts.OTHER_CMD, (FlowControlAck() as ack,)):
                if ack.channel_cookie == self.leg.cookie:
                    self._passed_on(self.leg.outlet.acknowledged(ack.bytes_received, ack.available_window))
                    self._end_when_empty()
            case _:
                raise self._out_of_state(pdu, "server")

    def _passed_on(self, size: int) -> None:
        inherited = min(size, self._inherited)
        self._inherited -= inherited
        ack = self._received.consumed(size - inherited)
        if ack is not None and self.state is ProxyState.OPEN:
            pdu = rts.flow_control_ack_with_destination(rts.CLIENT, *ack, self.cookie)
            self.leg.output += pdu.encode()

    def _end_when_empty(self) -> None:
        if self.state is ProxyState.ENDING and not self.leg.outlet.queued:
            self.leg.output += rts_recycling.in_r1_b1().encode()
            self.close()

    def _check_lifetime(self, size: int) -> None:
        """An organisation whose own channels live for less takes as little of its clients."""
        shortest = min(_SHORTEST_LIFETIME, self._settings.channel_lifetime)
        if not shortest <= size <= _LONGEST_LIFETIME:
            raise RemoteProtocolError(f"a channel lifetime of {size} bytes")

    def _check_keepalive(self, milliseconds: int) -> None:
        """Who goes by the client's own interval lengthens it; others refuse one that is too short."""
        short = 0 < milliseconds < SHORTEST_KEEPALIVE_MS
        if short and not self._settings.manners.keepalive_pings:
            raise RemoteProtocolError(f"a keep-alive interval of {milliseconds} ms")
