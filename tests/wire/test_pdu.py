import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import pdu
from loadgen.wire.pdu import (
    NDR,
    NDR64,
    AlterContext,
    AlterContextResponse,
    Auth3,
    AuthVerifier,
    Bind,
    BindAck,
    BindNak,
    CoCancel,
    ContextResult,
    Fault,
    Orphaned,
    PresentationContext,
    Request,
    Response,
    Shutdown,
    SyntaxId,
)

Vector = Callable[[str], bytes]

EMSMDB = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
ASYNC_EMSMDB = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
ACCEPTED = ContextResult(pdu.ACCEPTANCE, pdu.REASON_NOT_SPECIFIED, NDR)
NTLM, INTEGRITY, PRIVACY = 10, 5, 6

# What each vector says, from its bytes where those are free.
MEANING: dict[str, Callable[[bytes], pdu.Pdu]] = {
    "bind": lambda _: Bind(1, 5840, 5840, 0, (PresentationContext(0, EMSMDB),)),
    "bind_three_contexts": lambda _: Bind(
        1,
        5840,
        5840,
        0,
        (
            PresentationContext(0, EMSMDB, (NDR,)),
            PresentationContext(1, EMSMDB, (NDR64,)),
            PresentationContext(2, EMSMDB, (pdu.bind_time_features(3),)),
        ),
    ),
    "bind_ntlm": lambda wire: Bind(
        1,
        5840,
        5840,
        0,
        (PresentationContext(0, EMSMDB),),
        pdu.WHOLE | pdu.SUPPORT_HEADER_SIGN,
        AuthVerifier(NTLM, PRIVACY, 0, wire[80:]),
    ),
    "bind_ack": lambda _: BindAck(1, 5840, 5840, 0x12345, b"6001\0", (ACCEPTED,)),
    "bind_ack_three_results": lambda _: BindAck(
        1,
        5840,
        5840,
        0x12345,
        b"6001\0",
        (
            ACCEPTED,
            ContextResult(pdu.PROVIDER_REJECTION, pdu.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED),
            ContextResult(pdu.NEGOTIATE_ACK, 3),
        ),
    ),
    "bind_ack_ntlm": lambda wire: BindAck(
        1,
        5840,
        5840,
        0x12345,
        b"6001\0",
        (ACCEPTED,),
        pdu.WHOLE | pdu.SUPPORT_HEADER_SIGN,
        AuthVerifier(NTLM, PRIVACY, 0, wire[0x44:]),
    ),
    "bind_ack_gromox": lambda _: BindAck(1, 4280, 8192, 6, b"6002\0", (ACCEPTED,), trailer=bytes(8)),
    "bind_ack_rejected_gromox": lambda _: BindAck(
        1,
        5840,
        8192,
        0x0FFFFFFF,
        b"",
        (ContextResult(pdu.PROVIDER_REJECTION, pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED, NDR),),
        trailer=bytes(8),
    ),
    "bind_nak": lambda _: BindNak(1, 8),
    "alter_context": lambda _: AlterContext(50, 5840, 5840, 0, (PresentationContext(1, ASYNC_EMSMDB),)),
    "alter_context_response_gromox": lambda _: AlterContextResponse(
        50, 8192, 8192, 2, b"", (ACCEPTED,), trailer=bytes(8)
    ),
    "auth3_ntlm": lambda wire: Auth3(
        1, AuthVerifier(NTLM, PRIVACY, 0, wire[28:]), pdu.WHOLE | pdu.SUPPORT_HEADER_SIGN
    ),
    "request_ec_dummy_rpc": lambda _: Request(2, 0, 6, b""),
    "request_ec_do_connect_ex": lambda wire: Request(2, 0, 10, wire[24:]),
    "request_sealed": lambda wire: Request(
        2, 0, 1, wire[24:44], auth=AuthVerifier(NTLM, PRIVACY, 0, wire[64:], wire[44:56])
    ),
    "request_signed": lambda wire: Request(
        2, 0, 1, wire[24:44], auth=AuthVerifier(NTLM, INTEGRITY, 0, wire[64:], bytes(12))
    ),
    "response_ec_dummy_rpc": lambda _: Response(2, 0, bytes(4)),
    "response_sealed": lambda wire: Response(
        2, 0, wire[24:48], auth=AuthVerifier(NTLM, PRIVACY, 0, wire[64:], wire[48:56])
    ),
    "fault": lambda _: Fault(2, 0, 0x1C010002, pdu.WHOLE | pdu.DID_NOT_EXECUTE),
    "fault_gromox": lambda _: Fault(7, 0, 5, alloc_hint=0),
    "co_cancel": lambda _: CoCancel(100),
    "orphaned": lambda _: Orphaned(100),
}


@pytest.mark.parametrize("name", MEANING)
def test_vectors_mean_what_they_say(name: str, vector: Vector) -> None:
    wire = vector(f"pdu/{name}.hex")
    value = MEANING[name](wire)
    assert pdu.decode(wire) == value
    assert value.encode() == wire
    assert pdu.pdu_type(wire) == value.ptype
    assert pdu.call_id(wire) == value.call_id


@pytest.mark.parametrize("name", MEANING)
def test_truncated_vectors_raise_wire_errors_alone(name: str, vector: Vector) -> None:
    wire = vector(f"pdu/{name}.hex")
    for size in range(len(wire)):
        with pytest.raises(WireError):
            pdu.decode(wire[:size])


@pytest.mark.parametrize("name", MEANING)
def test_pdus_that_say_they_are_shorter_are_refused_or_kept_whole(name: str, vector: Vector) -> None:
    wire = vector(f"pdu/{name}.hex")
    for size in range(16, len(wire)):
        shorter = wire[:8] + struct.pack("<H", size) + wire[10:size]
        try:
            value = pdu.decode(shorter)
        except WireError:
            continue
        assert pdu.decode(value.encode()) == value


def test_bytes_behind_the_last_context_are_refused(vector: Vector) -> None:
    wire = vector("pdu/bind_three_contexts.hex") + b"\0"
    with pytest.raises(WireError, match="1 bytes left over"):
        pdu.decode(wire[:8] + struct.pack("<H", len(wire)) + wire[10:])


CALL_IDS = st.integers(0, 0xFFFFFFFF)
WORDS = st.integers(0, 0xFFFF)
LONGS = st.integers(0, 0xFFFFFFFF)
FLAGS = st.integers(0, 0x7F)
SYNTAXES = st.builds(SyntaxId, st.binary(min_size=16, max_size=16), LONGS)
VERIFIERS = st.builds(
    AuthVerifier,
    st.integers(0, 255),
    st.integers(0, 255),
    LONGS,
    st.binary(min_size=1, max_size=64),
    st.binary(max_size=15),
)
AUTH = st.none() | VERIFIERS
STUBS = st.binary(max_size=200)
CONTEXTS = st.lists(
    st.builds(PresentationContext, WORDS, SYNTAXES, st.lists(SYNTAXES, max_size=3).map(tuple)), max_size=4
).map(tuple)
RESULTS = st.lists(st.builds(ContextResult, WORDS, WORDS, SYNTAXES), max_size=4).map(tuple)
AGREEMENT = (
    CALL_IDS,
    WORDS,
    WORDS,
    LONGS,
    st.binary(max_size=9),
    RESULTS,
    FLAGS,
    AUTH,
    st.binary(max_size=8),
)
PDUS = st.one_of(
    st.builds(Bind, CALL_IDS, WORDS, WORDS, LONGS, CONTEXTS, FLAGS, AUTH),
    st.builds(AlterContext, CALL_IDS, WORDS, WORDS, LONGS, CONTEXTS, FLAGS, AUTH),
    st.builds(BindAck, *AGREEMENT),
    st.builds(AlterContextResponse, *AGREEMENT),
    st.builds(
        BindNak,
        CALL_IDS,
        WORDS,
        st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=3).map(tuple),
        FLAGS,
        STUBS,
    ),
    st.builds(Auth3, CALL_IDS, VERIFIERS, FLAGS, st.binary(min_size=4, max_size=4)),
    st.builds(Request, CALL_IDS, WORDS, WORDS, STUBS, FLAGS, st.none(), st.none() | st.just(b"o" * 16), AUTH),
    st.builds(Response, CALL_IDS, WORDS, STUBS, FLAGS, st.none(), st.integers(0, 255), AUTH),
    st.builds(Fault, CALL_IDS, WORDS, LONGS, FLAGS, st.none(), st.integers(0, 255), STUBS, AUTH),
    st.builds(CoCancel, CALL_IDS, FLAGS, AUTH),
    st.builds(Orphaned, CALL_IDS, FLAGS, AUTH),
    st.builds(Shutdown, CALL_IDS, FLAGS, AUTH),
)


@given(PDUS)
def test_every_pdu_comes_back(value: pdu.Pdu) -> None:
    wire = value.encode()
    assert pdu.frag_length(wire) == len(wire)
    assert pdu.decode(wire) == value


@given(PDUS, st.data())
def test_damaged_pdus_raise_wire_errors_alone(value: pdu.Pdu, data: st.DataObject) -> None:
    wire = bytearray(value.encode())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        pdu.decode(bytes(wire))


@given(LONGS, st.sampled_from([Request(1, 2, 3, b"stub"), Response(1, 2, b"stub"), Fault(1, 2, 5)]))
def test_an_alloc_hint_of_its_own_is_kept(hint: int, call: Request | Response | Fault) -> None:
    fields = {name: getattr(call, name) for name in call.__struct_fields__} | {"alloc_hint": hint}
    decoded = pdu.decode(type(call)(**fields).encode())
    assert isinstance(decoded, Request | Response | Fault)
    usual = 32 if isinstance(call, Fault) else 4
    assert decoded.alloc_hint == (None if hint == usual else hint)


def test_an_object_uuid_sets_its_flag() -> None:
    wire = bytes.fromhex("05000083 10000000 2a00 0000 01000000 02000000 0000 0600") + b"o" * 16 + b"ab"
    request = Request(1, 0, 6, b"ab", object_uuid=b"o" * 16)
    assert request.encode() == wire
    assert pdu.decode(wire) == request
    with pytest.raises(WireError, match="object"):
        pdu.decode(wire[:8] + b"\x20\0" + wire[10:32])


def test_a_bind_nak_may_lack_its_padding() -> None:
    wire = bytes.fromhex("05000d03 10000000 1500 0000 01000000 0800 01 05 00")
    assert pdu.decode(wire) == BindNak(1, 8)


def test_extended_error_information_of_a_fault_is_announced() -> None:
    wire = Fault(1, 0, 5, extended_error=b"EEInfo").encode()
    assert (wire[16], wire[23], wire[32:]) == (32 + 6, 1, b"EEInfo")


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        ("05001403 10000000 1400 0000 00000000 0100 0000", "PTYPE"),
        ("05000103 10000000 1000 0000 00000000", "PTYPE"),
        ("05001003 10000000 1400 0000 01000000 00000000", "auth_length"),
        ("05000d03 10000000 2100 0100 01000000 0800 01 05 00 000000 0a06 0000 00000000 ff", "auth_length"),
        ("05000003 10000000 1400 0000 01000000 00000000", "frag_length"),
        ("05000203 10000000 1400 0000 01000000 00000000", "frag_length"),
    ],
)
def test_what_is_no_pdu_of_an_association_is_refused(wire: str, field: str) -> None:
    with pytest.raises(WireError) as caught:
        pdu.decode(bytes.fromhex(wire))
    assert caught.value.field == field


@pytest.mark.parametrize("kind", [Request, Response, Bind, CoCancel])
def test_each_class_decodes_its_own_kind_alone(kind: type[pdu.Pdu]) -> None:
    with pytest.raises(WireError, match="instead of"):
        kind.decode(Fault(1, 0, 5).encode())
