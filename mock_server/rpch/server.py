"""The server role of [MS-RPCH] 3.2.5, without sockets or a clock: two legs meet here by their cookie.

Times are seconds of any monotonic clock, passed in. A leg whose first PDU is not RTS carries RPC by itself,
as inside the firewall.
"""

from collections.abc import Callable
from math import inf
from typing import Final

import msgspec

from loadgen.errors import RemoteProtocolError
from loadgen.wire import rts
from loadgen.wire.pdu import PduType
from loadgen.wire.rts import (
    AssociationGroupId,
    ChannelLifetime,
    ClientAddress,
    ConnectionTimeout,
    Cookie,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from mock_server.rpc.association import Association
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.leg import NOBODY, SETUP_TIMEOUT_S, HttpCaller, InLeg, Leg, OutLeg
from mock_server.rpch.patience import Patience
from mock_server.rpch.virtual_connection import VirtualConnection

_IN_SUCCESSOR: Final = rts.RECYCLE_CHANNEL | rts.IN_CHANNEL
_OUT_SUCCESSOR: Final = rts.RECYCLE_CHANNEL | rts.OUT_CHANNEL


class ServerSettings(msgspec.Struct, frozen=True):
    """What a server takes, in bytes, and whether it greets proxies with the banner."""

    receive_window: int = 65536
    banner: bool = True


class _Half(msgspec.Struct, frozen=True):
    """A leg that waits for its other, until ``deadline``; an IN leg knows the client's group."""

    half: InLeg | OutLeg
    deadline: float
    group_id: bytes = b""


class RpcServer:
    """One listening port: its legs, and the virtual connections that they make."""

    def __init__(self, settings: ServerSettings, endpoint: Endpoint) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self._waiting: dict[bytes, _Half] = {}
        self._open: dict[bytes, VirtualConnection] = {}
        self.recyclings = Patience(SETUP_TIMEOUT_S)

    @property
    def virtual_connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def accept(self, wake: Callable[[], None], caller: HttpCaller = NOBODY) -> Leg:
        """A new TCP connection."""
        return Leg(self._begin, wake, caller, banner=self.settings.banner)

    def next_timeout(self, now: float) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while nothing is waited for."""
        meeting = next((waiting.deadline for waiting in self._waiting.values()), inf)
        recycling = self.recyclings.next_timeout(now)
        due = meeting if recycling is None else min(meeting, recycling)
        return None if due == inf else due

    def handle_timer(self, now: float) -> None:
        """Close the legs whose other has not come within 15 minutes ([MS-RPCH] 3.2.5.2).

        The specification sets no time for the steps of a recycling: each gets as much.
        """
        self.recyclings.handle_timer(now)
        late = [cookie for cookie, waiting in self._waiting.items() if waiting.deadline <= now]
        for cookie in late:
            self._waiting.pop(cookie).half.leg.close()

    def _begin(self, leg: Leg, pdu: bytes, now: float) -> None:
        if pdu[2] == PduType.RTS:
            self._introduce(leg, RtsPdu.decode(pdu), now + SETUP_TIMEOUT_S)
        else:
            association = Association(self.endpoint, leg.send)
            leg.belongs_to(association.receive_pdu, association.lost)
            association.receive_pdu(pdu)

    def _introduce(self, leg: Leg, pdu: RtsPdu, deadline: float) -> None:
        """A leg's first PDU, which says what it is for."""
        match pdu.flags, pdu.commands:
            case (
                rts.OUT_CHANNEL,
                (
                    Version(),
                    Cookie(vc_cookie),
                    Cookie(cookie),
                    ChannelLifetime(lifetime),
                    ReceiveWindowSize(window),
                ),
            ):
                self._meet(vc_cookie, _Half(OutLeg(leg, cookie, window, lifetime), deadline))
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
                self._meet(vc_cookie, _Half(InLeg(leg, cookie, window, timeout_ms), deadline, group_id))
            case _:
                self._introduce_successor(leg, pdu)

    def _introduce_successor(self, leg: Leg, pdu: RtsPdu) -> None:
        match pdu.commands:
            case (
                Version(),
                Cookie(vc_cookie),
                Cookie(predecessor),
                Cookie(cookie),
                ReceiveWindowSize(window),
                ConnectionTimeout(timeout_ms),
            ) if pdu.flags == _IN_SUCCESSOR:
                connection = self._connection(vc_cookie)
                connection.join_in(predecessor, InLeg(leg, cookie, window, timeout_ms))
            case (
                Version(),
                Cookie(vc_cookie),
                Cookie(predecessor),
                Cookie(cookie),
                ChannelLifetime(lifetime),
                ReceiveWindowSize(window),
                ConnectionTimeout(timeout_ms),
            ) if pdu.flags == _OUT_SUCCESSOR:
                connection = self._connection(vc_cookie)
                connection.join_out(predecessor, OutLeg(leg, cookie, window, lifetime), timeout_ms)
            case _:
                raise RemoteProtocolError(f"{' or '.join(pdu.names) or 'an unknown RTS PDU'} on a new leg")

    def _connection(self, cookie: bytes) -> VirtualConnection:
        connection = self._open.get(cookie)
        if connection is None:
            raise RemoteProtocolError("a successor for a virtual connection that is not open")
        return connection

    def _meet(self, cookie: bytes, half: _Half) -> None:
        if cookie in self._open:
            self._open[cookie].close()
            raise RemoteProtocolError("another leg for a virtual connection that is open")
        other = self._waiting.pop(cookie, None)
        if other is None:
            self._waiting[cookie] = half
            half.half.leg.belongs_to(_too_early, lambda: self._forget(cookie))
            return
        group_id = half.group_id or other.group_id
        match other.half, half.half:
            case (InLeg() as in_leg, OutLeg() as out_leg) | (OutLeg() as out_leg, InLeg() as in_leg):
                window = self.settings.receive_window
                self._open[cookie] = VirtualConnection(
                    self.endpoint,
                    window,
                    self.recyclings,
                    lambda: self._forget(cookie),
                    in_leg,
                    out_leg,
                    group_id,
                )
            case _:
                other.half.leg.close()
                raise RemoteProtocolError("two legs of one kind for a virtual connection")

    def _forget(self, cookie: bytes) -> None:
        """The virtual connection of this cookie, or what there is of it, has gone."""
        self._open.pop(cookie, None)
        self._waiting.pop(cookie, None)


def _too_early(_pdu: bytes) -> None:
    raise RemoteProtocolError("a PDU on a leg whose other has not come")
