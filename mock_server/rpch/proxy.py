"""What the inbound and the outbound proxy roles of [MS-RPCH] share, without sockets or a clock.

A channel joins the body of one HTTP request or response to a leg, one TCP connection to the RPC server. Times
are seconds of any monotonic clock, passed in. What a peer may not send raises
:class:`~loadgen.errors.PeerError`, upon which the owner calls ``fail``.

A channel that has carried nearly all it may is recycled: a successor takes its place. If the predecessor is a
channel of this process, the successor takes over its leg (R2); otherwise it opens a leg of its own (R1), and
the server brings the two together ([MS-RPCH] 3.2.1.5.3).
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec

from loadgen.errors import RemoteProtocolError
from loadgen.wire import rts_recycling
from loadgen.wire.http import rpc_error_head
from loadgen.wire.rts import RtsPdu
from mock_server.dialect import ProxyManners
from mock_server.rpch.flow_control import ReceiveWindow
from mock_server.rpch.pdu_stream import PduStream

SERVER_UNAVAILABLE: Final = 0x6BA
PROTOCOL_ERROR: Final = 0x6C0
SHORTEST_KEEPALIVE_MS: Final = 60000
DEFAULT_KEEPALIVE_MS: Final = 300000
"""What a client's interval of 0 means ([MS-RPCH] 2.2.3.5.6)."""


class ProxySettings(msgspec.Struct, frozen=True):
    """What the proxies of one server announce; sizes in bytes. ``manners`` are the dialect's."""

    receive_window: int = 65536
    channel_lifetime: int = 1 << 30
    connection_timeout_ms: int = 120000
    manners: ProxyManners = ProxyManners()
    timeout_reply: bytes = b""
    """What a client hears that is silent for too long on an IN channel, if not an RPC error."""

    @property
    def lifetime_for_server(self) -> int:
        """What the server is told of an OUT channel's length, near whose end it asks for a successor."""
        lifetime = self.channel_lifetime
        return (
            max(lifetime - self.manners.recycle_early, lifetime // 2)
            if self.manners.recycle_early
            else lifetime
        )


class ProxyState(Enum):
    """How far a channel has come; a proxy waits for the server's answer before it lets RPC PDUs through."""

    WAIT_CLIENT = "waiting for the client's first PDU"
    CONNECTING = "connecting to the server"
    WAIT_SERVER = "waiting for the server's first PDU"
    PLUGGED = "waiting for the end of the predecessor"
    OPEN = "open"
    ENDING = "giving way to a successor"
    CLOSED = "closed"


class ServerLeg:
    """A connection to the server, which belongs to one channel at a time.

    Every channel has one, though that of an R2 successor is never opened. ``wake`` is called when ``output``
    has grown or ``closed`` has turned true; the owner of the socket sets it.
    """

    def __init__(self, channel: "ProxyChannel") -> None:
        self.channel = channel
        self.output = bytearray()
        self.closed = False
        self.wake: Callable[[], None] = _nobody
        self._stream = PduStream(banner=True)

    def receive(self, data: bytes) -> None:
        """Bytes of the server, of which each PDU goes to the channel that owns the leg by then."""
        for pdu in self._stream.feed(data):
            if not self.closed:
                self.channel.receive_from_server(pdu)

    def data_to_send(self) -> bytes:
        """What is to be sent to the server."""
        data = bytes(self.output)
        self.output.clear()
        return data

    def close(self) -> None:
        """End the connection once the output is out."""
        self.closed = True
        self.wake()


class ProxyChannel(ABC):
    """One channel. ``wake`` is called when an event of another channel has changed this one.

    ``wants_server`` turns true when the connection to the server is to be opened; the owner answers with
    :meth:`connected`, or with :meth:`fail`. ``refused`` says that a closed channel has told the client why;
    ``recycled`` is the form in which it takes its predecessor's place, "R1" or "R2". An R2 successor and its
    predecessor know each other until that has come to pass, and neither outlives the other before.
    """

    successor: "ProxyChannel | None"
    predecessor: "ProxyChannel | None"

    def __init__(
        self, settings: ProxySettings, channels: "ChannelTable", content_length: int, now: float
    ) -> None:
        self.state = ProxyState.WAIT_CLIENT
        self.leg = self._new_leg()
        self.wake: Callable[[], None] = _nobody
        self.refused = False
        self.recycled = ""
        self.cookie = b""
        self.keepalive_ms = 0
        self.successor = self.predecessor = None
        self._vc_cookie = b""
        self._settings = settings
        self._channels = channels
        self._timeout_s = settings.connection_timeout_ms / 1000
        self._body_left = content_length
        self._last_received = now
        self._from_client = PduStream()
        self._to_client = bytearray()
        self._received = ReceiveWindow(settings.receive_window)

    @property
    def wants_server(self) -> bool:
        """Whether the server is to be connected to."""
        return self.state is ProxyState.CONNECTING

    def connected(self) -> None:
        """The server has been reached."""
        self.state = ProxyState.PLUGGED if self.recycled else ProxyState.WAIT_SERVER

    @abstractmethod
    def receive_from_client(self, data: bytes, now: float) -> None:
        """Bytes of the request's body."""

    @abstractmethod
    def receive_from_server(self, pdu: bytes) -> None:
        """A PDU that came on the leg."""

    @abstractmethod
    def next_timeout(self) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while nothing is due."""

    @abstractmethod
    def handle_timer(self, now: float) -> None:
        """Does what is due; raises :class:`TimedOut` for a client that has been silent for too long."""

    def data_to_client(self, _now: float) -> bytes:
        """What is to be sent on the HTTP connection."""
        data = bytes(self._to_client)
        self._to_client.clear()
        return data

    def client_lost(self) -> None:
        """The HTTP connection has gone."""
        self.close()

    def fail(self, code: int) -> None:
        """End the channel and tell the client why ([MS-RPCH] 2.1.2.1.3), if no response has begun."""
        if self.state is not ProxyState.CLOSED:
            self.refused = self._settings.manners.says_why
            if self._can_refuse and self.refused:
                self._to_client += rpc_error_head(code)
            self.close()

    def close(self) -> None:
        """End the channel, its leg, and the channels of this process that are being recycled with it."""
        if self.state is ProxyState.CLOSED:
            return
        self.state = ProxyState.CLOSED
        self._channels.remove(self._vc_cookie, self)
        self.leg.close()
        for other in (self.predecessor, self.successor):
            if other is not None:
                other.close()
                other.wake()

    @property
    @abstractmethod
    def _can_refuse(self) -> bool:
        """Whether the HTTP response has not begun."""

    def _new_leg(self) -> ServerLeg:
        return ServerLeg(self)

    def _join(self, vc_cookie: bytes, cookie: bytes) -> None:
        """The client has said which channel this is."""
        self._vc_cookie = vc_cookie
        self.cookie = cookie
        self._channels.add(vc_cookie, self)

    def _connect(self, hello: RtsPdu) -> None:
        self.leg.output += hello.encode()
        self.state = ProxyState.CONNECTING

    def _succeed(self, vc_cookie: bytes, old: bytes, cookie: bytes, hello: RtsPdu) -> None:
        """The client wants a successor of the channel ``old``; ``hello`` is what an R1 leg begins with."""
        predecessor = self._channels.find(vc_cookie, old)
        self._join(vc_cookie, cookie)
        if predecessor is None:
            self.recycled = "R1"
            self._connect(hello)
        else:
            self.recycled = "R2"
            predecessor.attach(self)
            self.state = ProxyState.PLUGGED

    def attach(self, successor: "ProxyChannel") -> None:
        """An R2 successor names this channel."""
        if self.successor is not None or self.state not in (ProxyState.OPEN, ProxyState.PLUGGED):
            raise RemoteProtocolError(f"a successor of a channel that is {self.state.value}")
        self.successor = successor
        successor.predecessor = self
        if self.state is ProxyState.OPEN:
            self._announce()
            self.wake()

    def _open(self) -> None:
        self.state = ProxyState.OPEN
        if self.recycled:
            self._channels.count(self.recycled)
        self._announce()

    def _announce(self) -> None:
        """Tell the server of an R2 successor; a channel that is plugged itself does so when it opens."""
        if self.successor is not None:
            self.leg.output += rts_recycling.in_r2_a2(self.successor.cookie).encode()

    def _swap_legs(self, other: "ProxyChannel") -> None:
        """Hand over a leg for one that is not used."""
        self.leg, other.leg = other.leg, self.leg
        self.leg.channel, other.leg.channel = self, other

    def _part(self, successor: "ProxyChannel") -> None:
        """From now on the two live apart."""
        self.successor = successor.predecessor = None

    def _out_of_state(self, pdu: RtsPdu, sender: str) -> RemoteProtocolError:
        name = (
            " or ".join(pdu.names) or f"an RTS PDU of flags {pdu.flags:#06x} and {len(pdu.commands)} commands"
        )
        return RemoteProtocolError(f"{name} from the {sender} while {self.state.value}")


class ChannelTable:
    """The channels of one proxy role in this process, where a successor looks for its predecessor.

    ``recycles`` counts successors under ``direction``, IN or OUT, and their form. With ``simulate_farm`` no
    predecessor is found, as if another process had it. ``partners`` are the IN channels by the cookie of
    their virtual connection, in the table of either direction.
    """

    def __init__(
        self,
        direction: str,
        recycles: Counter[str],
        partners: "dict[bytes, ProxyChannel] | None" = None,
        *,
        simulate_farm: bool = False,
    ) -> None:
        self.partners = {} if partners is None else partners
        self._direction = direction
        self._recycles = recycles
        self._simulate_farm = simulate_farm
        self._channels: dict[tuple[bytes, bytes], ProxyChannel] = {}

    def add(self, vc_cookie: bytes, channel: ProxyChannel) -> None:
        """A channel has said who it is."""
        if not self._simulate_farm:
            self._channels[vc_cookie, channel.cookie] = channel

    def find(self, vc_cookie: bytes, cookie: bytes) -> ProxyChannel | None:
        """The channel that a successor names, unless another process has it."""
        return self._channels.get((vc_cookie, cookie))

    def remove(self, vc_cookie: bytes, channel: ProxyChannel) -> None:
        """A channel has no future any more."""
        if self._channels.get((vc_cookie, channel.cookie)) is channel:
            del self._channels[vc_cookie, channel.cookie]

    def count(self, form: str) -> None:
        """A successor has taken its predecessor's place."""
        self._recycles[f"{self._direction}_{form}"] += 1

    def __len__(self) -> int:
        return len(self._channels)


def _nobody() -> None:
    """Until somebody sets a ``wake`` of their own."""
