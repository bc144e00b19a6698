"""The client role of a virtual connection ([MS-RPCH] 3.2.1 and 3.2.2): two channels that act as one.

Sans-IO: bytes of either channel go in, RPC PDUs come out, ``data_to_send`` of each channel is for its socket,
and ``now`` is seconds on any clock that never goes back.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from math import inf
from os import urandom
from typing import Final, Self, TypeVar

from msgspec import Struct

from loadgen.errors import ConnectionLost, LocalProtocolError, PeerError, RemoteProtocolError, TimedOut
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.flow_control import ReceiveWindow, SendWindow
from loadgen.protocol.http_authentication import Authentication
from loadgen.wire import rts
from loadgen.wire.http import OUT_REQUEST_LENGTH, RPC_IN_DATA, RPC_OUT_DATA, ChannelRequest
from loadgen.wire.pdu import PduType, pdu_type

CommandT = TypeVar("CommandT", bound=rts.Command)

_COOKIE_SIZE: Final = 16
_DEFAULT_KEEPALIVE_MS: Final = 300_000  # what 0 stands for on the wire
_WINDOWS: Final = range(8192, 262144 + 1)
_TIMEOUTS_MS: Final = range(120_000, 14_400_000 + 1)
_PING: Final = rts.ping().encode()


class State(Enum):
    """How far a virtual connection has come; the value says what it waits for."""

    REQUESTS = "the end of HTTP authentication"
    OUT_WAIT = "the answer on the OUT channel"
    A3_WAIT = "CONN/A3"
    C2_WAIT = "CONN/C2"
    OPEN = "PDUs"
    CLOSED = "nothing"


REQUESTED: Final = "both requests"
ANSWERED: Final = "HTTP 200"
RPC_PDU: Final = "an RPC PDU"

TRANSITIONS: Final[Mapping[State, Mapping[str, State]]] = {
    State.REQUESTS: {REQUESTED: State.OUT_WAIT},
    State.OUT_WAIT: {ANSWERED: State.A3_WAIT},
    State.A3_WAIT: {"CONN/A3": State.C2_WAIT},
    State.C2_WAIT: {"CONN/C2": State.OPEN, "Ping": State.C2_WAIT},
    State.OPEN: {
        RPC_PDU: State.OPEN,
        "Ping": State.OPEN,
        "FlowControlAckWithDestination": State.OPEN,
    },
    State.CLOSED: {},
}
"""What may come in each state, and the state after it; anything else is a protocol error."""


class Cookies(Struct, frozen=True, gc=False):
    """The names that a client gives, 16 bytes each."""

    virtual_connection: bytes
    in_channel: bytes
    out_channel: bytes
    association_group: bytes

    @classmethod
    def random(cls) -> Self:
        """New ones."""
        return cls(*(urandom(_COOKIE_SIZE) for _ in range(4)))


class RtsOptions(Struct, frozen=True, gc=False):
    """What a client announces and how long it waits; the defaults are those of Windows.

    ``channel_lifetime`` is how many bytes may go up the IN channel, RTS PDUs included.
    ``client_keepalive_ms`` is at least 60000, or 0 for 300000.
    """

    receive_window: int = 65536
    channel_lifetime: int = 1 << 30
    client_keepalive_ms: int = _DEFAULT_KEEPALIVE_MS
    establishment_timeout_s: float = 60.0


class VirtualConnectionClient:
    """A virtual connection to ``server:port`` through the proxy ``host``.

    Making one queues both HTTP requests and, unless they are to be challenged first, CONN/A1 and CONN/B1.
    Whatever takes something from the peer, or sends, may raise a :class:`~loadgen.errors.PeerError`; the
    state is then CLOSED.
    """

    __slots__ = (
        "_connection_timeout_s",
        "_cookies",
        "_deadline",
        "_held",
        "_keepalive_s",
        "_last_sent",
        "_options",
        "_receive_window",
        "_send_window",
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
    ) -> None:
        lifetime = options.channel_lifetime
        in_request = ChannelRequest(RPC_IN_DATA, server, port, lifetime, host)
        out_request = ChannelRequest(RPC_OUT_DATA, server, port, OUT_REQUEST_LENGTH, host)
        self.in_channel = InChannel(in_request, authenticate())
        self.out_channel = OutChannel(out_request, authenticate())
        self.state = State.REQUESTS
        self._options = options
        self._cookies = cookies or Cookies.random()
        self._held: deque[bytes] | None = None
        self._send_window = SendWindow(0)
        self._receive_window = ReceiveWindow(options.receive_window)
        self._connection_timeout_s = inf
        self._keepalive_s = (options.client_keepalive_ms or _DEFAULT_KEEPALIVE_MS) / 1000
        self._deadline = now + options.establishment_timeout_s
        self._last_sent = now
        self._proceed(now)

    def receive_data(self, channel: InChannel | OutChannel, data: bytes, now: float) -> Iterator[bytes]:
        """Take bytes that came on ``channel``; gives out the RPC PDUs in them, to be fetched at once."""
        channel.receive_data(data)
        return self._pdus(channel, now)

    def receive_eof(self, channel: InChannel | OutChannel, now: float) -> Iterator[bytes]:
        """The server will send no more on ``channel``: as :meth:`receive_data`, with an error at the end."""
        channel.receive_eof()
        return self._pdus(channel, now)

    def send_pdu(self, pdu: bytes, now: float) -> None:
        """Queue an RPC PDU for the IN channel, or hold it until the proxy's window admits it."""
        if self.state is not State.OPEN:
            raise LocalProtocolError(f"RPC PDU while waiting for {self.state.value}")
        if self._held or not self._send_window.admits(len(pdu)):
            if self._held is None:
                self._held = deque()
            self._held.append(pdu)
        else:
            self._send_window.spend(len(pdu))
            self._send_up(pdu, now)

    def keep_alive(self, interval_ms: int, now: float) -> None:
        """Change the keep-alive interval, here and at the inbound proxy ([MS-RPCH] 2.2.4.46)."""
        self._keepalive_s = (interval_ms or _DEFAULT_KEEPALIVE_MS) / 1000
        self._send_up(rts.keep_alive(interval_ms).encode(), now)

    def close(self) -> None:
        """No more is to be said or heard; there is no PDU for that."""
        self.state = State.CLOSED
        self._deadline = self._keepalive_s = self._connection_timeout_s = inf

    def next_timer(self) -> float:
        """When :meth:`handle_timer` is to be called; sending moves it to later, receiving never does."""
        return min(self._deadline, self._ping_due())

    def handle_timer(self, now: float) -> None:
        """Ping a silent IN channel; raises :class:`TimedOut` when establishment takes too long."""
        if now >= self._deadline:
            awaited, limit = self.state.value, self._options.establishment_timeout_s
            self.close()
            raise TimedOut(f"{awaited} did not come within {limit:g} s")
        if now >= self._ping_due():
            self._send_up(_PING, now)

    def _ping_due(self) -> float:
        """The proxy gives up an IN channel that is silent for ConnectionTimeout, so half of that is safe."""
        if self._connection_timeout_s == inf:
            return inf
        return self._last_sent + min(self._connection_timeout_s / 2, self._keepalive_s)

    def _pdus(self, channel: InChannel | OutChannel, now: float) -> Iterator[bytes]:
        try:
            if self.state is not State.OPEN:
                self._proceed(now)
            for pdu in channel.pdus():
                if pdu_type(pdu) == PduType.RTS:
                    self._on_rts(pdu, now)
                else:
                    if self.state is not State.OPEN:
                        self._enter((RPC_PDU,))
                    self._consume(pdu, now)
                    yield pdu
        except PeerError:
            self.close()
            raise

    def _proceed(self, now: float) -> None:
        """Take the steps that HTTP alone decides."""
        if self.state is State.REQUESTS and self.in_channel.body_open and self.out_channel.body_open:
            self._enter((REQUESTED,))
            self._send_conn(now)
        if self.state is State.OUT_WAIT and self.out_channel.answered:
            self._enter((ANSWERED,))

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
        self._send_up(b1.encode(), now)

    def _enter(self, names: tuple[str, ...]) -> str:
        """Change state for what came, which may go by several names: at most one of them is in the table."""
        expected = TRANSITIONS[self.state]
        for name in names:
            if name in expected:
                self.state = expected[name]
                return name
        came = " or ".join(names) or "an RTS PDU of unknown shape"
        raise RemoteProtocolError(f"{came} while waiting for {self.state.value} (RPC error 0x6C0)")

    def _on_rts(self, data: bytes, now: float) -> None:
        pdu = rts.RtsPdu.decode(data)
        match self._enter(pdu.names):
            case "CONN/A3":
                self._take_connection_timeout(pdu)
            case "CONN/C2":
                self._on_conn_c2(pdu)
            case "FlowControlAckWithDestination":
                self._on_flow_control_ack(pdu, now)

    def _on_conn_c2(self, pdu: rts.RtsPdu) -> None:
        window = _command(pdu, rts.ReceiveWindowSize).size
        if window not in _WINDOWS:
            raise RemoteProtocolError(f"ReceiveWindowSize {window} in CONN/C2")
        self._take_connection_timeout(pdu)
        self._send_window = SendWindow(window)
        self._deadline = inf

    def _take_connection_timeout(self, pdu: rts.RtsPdu) -> None:
        timeout_ms = _command(pdu, rts.ConnectionTimeout).milliseconds
        if timeout_ms not in _TIMEOUTS_MS:
            raise RemoteProtocolError(f"ConnectionTimeout {timeout_ms} ms")
        self._connection_timeout_s = timeout_ms / 1000

    def _on_flow_control_ack(self, pdu: rts.RtsPdu, now: float) -> None:
        role = _command(pdu, rts.Destination).role
        if role != rts.CLIENT:
            raise RemoteProtocolError(f"FlowControlAckWithDestination for role {role}")
        ack = _command(pdu, rts.FlowControlAck)
        if ack.channel_cookie != self._cookies.in_channel:
            return  # of a channel that is not, or no longer, ours
        self._send_window.acknowledge(ack.bytes_received, ack.available_window)
        held = self._held
        while held and self._send_window.admits(len(held[0])):
            pdu_held = held.popleft()
            self._send_window.spend(len(pdu_held))
            self._send_up(pdu_held, now)

    def _consume(self, pdu: bytes, now: float) -> None:
        """Count an RPC PDU against our window, and open that again before it is half used."""
        window = self._receive_window
        if window.take(len(pdu)):
            ack = rts.flow_control_ack_with_destination(
                rts.OUT_PROXY, window.received, window.size, self._cookies.out_channel
            )
            self._send_up(ack.encode(), now)

    def _send_up(self, pdu: bytes, now: float) -> None:
        """Every PDU for the IN channel passes here; where its room ends is where recycling belongs."""
        if len(pdu) > self.in_channel.room:
            self.close()
            raise ConnectionLost(f"the IN channel has carried its {self._options.channel_lifetime} bytes")
        self.in_channel.send(pdu)
        self._last_sent = now


def _command(pdu: rts.RtsPdu, kind: type[CommandT]) -> CommandT:
    """The command of a kind that the PDU's name promises."""
    return next(command for command in pdu.commands if isinstance(command, kind))
