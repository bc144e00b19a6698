from collections.abc import Callable

import pytest

from loadgen.errors import WireError
from loadgen.wire.pdu_header import (
    AuthVerifier,
    PduType,
    close_pdu,
    frag_length,
    header_error,
    open_pdu,
    pdu_type,
    split_verifier,
)

HEADER = "05 00 0b 03 10000000 4800 0000 01000000"


def test_the_header_says_how_long_a_pdu_is(vector: Callable[[str], bytes]) -> None:
    bind, nak = vector("pdu/bind.hex"), vector("pdu/bind_nak.hex")
    stream = bytearray(bind + nak)
    assert (frag_length(stream), pdu_type(stream)) == (72, PduType.BIND)
    assert (frag_length(memoryview(stream), 72), pdu_type(stream, 72)) == (24, PduType.BIND_NAK)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (HEADER[:-2], "common header"),
        ("", "common header"),
        ("04 00 0b 03 10000000 4800 0000 01000000", "rpc_vers"),
        ("05 02 0b 03 10000000 4800 0000 01000000", "rpc_vers"),
        ("05 00 15 03 10000000 4800 0000 01000000", "PTYPE"),
        ("05 00 0b 03 00000000 4800 0000 01000000", "packed_drep"),
        ("05 00 0b 03 10000100 4800 0000 01000000", "packed_drep"),
        ("05 00 0b 03 10000000 0f00 0000 01000000", "frag_length"),
        ("05 00 0b 03 10000000 1f00 0800 01000000", "frag_length"),
    ],
)
def test_a_header_that_begins_no_pdu_is_refused(header: str, field: str) -> None:
    with pytest.raises(WireError) as caught:
        frag_length(bytes.fromhex(header))
    assert caught.value.field == field


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("05 00", "05 01"), HEADER.replace("4800", "1000")])
def test_minor_version_1_and_a_bare_header_are_fine(header: str) -> None:
    assert frag_length(bytes.fromhex(header)) in {0x48, 0x10}


@pytest.mark.parametrize("auth", [None, AuthVerifier(10, 6, 79231, b"token", b"pad")])
def test_a_verifier_is_split_off_the_body(auth: AuthVerifier | None) -> None:
    pdu = close_pdu(PduType.ORPHANED, 3, 7, b"body", auth)
    flags, call_id, reader, found = open_pdu(pdu, PduType.ORPHANED)
    assert (flags, call_id, reader.rest(), found) == (3, 7, b"body", auth)


@pytest.mark.parametrize(
    ("pdu", "field"),
    [
        (close_pdu(PduType.ORPHANED, 3, 7, b""), "PTYPE"),
        (close_pdu(PduType.CO_CANCEL, 3, 7, b"") + b"x", "frag_length"),
        (close_pdu(PduType.CO_CANCEL, 3, 7, b"", AuthVerifier(10, 6, 0, b"t"))[:-1] + b"\0\0", "frag_length"),
    ],
)
def test_one_whole_pdu_of_the_right_type_is_opened(pdu: bytes, field: str) -> None:
    with pytest.raises(WireError) as caught:
        open_pdu(pdu, PduType.CO_CANCEL)
    assert caught.value.field == field
    assert str(header_error(pdu, PduType.CO_CANCEL)) == str(caught.value)


@pytest.mark.parametrize(
    ("auth_length", "pad_length", "field"), [(4, 4, None), (4, 5, "auth_pad_length"), (9, 0, "auth_length")]
)
def test_a_verifier_must_leave_room_for_the_body(
    auth_length: int, pad_length: int, field: str | None
) -> None:
    pdu = bytearray(close_pdu(PduType.ORPHANED, 3, 7, bytes(4), AuthVerifier(10, 6, 0, b"tokn")))
    pdu[22] = pad_length
    if field is None:
        assert split_verifier(bytes(pdu), 16, auth_length) == (AuthVerifier(10, 6, 0, b"tokn", bytes(4)), 16)
        return
    with pytest.raises(WireError) as caught:
        split_verifier(bytes(pdu), 16, auth_length)
    assert caught.value.field == field
