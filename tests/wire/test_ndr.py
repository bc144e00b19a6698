from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter

HANDLE = bytes(4) + bytes(range(16))

# What is written behind one byte, the bytes that follow it ([C706] 14.2 and 14.3), and how it is read again.
VALUES: list[tuple[Callable[[NdrWriter], None], str, Callable[[NdrReader], object], object]] = [
    (lambda w: w.u8(7), "07", lambda r: r.u8("f"), 7),
    (lambda w: w.u16(7), "00 0700", lambda r: r.u16("f"), 7),
    (lambda w: w.u32(7), "000000 07000000", lambda r: r.u32("f"), 7),
    (lambda w: w.i32(-7), "000000 f9ffffff", lambda r: r.i32("f"), -7),
    (lambda w: w.pointer(True), "000000 00000200", lambda r: r.pointer("f"), True),
    (lambda w: w.pointer(False), "000000 00000000", lambda r: r.pointer("f"), False),
    (lambda w: w.context_handle(HANDLE), f"000000 {HANDLE.hex()}", lambda r: r.context_handle("f"), HANDLE),
    (lambda w: w.conformant_bytes(b"ab"), "000000 02000000 6162", lambda r: r.conformant_bytes("f"), b"ab"),
    (
        lambda w: w.conformant_varying_bytes(b"ab"),
        "000000 02000000 00000000 02000000 6162",
        lambda r: r.conformant_varying_bytes("f"),
        b"ab",
    ),
    (
        lambda w: w.string("aé"),
        "000000 03000000 00000000 03000000 61e900",
        lambda r: r.string("f"),
        "aé",
    ),
    (
        lambda w: w.wide_string("a€"),
        "000000 03000000 00000000 03000000 6100ac200000",
        lambda r: r.wide_string("f"),
        "a€",
    ),
]


@pytest.mark.parametrize(("write", "text", "read", "value"), VALUES)
def test_values_and_their_bytes(
    write: Callable[[NdrWriter], None], text: str, read: Callable[[NdrReader], object], value: object
) -> None:
    wire = b"\xff" + bytes.fromhex(text)
    writer = NdrWriter()
    writer.u8(0xFF)
    write(writer)
    assert writer.getvalue() == wire
    reader = NdrReader(wire, 1)
    assert read(reader) == value
    reader.expect_end("value")
    for size in range(1, len(wire)):
        with pytest.raises(WireError):
            read(NdrReader(wire[:size], 1))


def test_each_pointer_has_a_referent_id_of_its_own() -> None:
    writer = NdrWriter()
    for present in (True, False, True):
        writer.pointer(present)
    assert writer.getvalue() == bytes.fromhex("00000200 00000000 04000200")
    assert writer.next_referent() == 0x00020008


def test_an_array_may_have_more_room_than_elements() -> None:
    stub = bytes.fromhex("40000000 00000000 02000000 6162")
    assert NdrReader(stub).conformant_varying_bytes("f") == b"ab"


@pytest.mark.parametrize(
    "counts",
    [
        "02000000 01000000 02000000",
        "01000000 00000000 02000000",
        "ffffffff 00000000 ffffffff",
    ],
)
def test_counts_that_cannot_be_are_refused(counts: str) -> None:
    stub = bytes.fromhex(counts) + b"a\0\0\0"
    for read in (NdrReader.conformant_varying_bytes, NdrReader.string, NdrReader.wide_string):
        with pytest.raises(WireError):
            read(NdrReader(stub), "f")


@pytest.mark.parametrize(
    ("read", "count", "text"),
    [
        (NdrReader.string, 0, ""),
        (NdrReader.string, 2, "6162"),
        (NdrReader.string, 3, "610000"),
        (NdrReader.wide_string, 0, ""),
        (NdrReader.wide_string, 1, "6100"),
        (NdrReader.wide_string, 3, "6100 0000 0000"),
        (NdrReader.wide_string, 2, "00d8 0000"),
    ],
)
def test_a_string_ends_with_its_only_nul(
    read: Callable[[NdrReader, str], str], count: int, text: str
) -> None:
    counts = count.to_bytes(4, "little")
    with pytest.raises(WireError):
        read(NdrReader(counts + bytes(4) + counts + bytes.fromhex(text)), "f")


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=50)


@given(st.lists(TEXT, max_size=5), st.lists(st.binary(max_size=9), max_size=5))
def test_any_sequence_comes_back(texts: list[str], arrays: list[bytes]) -> None:
    writer = NdrWriter()
    for text in texts:
        writer.wide_string(text)
    for array in arrays:
        writer.conformant_bytes(array)
        writer.conformant_varying_bytes(array)
        writer.u16(len(array))
    reader = NdrReader(writer.getvalue())
    assert [reader.wide_string("f") for _ in texts] == texts
    for array in arrays:
        assert (reader.conformant_bytes("f"), reader.conformant_varying_bytes("f")) == (array, array)
        assert reader.u16("f") == len(array)
    reader.expect_end("stub")
