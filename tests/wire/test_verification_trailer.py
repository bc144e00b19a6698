"""The verification trailer, written out from [MS-RPCE] 2.2.2.13."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.pdu import NDR, SyntaxId
from loadgen.wire.verification_trailer import RequestHeader, VerificationTrailer, split_trailer

MGMT = SyntaxId.of("afa8bd80-7d8a-11c9-bef4-08002b102989", 1)
MAGIC = bytes.fromhex("8ae3137102f43671")


def test_what_samba_sends(vector):
    wire = vector("pdu/verification_trailer_samba.hex")
    trailer = VerificationTrailer.decode(wire)
    assert trailer == VerificationTrailer(1, (MGMT, NDR))
    assert trailer.encode() == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            VerificationTrailer.decode(wire[:size])


def test_a_header():
    wire = MAGIC + bytes.fromhex("0340 1000 00000000 10000000 07000000 0100 0b00")
    trailer = VerificationTrailer(header=RequestHeader(0, 0x10, 7, 1, 11))
    assert VerificationTrailer.decode(wire) == trailer
    assert trailer.encode() == wire


def test_unknown_commands_are_skipped_unless_they_must_not():
    assert (
        VerificationTrailer.decode(MAGIC + bytes.fromhex("1100 0200 abcd 0140 0400 01000000")).bit_mask == 1
    )
    with pytest.raises(WireError, match="unknown command 17"):
        VerificationTrailer.decode(MAGIC + bytes.fromhex("1180 0000 0140 0400 01000000"))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (bytes(8), "signature"),
        (MAGIC + bytes.fromhex("0140 0300 010000"), "rpc_sec_vt_bitmask"),
        (MAGIC + bytes.fromhex("0240 0000"), "rpc_sec_vt_pcontext"),
        (MAGIC + bytes.fromhex("0340 0000"), "rpc_sec_vt_header2"),
        (MAGIC + bytes.fromhex("0140 0400 01000000 00"), "verification trailer"),
    ],
)
def test_what_is_refused(data, field):
    with pytest.raises(WireError) as refusal:
        VerificationTrailer.decode(data)
    assert refusal.value.field == field


def test_a_stub_is_told_from_its_trailer():
    trailer = VerificationTrailer(1)
    assert split_trailer(b"stub" + trailer.encode()) == (b"stub", trailer)
    for stub in (b"", b"stub", b"odd" + MAGIC):
        assert split_trailer(stub) == (stub, None)


U32 = st.integers(0, 0xFFFFFFFF)
SYNTAX = st.builds(SyntaxId, st.binary(min_size=16, max_size=16), U32)
HEADER = st.builds(RequestHeader, st.integers(0, 255), U32, U32, *[st.integers(0, 0xFFFF)] * 2)
TRAILER = st.builds(
    VerificationTrailer, st.none() | U32, st.none() | st.tuples(SYNTAX, SYNTAX), st.none() | HEADER
)


@given(TRAILER.filter(lambda trailer: trailer != VerificationTrailer()))
def test_round_trip(trailer):
    assert VerificationTrailer.decode(trailer.encode()) == trailer
