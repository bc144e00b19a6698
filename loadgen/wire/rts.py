"""RTS PDUs, the language of virtual connections ([MS-RPCH] 2.2.3 and 2.2.4).

An RTS PDU has no type number: its flags and the kinds of its commands, in order, are what names it.
:data:`RTS_PDUS` is that table, for naming and for checking alike. Sizes are in bytes; cookies are 16 bytes in
wire order.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.pdu_header import DREP, VERSION, WHOLE, PduType, frag_length

NONE: Final = 0x0000
PING: Final = 0x0001
OTHER_CMD: Final = 0x0002
RECYCLE_CHANNEL: Final = 0x0004
IN_CHANNEL: Final = 0x0008
OUT_CHANNEL: Final = 0x0010
EOF: Final = 0x0020
ECHO: Final = 0x0040

CLIENT: Final = 0
IN_PROXY: Final = 1
SERVER: Final = 2
OUT_PROXY: Final = 3

RPC_VERSION: Final = 1
"""What every Version command says."""

_HEADER = Struct("<HBBIHHIHH")
_NOTHING = Struct("")
_U32 = Struct("<I")
_COOKIE = Struct("<16s")
_FLOW_CONTROL_ACK = Struct("<II16s")
_ADDRESS_PADDING: Final = 12


class _FixedCommand(msgspec.Struct, frozen=True, gc=False):
    """A command whose body is one fixed layout, the fields of the class in order."""

    command_type: ClassVar[int]
    layout: ClassVar[Struct] = _U32

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The body, after the command type."""
        return cls(*reader.unpack(cls.layout, cls.__name__))

    def write(self, writer: Writer) -> None:
        """The body, after the command type."""
        writer.pack(self.layout, *msgspec.structs.astuple(self))


class ReceiveWindowSize(_FixedCommand, frozen=True, gc=False):
    """How much its sender is ready to queue ([MS-RPCH] 2.2.3.5.1), 8192 to 262144 bytes."""

    command_type = 0x0
    size: int


class FlowControlAck(_FixedCommand, frozen=True, gc=False):
    """What the receiver has taken, and the window it still offers ([MS-RPCH] 2.2.3.5.2)."""

    command_type = 0x1
    layout = _FLOW_CONTROL_ACK
    bytes_received: int
    available_window: int
    channel_cookie: bytes


class ConnectionTimeout(_FixedCommand, frozen=True, gc=False):
    """How long the proxy keeps an idle connection ([MS-RPCH] 2.2.3.5.3), 120000 to 14400000 ms."""

    command_type = 0x2
    milliseconds: int


class Cookie(_FixedCommand, frozen=True, gc=False):
    """The name of a virtual connection or of a channel ([MS-RPCH] 2.2.3.5.4)."""

    command_type = 0x3
    layout = _COOKIE
    cookie: bytes


class ChannelLifetime(_FixedCommand, frozen=True, gc=False):
    """After how many bytes a channel ends ([MS-RPCH] 2.2.3.5.5), 131072 to 2147483648."""

    command_type = 0x4
    size: int


class ClientKeepalive(_FixedCommand, frozen=True, gc=False):
    """In what time a dead server is to be noticed ([MS-RPCH] 2.2.3.5.6), 0 (300000) or at least 60000 ms."""

    command_type = 0x5
    milliseconds: int


class Version(_FixedCommand, frozen=True, gc=False):
    """The version of the protocol ([MS-RPCH] 2.2.3.5.7)."""

    command_type = 0x6
    version: int = RPC_VERSION


class Empty(_FixedCommand, frozen=True, gc=False):
    """A command that says nothing ([MS-RPCH] 2.2.3.5.8)."""

    command_type = 0x7
    layout = _NOTHING


class Padding(msgspec.Struct, frozen=True, gc=False):
    """``size`` bytes that say nothing ([MS-RPCH] 2.2.3.5.9)."""

    command_type: ClassVar[int] = 0x8
    size: int

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The body, after the command type; what the padding holds is not looked at."""
        size = reader.u32("ConformanceCount")
        reader.take(size, "Padding")
        return cls(size)

    def write(self, writer: Writer) -> None:
        """The body, after the command type."""
        writer.u32(self.size)
        writer.raw(bytes(self.size))


class NegativeANCE(_FixedCommand, frozen=True, gc=False):
    """No: the successor channel is not taken ([MS-RPCH] 2.2.3.5.10)."""

    command_type = 0x9
    layout = _NOTHING


class ANCE(_FixedCommand, frozen=True, gc=False):
    """Yes: the successor channel is taken ([MS-RPCH] 2.2.3.5.11)."""

    command_type = 0xA
    layout = _NOTHING


class ClientAddress(msgspec.Struct, frozen=True, gc=False):
    """Where the client's IN channel came from ([MS-RPCH] 2.2.3.5.12), as text.

    The specification puts an IPv4 address right after its type. Windows, as captured, writes four zero bytes
    first, family and port of a cleared sockaddr_in. Both are read; the second is written.
    """

    command_type: ClassVar[int] = 0xB
    address: str

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The body, after the command type."""
        start = reader.offset
        address_type = reader.u32("AddressType")
        if address_type > 1:
            raise WireError("AddressType", start, f"{address_type} is neither IPv4 (0) nor IPv6 (1)")
        if address_type:
            six = IPv6Address(reader.take(16, "ClientAddress"))
            reader.take(_ADDRESS_PADDING, "padding")
            return cls(str(six))
        raw = reader.take(4 + _ADDRESS_PADDING, "ClientAddress")
        return cls(str(IPv4Address(raw[:4] if any(raw[:4]) else raw[4:8])))

    def write(self, writer: Writer) -> None:
        """The body, after the command type."""
        address = ip_address(self.address)
        if address.version == 6:
            writer.u32(1)
            writer.raw(address.packed + bytes(_ADDRESS_PADDING))
        else:
            writer.u32(0)
            writer.raw(bytes(4) + address.packed + bytes(_ADDRESS_PADDING - 4))


class AssociationGroupId(_FixedCommand, frozen=True, gc=False):
    """Which virtual connections of the client belong together ([MS-RPCH] 2.2.3.5.13)."""

    command_type = 0xC
    layout = _COOKIE
    group_id: bytes


class Destination(_FixedCommand, frozen=True, gc=False):
    """The role that a forwarded PDU is for ([MS-RPCH] 2.2.3.5.14): CLIENT, IN_PROXY, SERVER or OUT_PROXY."""

    command_type = 0xD
    role: int


class PingTrafficSentNotify(_FixedCommand, frozen=True, gc=False):
    """How many bytes of pings the outbound proxy has sent ([MS-RPCH] 2.2.3.5.15)."""

    command_type = 0xE
    size: int


Command: TypeAlias = (
    ReceiveWindowSize
    | FlowControlAck
    | ConnectionTimeout
    | Cookie
    | ChannelLifetime
    | ClientKeepalive
    | Version
    | Empty
    | Padding
    | NegativeANCE
    | ANCE
    | ClientAddress
    | AssociationGroupId
    | Destination
    | PingTrafficSentNotify
)

_COMMANDS: Final[tuple[type[Command], ...]] = (
    ReceiveWindowSize,
    FlowControlAck,
    ConnectionTimeout,
    Cookie,
    ChannelLifetime,
    ClientKeepalive,
    Version,
    Empty,
    Padding,
    NegativeANCE,
    ANCE,
    ClientAddress,
    AssociationGroupId,
    Destination,
    PingTrafficSentNotify,
)


class RtsPdu(msgspec.Struct, frozen=True, gc=False):
    """One RTS PDU ([MS-RPCH] 2.2.3.6): never fragmented, never signed, not counted by flow control."""

    flags: int
    commands: tuple[Command, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The PDUs of the specification that have this shape (state decides between them), or none."""
        return RTS_PDUS.get((self.flags, tuple(map(type, self.commands))), ())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole PDU."""
        size = frag_length(data)
        if size != len(data) or size < _HEADER.size:
            raise WireError("frag_length", 8, f"{size} for an RTS PDU of {len(data)} bytes")
        _, ptype, pfc_flags, _, _, auth_length, call_id, flags, count = _HEADER.unpack_from(data)
        if (ptype, pfc_flags, auth_length, call_id) != (PduType.RTS, WHOLE, 0, 0):
            problem = f"PTYPE {ptype}, flags {pfc_flags}, auth_length {auth_length}, call_id {call_id}"
            raise WireError("RTS header", 2, problem)
        reader = Reader(data, _HEADER.size)
        commands = tuple(_read_command(reader) for _ in range(count))
        reader.expect_end("RTS PDU")
        return cls(flags, commands)

    def encode(self) -> bytes:
        """A whole PDU."""
        writer = Writer()
        for command in self.commands:
            writer.u32(command.command_type)
            command.write(writer)
        body = writer.getvalue()
        size = _HEADER.size + len(body)
        return (
            _HEADER.pack(VERSION, PduType.RTS, WHOLE, DREP, size, 0, 0, self.flags, len(self.commands)) + body
        )


def _read_command(reader: Reader) -> Command:
    start = reader.offset
    command_type = reader.u32("CommandType")
    if command_type >= len(_COMMANDS):
        raise WireError("CommandType", start, f"{command_type} is unknown")
    return _COMMANDS[command_type].read(reader)


_SHAPES: Final[tuple[tuple[str, int, tuple[type[Command], ...]], ...]] = (
    ("CONN/A1", NONE, (Version, Cookie, Cookie, ReceiveWindowSize)),
    ("CONN/A2", OUT_CHANNEL, (Version, Cookie, Cookie, ChannelLifetime, ReceiveWindowSize)),
    ("CONN/A3", NONE, (ConnectionTimeout,)),
    ("CONN/B1", NONE, (Version, Cookie, Cookie, ChannelLifetime, ClientKeepalive, AssociationGroupId)),
    (
        "CONN/B2",
        IN_CHANNEL,
        (Version, Cookie, Cookie, ReceiveWindowSize, ConnectionTimeout, AssociationGroupId, ClientAddress),
    ),
    ("CONN/B3", NONE, (ReceiveWindowSize, Version)),
    ("CONN/C1", NONE, (Version, ReceiveWindowSize, ConnectionTimeout)),
    ("CONN/C2", NONE, (Version, ReceiveWindowSize, ConnectionTimeout)),
    ("IN_R1/A1", RECYCLE_CHANNEL, (Version, Cookie, Cookie, Cookie)),
    (
        "IN_R1/A2",
        RECYCLE_CHANNEL | IN_CHANNEL,
        (Version, Cookie, Cookie, Cookie, ReceiveWindowSize, ConnectionTimeout),
    ),
    ("IN_R1/A3", NONE, (Destination, Version, ReceiveWindowSize, ConnectionTimeout)),
    ("IN_R1/A4", NONE, (Destination, Version, ReceiveWindowSize, ConnectionTimeout)),
    ("IN_R1/A5", NONE, (Cookie,)),
    ("IN_R1/A6", NONE, (Cookie,)),
    ("IN_R1/B1", NONE, (Empty,)),
    ("IN_R1/B2", NONE, (ReceiveWindowSize,)),
    ("IN_R2/A1", RECYCLE_CHANNEL, (Version, Cookie, Cookie, Cookie)),
    ("IN_R2/A2", NONE, (Cookie,)),
    ("IN_R2/A3", NONE, (Destination,)),
    ("IN_R2/A4", NONE, (Destination,)),
    ("IN_R2/A5", NONE, (Cookie,)),
    ("OUT_R1/A1", RECYCLE_CHANNEL, (Destination,)),
    ("OUT_R1/A2", RECYCLE_CHANNEL, (Destination,)),
    ("OUT_R1/A3", RECYCLE_CHANNEL, (Version, Cookie, Cookie, Cookie, ReceiveWindowSize)),
    (
        "OUT_R1/A4",
        RECYCLE_CHANNEL | OUT_CHANNEL,
        (Version, Cookie, Cookie, Cookie, ChannelLifetime, ReceiveWindowSize, ConnectionTimeout),
    ),
    ("OUT_R1/A5", OUT_CHANNEL, (Destination, Version, ConnectionTimeout)),
    ("OUT_R1/A6", OUT_CHANNEL, (Destination, Version, ConnectionTimeout)),
    ("OUT_R1/A7", OUT_CHANNEL, (Destination, Cookie)),
    ("OUT_R1/A8", OUT_CHANNEL, (Destination, Cookie)),
    ("OUT_R1/A9", NONE, (ANCE,)),
    ("OUT_R1/A10", NONE, (ANCE,)),
    ("OUT_R1/A11", NONE, (ANCE,)),
    ("OUT_R2/A1", RECYCLE_CHANNEL, (Destination,)),
    ("OUT_R2/A2", RECYCLE_CHANNEL, (Destination,)),
    ("OUT_R2/A3", RECYCLE_CHANNEL, (Version, Cookie, Cookie, Cookie, ReceiveWindowSize)),
    ("OUT_R2/A4", NONE, (Cookie,)),
    ("OUT_R2/A5", NONE, (Destination, ANCE)),
    ("OUT_R2/A6", NONE, (Destination, ANCE)),
    ("OUT_R2/A7", OUT_CHANNEL, (Destination, Cookie, Version)),
    ("OUT_R2/A8", OUT_CHANNEL, (Destination, Cookie)),
    ("OUT_R2/A8", OUT_CHANNEL, (Destination, Cookie, Version)),  # A7 forwarded unchanged
    ("OUT_R2/B1", NONE, (ANCE,)),
    ("OUT_R2/B2", NONE, (NegativeANCE,)),
    ("OUT_R2/B3", EOF, (ANCE,)),
    ("OUT_R2/C1", PING, (Empty,)),
    ("Keep-Alive", OTHER_CMD, (ClientKeepalive,)),
    ("PingTrafficSentNotify", OTHER_CMD, (PingTrafficSentNotify,)),
    ("Echo", ECHO, ()),
    ("Ping", PING, ()),
    ("FlowControlAck", OTHER_CMD, (FlowControlAck,)),
    ("FlowControlAckWithDestination", OTHER_CMD, (Destination, FlowControlAck)),
)


def _by_shape() -> dict[tuple[int, tuple[type[Command], ...]], tuple[str, ...]]:
    table: dict[tuple[int, tuple[type[Command], ...]], tuple[str, ...]] = {}
    for name, flags, commands in _SHAPES:
        table[flags, commands] = (*table.get((flags, commands), ()), name)
    return table


RTS_PDUS: Final[Mapping[tuple[int, tuple[type[Command], ...]], tuple[str, ...]]] = _by_shape()
"""(flags, kinds of commands) to the names of all PDUs that look so ([MS-RPCH] 2.2.4)."""


def conn_a1(vc_cookie: bytes, out_cookie: bytes, receive_window: int) -> RtsPdu:
    """CONN/A1, client to outbound proxy ([MS-RPCH] 2.2.4.2); ``receive_window`` is the client's."""
    return RtsPdu(NONE, (Version(), Cookie(vc_cookie), Cookie(out_cookie), ReceiveWindowSize(receive_window)))


def conn_a2(vc_cookie: bytes, out_cookie: bytes, channel_lifetime: int, receive_window: int) -> RtsPdu:
    """CONN/A2, outbound proxy to server ([MS-RPCH] 2.2.4.3); ``receive_window`` is the proxy's."""
    cookies = Cookie(vc_cookie), Cookie(out_cookie)
    return RtsPdu(
        OUT_CHANNEL,
        (Version(), *cookies, ChannelLifetime(channel_lifetime), ReceiveWindowSize(receive_window)),
    )


def conn_a3(connection_timeout_ms: int) -> RtsPdu:
    """CONN/A3, outbound proxy to client ([MS-RPCH] 2.2.4.4)."""
    return RtsPdu(NONE, (ConnectionTimeout(connection_timeout_ms),))


def conn_b1(
    vc_cookie: bytes,
    in_cookie: bytes,
    channel_lifetime: int,
    client_keepalive_ms: int,
    association_group_id: bytes,
) -> RtsPdu:
    """CONN/B1, client to inbound proxy ([MS-RPCH] 2.2.4.5)."""
    return RtsPdu(
        NONE,
        (
            Version(),
            Cookie(vc_cookie),
            Cookie(in_cookie),
            ChannelLifetime(channel_lifetime),
            ClientKeepalive(client_keepalive_ms),
            AssociationGroupId(association_group_id),
        ),
    )


def conn_b2(
    vc_cookie: bytes,
    in_cookie: bytes,
    receive_window: int,
    connection_timeout_ms: int,
    association_group_id: bytes,
    client_address: str,
) -> RtsPdu:
    """CONN/B2, inbound proxy to server ([MS-RPCH] 2.2.4.6); window and timeout are the proxy's."""
    return RtsPdu(
        IN_CHANNEL,
        (
            Version(),
            Cookie(vc_cookie),
            Cookie(in_cookie),
            ReceiveWindowSize(receive_window),
            ConnectionTimeout(connection_timeout_ms),
            AssociationGroupId(association_group_id),
            ClientAddress(client_address),
        ),
    )


def conn_b3(receive_window: int) -> RtsPdu:
    """CONN/B3, server to inbound proxy ([MS-RPCH] 2.2.4.7); ``receive_window`` is the server's."""
    return RtsPdu(NONE, (ReceiveWindowSize(receive_window), Version()))


def conn_c1(receive_window: int, connection_timeout_ms: int) -> RtsPdu:
    """CONN/C1, server to outbound proxy ([MS-RPCH] 2.2.4.8); both values are the inbound proxy's, from B2."""
    return RtsPdu(
        NONE, (Version(), ReceiveWindowSize(receive_window), ConnectionTimeout(connection_timeout_ms))
    )


conn_c2 = conn_c1
"""CONN/C2, outbound proxy to client ([MS-RPCH] 2.2.4.9): C1 as it came."""


def ping() -> RtsPdu:
    """Ping, client to inbound proxy and outbound proxy to client ([MS-RPCH] 2.2.4.49)."""
    return RtsPdu(PING)


def echo() -> RtsPdu:
    """Echo, the body of the answer to an echo request ([MS-RPCH] 2.2.4.48)."""
    return RtsPdu(ECHO)


def keep_alive(milliseconds: int) -> RtsPdu:
    """Keep-Alive, client to inbound proxy ([MS-RPCH] 2.2.4.46)."""
    return RtsPdu(OTHER_CMD, (ClientKeepalive(milliseconds),))


def ping_traffic_sent(size: int) -> RtsPdu:
    """Ping Traffic Sent Notify, outbound proxy to server ([MS-RPCH] 2.2.4.47)."""
    return RtsPdu(OTHER_CMD, (PingTrafficSentNotify(size),))


def flow_control_ack(bytes_received: int, available_window: int, channel_cookie: bytes) -> RtsPdu:
    """FlowControlAck, to the neighbour on a TCP leg ([MS-RPCH] 2.2.4.50)."""
    return RtsPdu(OTHER_CMD, (FlowControlAck(bytes_received, available_window, channel_cookie),))


def flow_control_ack_with_destination(
    role: int, bytes_received: int, available_window: int, channel_cookie: bytes
) -> RtsPdu:
    """FlowControlAckWithDestination, forwarded to ``role`` ([MS-RPCH] 2.2.4.51)."""
    ack = FlowControlAck(bytes_received, available_window, channel_cookie)
    return RtsPdu(OTHER_CMD, (Destination(role), ack))
