"""The client role of a virtual connection ([MS-RPCH] 3.2.1 and 3.2.2): channels that act as one connection.

Sans-IO: bytes of each channel go in, RPC PDUs come out, ``data_to_send`` of each channel is for its socket,
and ``now`` is seconds on any clock that never goes back. A channel that has carried what it may is replaced
by a successor, on a connection of its own, while calls are outstanding.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from os import urandom
from typing import Final, TypeVar

from msgspec.structs import replace

from loadgen.errors import ConnectionLost, LocalProtocolError, PeerError, RemoteProtocolError, TimedOut
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.flow_control import ReceiveWindow, SendWindow
from loadgen.protocol.http_authentication import Authentication
from loadgen.protocol.rts_options import COOKIE_SIZE, RTS_RESERVE, Cookies, RtsOptions
from loadgen.protocol.rts_states import (
    ANSWERED,
    IN_DUE,
    IN_PREDECESSOR_GONE,
    IN_RECYCLING,
    IN_REQUESTED,
    OUT_ANSWERED,
    OUT_RECYCLING,
    OUT_REQUESTED,
    REQUESTED,
    RPC_PDU,
    TRANSITIONS,
    InPhase,
    OutPhase,
    State,
)
from loadgen.wire import rts, rts_recycling
from loadgen.wire.http import (
    OUT_REQUEST_LENGTH,
    OUT_SUCCESSOR_LENGTH,
    RPC_IN_DATA,
    RPC_OUT_DATA,
    RPC_PROXY_PATH,
    ChannelRequest,
    Method,
)
from loadgen.wire.pdu import PduType, pdu_type

CommandT = TypeVar("CommandT", bound=rts.Command)

_DEFAULT_KEEPALIVE_MS: Final = 300_000  # what 0 stands for on the wire
_WINDOWS: Final = range(8192, 262144 + 1)
_TIMEOUTS_MS: Final = range(120_000, 14_400_000 + 1)
_PING: Final = rts.ping().encode()
_C1: Final = rts_recycling.out_r2_c1().encode()
_A11: Final = rts_recycling.out_r1_a11().encode()
_A5_SIZE: Final = 40
_B1_SIZE: Final = 104


class VirtualConnectionClient:
    """A virtual connection to ``server:port`` through the proxy ``host``.

    Making one queues both HTTP requests and, unless they are to be challenged first, CONN/A1 and CONN/B1.
    Whatever takes something from the peer, or finds that it is late, may raise a
    :class:`~loadgen.errors.PeerError`; the state is then CLOSED.

    ``channels`` are those that are to have a connection to the proxy each. The tuple is another one when a
    channel has come, or has gone and is to be closed once all its data are sent.
    """

    __slots__ = (
        "_authenticate",
        "_connection_timeout_s",
        "_cookies",
        "_deadline",
        "_held",
        "_held_rts",
        "_host",
        "_in_deadline",
        "_in_phase",
        "_keepalive_s",
        "_last_sent",
        "_options",
        "_out_deadline",
        "_out_phase",
        "_path",
        "_port",
        "_receive_window",
        "_send_window",
        "_server",
        "_spare_in",
        "_spare_out",
        "_successors",
        "channels",
        "in_channel",
        "out_channel",
        "state",
    )

    def __init__(
        self,
        server: str,
        port: int,
        host: str,
        authenticate: Callable[[], Authentication],
        now: float,
        options: RtsOptions,
        cookies: Cookies | None = None,
        path: str = RPC_PROXY_PATH,
    ) -> None:
        self._server = server
        self._port = port
        self._host = host
        self._path = path
        self._authenticate = authenticate
        self._options = options
        self.state = State.REQUESTS
        self._in_phase = InPhase.STEADY
        self._out_phase = OutPhase.STEADY
        self.in_channel = self._spare_in = self._new_in_channel()
        self.out_channel = self._spare_out = self._new_out_channel(OUT_REQUEST_LENGTH)
        self.channels: tuple[InChannel | OutChannel, ...] = (self.in_channel, self.out_channel)
        self._cookies = self._successors = cookies or Cookies.random()
        self._held: deque[bytes] | None = None
        self._held_rts: deque[bytes] | None = None
        self._send_window = SendWindow(0)
        self._receive_window = ReceiveWindow(options.receive_window)
        self._connection_timeout_s = inf
        self._keepalive_s = (options.client_keepalive_ms or _DEFAULT_KEEPALIVE_MS) / 1000
        self._deadline = now + options.establishment_timeout_s
        self._in_deadline = self._out_deadline = inf
        self._last_sent = now
        self._proceed(now)

    def receive_data(self, channel: InChannel | OutChannel, data: bytes, now: float) -> Iterator[bytes]:
        """Take bytes that came on ``channel``; gives out the RPC PDUs in them, to be fetched at once."""
        if not self._heeds(channel):
            return iter(())
        channel.receive_data(data)
        return self._pdus(channel, now)

    def receive_eof(self, channel: InChannel | OutChannel, now: float) -> Iterator[bytes]:
        """The server will send no more on ``channel``: as :meth:`receive_data`, with an error at the end."""
        if not self._heeds(channel):
            return iter(())
        channel.receive_eof()
        return self._pdus(channel, now)

    def disconnected(self, channel: InChannel | OutChannel, now: float) -> bool:
        """The connection of ``channel`` is gone; whether the others are enough, as after a predecessor."""
        if channel is self._spare_in and self._in_phase is InPhase.CLOSE_WAIT:
            self._finish_in(now)
            return True
        return channel not in self.channels

    def send_pdu(self, pdu: bytes, now: float) -> None:
        """Queue an RPC PDU for the IN channel, or hold it until window and lifetime admit it."""
        if self.state is not State.OPEN:
            raise LocalProtocolError(f"RPC PDU while waiting for {self.state.value}")
        size = len(pdu)
        if not self._held and self._send_window.admits(size) and self._has_room(size):
            self._send_window.spend(size)
            self._send_up(pdu, now)
        elif size > self._options.channel_lifetime - _B1_SIZE - RTS_RESERVE:
            raise LocalProtocolError(f"no IN channel will ever have room for {size} bytes")
        else:
            if self._held is None:
                self._held = deque()
            self._held.append(pdu)
            self._send_held(now)

    def keep_alive(self, interval_ms: int, now: float) -> None:
        """Change the keep-alive interval, here and at the inbound proxy ([MS-RPCH] 2.2.4.46)."""
        self._keepalive_s = (interval_ms or _DEFAULT_KEEPALIVE_MS) / 1000
        self._send_rts(rts.keep_alive(interval_ms).encode(), now)

    def close(self) -> None:
        """No more is to be said or heard; there is no PDU for that."""
        self.state = State.CLOSED
        self._in_phase, self._out_phase = InPhase.STEADY, OutPhase.STEADY
        self._deadline = self._in_deadline = self._out_deadline = inf
        self._keepalive_s = self._connection_timeout_s = inf

    def next_timer(self) -> float:
        """When :meth:`handle_timer` is to be called; earlier than it was only if ``channels`` changed."""
        return min(self._deadline, self._in_deadline, self._out_deadline, self._ping_due())

    def handle_timer(self, now: float) -> None:
        """Ping a silent IN channel; raises :class:`TimedOut` when opening or recycling takes too long."""
        options = self._options
        if now >= self._deadline:
            raise self._timed_out(self.state.value, options.establishment_timeout_s)
        if now >= self._out_deadline:
            awaited = f"recycling the OUT channel: {self._out_phase.value}"
            raise self._timed_out(awaited, options.recycle_timeout_s)
        if now >= self._in_deadline:
            if self._in_phase is not InPhase.CLOSE_WAIT:
                awaited = f"recycling the IN channel: {self._in_phase.value}"
                raise self._timed_out(awaited, options.recycle_timeout_s)
            self._finish_in(now)
        if now >= self._ping_due():
            self._send_rts(_PING, now)

    def _timed_out(self, awaited: str, limit_s: float) -> TimedOut:
        self.close()
        return TimedOut(f"{awaited} did not come within {limit_s:g} s")

    def _ping_due(self) -> float:
        """The proxy gives up an IN channel that is silent for ConnectionTimeout, so half of that is safe."""
        if self._connection_timeout_s == inf:
            return inf
        return self._last_sent + min(self._connection_timeout_s / 2, self._keepalive_s)

    def _heeds(self, channel: InChannel | OutChannel) -> bool:
        """Whether what comes on ``channel`` matters; on a predecessor nothing does after the switch."""
        if channel is self._spare_in:
            return self._in_phase is not InPhase.CLOSE_WAIT
        return channel in self.channels

    def _pdus(self, channel: InChannel | OutChannel, now: float) -> Iterator[bytes]:
        try:
            self._proceed(now)
            if channel is self.out_channel:
                yield from self._received(now)
            elif channel is not self._spare_out or not self._spare_out.answered:
                yield from channel.pdus()  # there are none, but maybe an error
        except PeerError:
            self.close()
            raise

    def _received(self, now: float) -> Iterator[bytes]:
        """The RPC PDUs of the OUT channel, then those that its successor has had before its turn came."""
        channel: OutChannel | None = None
        while channel is not self.out_channel:
            channel = self.out_channel
            for pdu in channel.pdus():
                if pdu_type(pdu) != PduType.RTS:
                    if self.state is not State.OPEN:
                        self._enter((RPC_PDU,))
                    self._consume(pdu, now)
                    yield pdu
                else:
                    self._on_rts(pdu, now)
                    if channel is not self.out_channel:
                        break  # real proxies send rubbish after the last PDU

    def _proceed(self, now: float) -> None:
        """Take the steps that HTTP alone decides."""
        if self.state is State.REQUESTS and self.in_channel.body_open and self.out_channel.body_open:
            self._enter((REQUESTED,))
            self._send_conn(now)
        if self.state is State.OUT_WAIT and self.out_channel.answered:
            self._enter((ANSWERED,))
        if self._in_phase is InPhase.REQUEST and self._spare_in.body_open:
            self._enter((IN_REQUESTED,))
            self._send_in_a1()
        if self._out_phase is OutPhase.REQUEST and self._spare_out.body_open:
            self._enter((OUT_REQUESTED,))
            self._send_out_a3()
        if self._out_phase is OutPhase.ANSWER_WAIT and self.out_channel.answered:
            self._enter((OUT_ANSWERED,))
            self._out_deadline = inf

    def _new_in_channel(self) -> InChannel:
        length = self._options.channel_lifetime
        return InChannel(self._request(RPC_IN_DATA, length), self._authenticate())

    def _new_out_channel(self, length: int) -> OutChannel:
        return OutChannel(self._request(RPC_OUT_DATA, length), self._authenticate())

    def _request(self, method: Method, length: int) -> ChannelRequest:
        return ChannelRequest(method, self._server, self._port, length, self._host, path=self._path)

    def _send_conn(self, now: float) -> None:
        options, cookies = self._options, self._cookies
        a1 = rts.conn_a1(cookies.virtual_connection, cookies.out_channel, options.receive_window)
        b1 = rts.conn_b1(
            cookies.virtual_connection,
            cookies.in_channel,
            options.channel_lifetime,
            options.client_keepalive_ms,
            cookies.association_group,
        )
        self.out_channel.send(a1.encode())
        self._send_rts(b1.encode(), now)
        self._cookies = self._successors = replace(cookies, association_group=b"")  # said once and for all

    def _enter(self, names: tuple[str, ...]) -> str:
        """Change state for what came, which may go by several names: at most one of them is in a table."""
        for name in names:
            if name in TRANSITIONS[self.state]:
                self.state = TRANSITIONS[self.state][name]
                return name
            if self.state is State.OPEN:
                if name in IN_RECYCLING[self._in_phase]:
                    self._in_phase = IN_RECYCLING[self._in_phase][name]
                    return name
                if name in OUT_RECYCLING[self._out_phase]:
                    self._out_phase = OUT_RECYCLING[self._out_phase][name]
                    return name
        if "OUT_R2/B2" in names and self._out_phase is not OutPhase.STEADY:
            raise ConnectionLost("NegativeANCE: the server does not take the successor of the OUT channel")
        came = " or ".join(names) or "an RTS PDU of unknown shape"
        raise RemoteProtocolError(f"{came} while waiting for {self.state.value} (RPC error 0x6C0)")

    def _on_rts(self, data: bytes, now: float) -> None:
        pdu = rts.RtsPdu.decode(data)
        name = self._enter(pdu.names)
        for command in pdu.commands:
            if isinstance(command, rts.Destination) and command.role != rts.CLIENT:
                raise RemoteProtocolError(f"{name} for role {command.role}")
        match name:
            case "CONN/A3":
                self._take_connection_timeout(pdu)
            case "CONN/C2":
                self._on_conn_c2(pdu)
            case "FlowControlAckWithDestination":
                self._on_flow_control_ack(pdu, now)
            case "IN_R1/A4" | "IN_R2/A4":
                self._on_in_a4(pdu, name, now)
            case "OUT_R1/A2":
                self._on_out_a2(now)
            case "OUT_R1/A6" | "OUT_R2/A6":
                self._on_out_a6(pdu, name, now)
            case "OUT_R1/A10" | "OUT_R2/B3":
                self._switch_out(name, now)

    def _on_conn_c2(self, pdu: rts.RtsPdu) -> None:
        self._send_window = SendWindow(_window(pdu))
        self._take_connection_timeout(pdu)
        self._deadline = inf

    def _take_connection_timeout(self, pdu: rts.RtsPdu) -> None:
        self._connection_timeout_s = _timeout_ms(pdu) / 1000

    def _on_flow_control_ack(self, pdu: rts.RtsPdu, now: float) -> None:
        ack = _command(pdu, rts.FlowControlAck)
        if ack.channel_cookie == self._cookies.in_channel:  # and not that of a predecessor
            self._send_window.acknowledge(ack.bytes_received, ack.available_window)
            self._send_held(now)

    def _recycle_in(self, now: float) -> None:
        """Open a successor of the IN channel ([MS-RPCH] 3.2.2.5.12), unless one recycling is not over yet."""
        if self._in_phase is InPhase.STEADY:
            self._enter((IN_DUE,))
            self._spare_in = self._new_in_channel()
            self._successors = replace(self._successors, in_channel=urandom(COOKIE_SIZE))
            self._in_deadline = now + self._options.recycle_timeout_s
            self.channels += (self._spare_in,)
            self._proceed(now)

    def _send_in_a1(self) -> None:
        cookies = self._cookies
        a1 = rts_recycling.in_r1_a1(
            cookies.virtual_connection, cookies.in_channel, self._successors.in_channel
        )
        self._spare_in.send(a1.encode())

    def _on_in_a4(self, pdu: rts.RtsPdu, name: str, now: float) -> None:
        """Leave the predecessor with A5 as its last PDU; all that is held goes up the successor.

        The form R1 announces the window of another proxy; that of the same proxy stays, and begins anew.
        """
        window = self._send_window.size
        if name == "IN_R1/A4":
            window = _window(pdu)
            self._take_connection_timeout(pdu)
        cookie = self._successors.in_channel
        self.in_channel.send(rts_recycling.in_r1_a5(cookie).encode())
        self.in_channel, self._spare_in = self._spare_in, self.in_channel
        self._cookies = replace(self._cookies, in_channel=cookie)
        self._send_window = SendWindow(window)
        self._last_sent = now
        held, self._held_rts = self._held_rts, None
        for waiting in held or ():
            self._send_rts(waiting, now)
        self._send_held(now)

    def _finish_in(self, now: float) -> None:
        """The predecessor has gone, or may go; begin again if the successor's lifetime is over already."""
        self._enter((IN_PREDECESSOR_GONE,))
        self.channels = tuple(channel for channel in self.channels if channel is not self._spare_in)
        self._spare_in = self.in_channel
        self._in_deadline = inf
        if self.in_channel.room <= self._options.recycle_margin:
            self._recycle_in(now)
        self._send_held(now)

    def _on_out_a2(self, now: float) -> None:
        self._spare_out = self._new_out_channel(OUT_SUCCESSOR_LENGTH)
        self._successors = replace(self._successors, out_channel=urandom(COOKIE_SIZE))
        self._out_deadline = now + self._options.recycle_timeout_s
        self.channels += (self._spare_out,)
        self._proceed(now)

    def _send_out_a3(self) -> None:
        cookies = self._cookies
        a3 = rts_recycling.out_r1_a3(
            cookies.virtual_connection,
            cookies.out_channel,
            self._successors.out_channel,
            self._options.receive_window,
        )
        self._spare_out.send(a3.encode())

    def _on_out_a6(self, pdu: rts.RtsPdu, name: str, now: float) -> None:
        cookie = self._successors.out_channel
        if name == "OUT_R1/A6":
            _timeout_ms(pdu)  # the outbound proxy's: pings go to the inbound one, so it changes nothing
            self._send_rts(rts_recycling.out_r1_a7(cookie).encode(), now)
        else:
            self._send_rts(rts_recycling.out_r2_a7(cookie).encode(), now)
            self._spare_out.send(_C1)

    def _switch_out(self, name: str, now: float) -> None:
        """The predecessor has said all: what comes is on the successor, counted from nothing."""
        if name == "OUT_R1/A10":
            self._spare_out.send(_A11)
        self.channels = tuple(channel for channel in self.channels if channel is not self.out_channel)
        self.out_channel = self._spare_out
        self._cookies = replace(self._cookies, out_channel=self._successors.out_channel)
        self._receive_window = ReceiveWindow(self._options.receive_window)
        self._proceed(now)

    def _consume(self, pdu: bytes, now: float) -> None:
        """Count an RPC PDU against our window, and open that again before it is half used."""
        window = self._receive_window
        if window.take(len(pdu)):
            ack = rts.flow_control_ack_with_destination(
                rts.OUT_PROXY, window.received, window.size, self._cookies.out_channel
            )
            self._send_rts(ack.encode(), now)

    def _has_room(self, size: int) -> bool:
        """Whether the IN channel lives long enough for an RPC PDU of ``size`` bytes."""
        return size <= self.in_channel.room - RTS_RESERVE

    def _send_held(self, now: float) -> None:
        """Send what waits, as far as window and lifetime admit it."""
        held = self._held
        while held and self._send_window.admits(len(held[0])):
            if not self._has_room(len(held[0])):
                self._recycle_in(now)
                return
            pdu = held.popleft()
            self._send_window.spend(len(pdu))
            self._send_up(pdu, now)

    def _send_rts(self, pdu: bytes, now: float) -> None:
        """RTS PDUs know no window, but must leave A5 its place: what has none waits for the successor."""
        if len(pdu) <= self.in_channel.room - _A5_SIZE:
            self._send_up(pdu, now)
        else:
            if self._held_rts is None:
                self._held_rts = deque()
            self._held_rts.append(pdu)
            self._last_sent = now

    def _send_up(self, pdu: bytes, now: float) -> None:
        """Every PDU for the IN channel passes here, but the first and the last of a recycling."""
        self.in_channel.send(pdu)
        self._last_sent = now
        if self.in_channel.room <= self._options.recycle_margin and self.state is State.OPEN:
            self._recycle_in(now)


def _command(pdu: rts.RtsPdu, kind: type[CommandT]) -> CommandT:
    """The command of a kind that the PDU's name promises."""
    return next(command for command in pdu.commands if isinstance(command, kind))


def _window(pdu: rts.RtsPdu) -> int:
    size = _command(pdu, rts.ReceiveWindowSize).size
    if size not in _WINDOWS:
        raise RemoteProtocolError(f"ReceiveWindowSize {size}, {_bounds(_WINDOWS)}")
    return size


def _timeout_ms(pdu: rts.RtsPdu) -> int:
    milliseconds = _command(pdu, rts.ConnectionTimeout).milliseconds
    if milliseconds not in _TIMEOUTS_MS:
        raise RemoteProtocolError(f"ConnectionTimeout {milliseconds} ms, {_bounds(_TIMEOUTS_MS)}")
    return milliseconds


def _bounds(allowed: range) -> str:
    return f"where {allowed.start} to {allowed.stop - 1} are allowed"
