import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import rts
from loadgen.wire.rts import (
    ANCE,
    RTS_PDUS,
    AssociationGroupId,
    ChannelLifetime,
    ClientAddress,
    ClientKeepalive,
    Command,
    ConnectionTimeout,
    Cookie,
    Destination,
    Empty,
    FlowControlAck,
    NegativeANCE,
    Padding,
    PingTrafficSentNotify,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)

Vector = Callable[[str], bytes]

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
IN = bytes.fromhex("34333231424144435152535455565758")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")

# vector: what it is, and how the specification names PDUs of its shape
MEANING: dict[str, tuple[RtsPdu, tuple[str, ...]]] = {
    "conn_a1": (rts.conn_a1(VC, OUT, 65536), ("CONN/A1",)),
    "conn_a2": (rts.conn_a2(VC, OUT, 1 << 30, 65536), ("CONN/A2",)),
    "conn_a3": (rts.conn_a3(120_000), ("CONN/A3",)),
    "conn_b1": (rts.conn_b1(VC, IN, 1 << 30, 300_000, GROUP), ("CONN/B1",)),
    "conn_b2": (rts.conn_b2(VC, IN, 65536, 120_000, GROUP, "192.0.2.10"), ("CONN/B2",)),
    "conn_b3": (rts.conn_b3(65536), ("CONN/B3",)),
    "conn_c2": (rts.conn_c2(65536, 120_000), ("CONN/C1", "CONN/C2")),
    "ping": (rts.ping(), ("Ping",)),
    "echo": (rts.echo(), ("Echo",)),
    "flow_control_ack_with_destination": (
        rts.flow_control_ack_with_destination(rts.OUT_PROXY, 33554, 65536, OUT),
        ("FlowControlAckWithDestination",),
    ),
}


@pytest.mark.parametrize("name", MEANING)
def test_vectors_mean_what_they_say(name: str, vector: Vector) -> None:
    wire = vector(f"rts/{name}.hex")
    pdu, names = MEANING[name]
    assert RtsPdu.decode(wire) == pdu
    assert pdu.encode() == wire
    assert pdu.names == names


@pytest.mark.parametrize("name", MEANING)
def test_truncated_vectors_raise_wire_errors_alone(name: str, vector: Vector) -> None:
    wire = vector(f"rts/{name}.hex")
    for size in range(len(wire)):
        with pytest.raises(WireError):
            RtsPdu.decode(wire[:size])
        with pytest.raises(WireError):
            RtsPdu.decode(wire[:8] + struct.pack("<H", size) + wire[10:size])


# [MS-RPCH] 2.2.3.5: the bytes of one command each
COMMANDS: dict[Command, str] = {
    ReceiveWindowSize(65536): "00000000 00000100",
    FlowControlAck(1, 2, VC): f"01000000 01000000 02000000 {VC.hex()}",
    ConnectionTimeout(120_000): "02000000 c0d40100",
    Cookie(VC): f"03000000 {VC.hex()}",
    ChannelLifetime(1 << 30): "04000000 00000040",
    ClientKeepalive(300_000): "05000000 e0930400",
    Version(): "06000000 01000000",
    Empty(): "07000000",
    Padding(5): "08000000 05000000 0000000000",
    NegativeANCE(): "09000000",
    ANCE(): "0a000000",
    ClientAddress("192.168.2.254"): "0b000000 00000000 00000000 c0a802fe 00000000 00000000",
    ClientAddress("2001:db8::1"): f"0b000000 01000000 20010db8{'00' * 11}01 {'00' * 12}",
    AssociationGroupId(GROUP): f"0c000000 {GROUP.hex()}",
    Destination(rts.SERVER): "0d000000 02000000",
    PingTrafficSentNotify(1032): "0e000000 08040000",
}


@pytest.mark.parametrize(("command", "text"), COMMANDS.items())
def test_each_command_has_its_bytes(command: Command, text: str) -> None:
    pdu = RtsPdu(rts.NONE, (command,))
    wire = pdu.encode()
    assert wire[20:] == bytes.fromhex(text)
    assert RtsPdu.decode(wire) == pdu


def test_a_client_address_is_read_where_the_specification_puts_it(vector: Vector) -> None:
    wire = vector("rts/conn_b2.hex")
    specified = wire[:0x70] + bytes([192, 0, 2, 10]) + bytes(12)
    assert RtsPdu.decode(specified) == RtsPdu.decode(wire)


def test_pdus_without_a_vector_have_the_size_of_the_table() -> None:
    assert [
        (pdu.names, len(pdu.encode()))
        for pdu in (
            rts.keep_alive(60_000),
            rts.ping_traffic_sent(1032),
            rts.flow_control_ack(1, 65536, IN),
            rts.conn_b2(VC, IN, 65536, 120_000, GROUP, "::1"),
        )
    ] == [
        (("Keep-Alive",), 28),
        (("PingTrafficSentNotify",), 28),
        (("FlowControlAck",), 48),
        (("CONN/B2",), 140),
    ]


def test_every_pdu_of_the_specification_is_in_the_table_once() -> None:
    names = [name for shape in RTS_PDUS.values() for name in shape]
    assert len(set(names)) == 50
    assert len(names) == len(set(names)) + 1  # OUT_R2/A8 may also be A7 as it came


def test_an_unknown_shape_has_no_name() -> None:
    assert RtsPdu(rts.PING, (Version(),)).names == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({2: 2}, "RTS header"),
        ({3: 1}, "RTS header"),
        ({12: 1}, "RTS header"),
        ({0: 4}, "rpc_vers"),
        ({18: 3}, "RTS PDU"),
        ({18: 5}, "CommandType"),
        ({20: 15}, "CommandType"),
        ({20: 1}, "CommandType"),
    ],
)
def test_damaged_pdus_are_refused(change: dict[int, int], field: str, vector: Vector) -> None:
    wire = bytearray(vector("rts/conn_a1.hex"))
    for offset, value in change.items():
        wire[offset] = value
    with pytest.raises(WireError) as caught:
        RtsPdu.decode(bytes(wire))
    assert caught.value.field == field


def test_rts_pdus_have_no_verifier(vector: Vector) -> None:
    wire = vector("rts/conn_a1.hex")
    with pytest.raises(WireError, match="auth_length 8"):
        RtsPdu.decode(wire[:10] + b"\x08\0" + wire[12:])


def test_an_address_is_of_a_known_type(vector: Vector) -> None:
    wire = bytearray(vector("rts/conn_b2.hex"))
    wire[0x6C] = 2
    with pytest.raises(WireError, match="AddressType"):
        RtsPdu.decode(bytes(wire))


LONGS = st.integers(0, 0xFFFFFFFF)
COOKIES = st.binary(min_size=16, max_size=16)
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
ANY_COMMAND: st.SearchStrategy[Command] = st.one_of(
    st.builds(ReceiveWindowSize, LONGS),
    st.builds(FlowControlAck, LONGS, LONGS, COOKIES),
    st.builds(ConnectionTimeout, LONGS),
    st.builds(Cookie, COOKIES),
    st.builds(ChannelLifetime, LONGS),
    st.builds(ClientKeepalive, LONGS),
    st.builds(Version, LONGS),
    st.just(Empty()),
    st.builds(Padding, st.integers(0, 100)),
    st.just(NegativeANCE()),
    st.just(ANCE()),
    st.builds(ClientAddress, ADDRESSES.map(str)),
    st.builds(AssociationGroupId, COOKIES),
    st.builds(Destination, LONGS),
    st.builds(PingTrafficSentNotify, LONGS),
)
ANY_PDU = st.builds(RtsPdu, st.integers(0, 0xFFFF), st.lists(ANY_COMMAND, max_size=8).map(tuple))


@given(ANY_PDU)
def test_every_pdu_comes_back(pdu: RtsPdu) -> None:
    assert RtsPdu.decode(pdu.encode()) == pdu


@given(ANY_PDU, st.data())
def test_damage_raises_wire_errors_alone(pdu: RtsPdu, data: st.DataObject) -> None:
    wire = bytearray(pdu.encode())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        RtsPdu.decode(bytes(wire))
