from collections.abc import Callable
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer, decode_utf16

Read = Callable[[Reader], object]

# What is written, its bytes, and how it is read again.
VALUES: list[tuple[Callable[[Writer], None], str, Read, object]] = [
    (lambda w: w.u8(0xFE), "fe", lambda r: r.u8("f"), 0xFE),
    (lambda w: w.u16(0xFEDC), "dcfe", lambda r: r.u16("f"), 0xFEDC),
    (lambda w: w.u32(0xFEDCBA98), "98badcfe", lambda r: r.u32("f"), 0xFEDCBA98),
    (lambda w: w.i32(-2), "feffffff", lambda r: r.i32("f"), -2),
    (lambda w: w.u64(0xFEDCBA9876543210), "1032547698badcfe", lambda r: r.u64("f"), 0xFEDCBA9876543210),
    (lambda w: w.raw(b"abc"), "616263", lambda r: r.take(3, "f"), b"abc"),
    (lambda w: w.raw(b"abc"), "616263", lambda r: r.rest(), b"abc"),
    (lambda w: w.pack(Struct("<BH"), 1, 2), "010200", lambda r: r.unpack(Struct("<BH"), "f"), (1, 2)),
    (lambda w: w.asciiz("é!"), "e92100", lambda r: r.asciiz("f"), "é!"),
    (lambda w: w.asciiz(""), "00", lambda r: r.asciiz("f"), ""),
    (lambda w: w.utf16z("aĀ€"), "6100 0001 ac20 0000", lambda r: r.utf16z("f"), "aĀ€"),
    (lambda w: w.utf16z(""), "0000", lambda r: r.utf16z("f"), ""),
]


@pytest.mark.parametrize(("write", "text", "read", "value"), VALUES)
def test_values_and_their_bytes(
    write: Callable[[Writer], None], text: str, read: Read, value: object
) -> None:
    wire = bytes.fromhex(text)
    writer = Writer()
    write(writer)
    assert (writer.getvalue(), len(writer)) == (wire, len(wire))
    reader = Reader(b"before" + wire, 6)
    assert read(reader) == value
    reader.expect_end("value")


@pytest.mark.parametrize(("text", "read"), [(text, read) for _, text, read, _ in VALUES if text != "616263"])
def test_no_value_reads_beyond_the_end_or_the_limit(text: str, read: Read) -> None:
    wire = bytes.fromhex(text)
    for size in range(len(wire)):
        with pytest.raises(WireError):
            read(Reader(wire[:size]))
        limited = Reader(wire + b"\0\0\0\0")
        with pytest.raises(WireError), limited.limited_to(size, "block"):
            read(limited)


def test_an_error_names_the_field_its_place_and_the_problem() -> None:
    reader = Reader(b"\0\0\0\0\0", 2)
    with pytest.raises(WireError, match="RopSize at byte 2: needs 4 bytes, 3 are left") as caught:
        reader.u32("RopSize")
    assert (caught.value.field, caught.value.offset) == ("RopSize", 2)
    assert reader.offset == 2


def test_alignment_counts_from_the_start_of_the_data() -> None:
    reader = Reader(b"abcde", 1)
    reader.align(4)
    assert reader.take(1, "f") == b"e"
    with pytest.raises(WireError, match="padding"):
        reader.align(4)
    writer = Writer()
    writer.raw(b"abcde")
    writer.align(4)
    writer.align(4)
    assert writer.getvalue() == b"abcde\0\0\0"


def test_exactly_the_limit_is_read() -> None:
    reader = Reader(b"abcdef", 1)
    with reader.limited_to(3, "block"):
        assert (reader.remaining, reader.rest()) == (3, b"bcd")
    assert (reader.remaining, reader.rest()) == (2, b"ef")


@pytest.mark.parametrize(
    ("size", "taken", "problem"), [(3, 2, "1 bytes left over"), (3, 4, "needs 4 bytes, 3 are left")]
)
def test_less_or_more_than_the_limit_is_refused(size: int, taken: int, problem: str) -> None:
    reader = Reader(b"abcdef")
    with pytest.raises(WireError, match=problem), reader.limited_to(size, "block"):
        reader.take(taken, "value")


def test_a_limit_beyond_the_end_is_refused() -> None:
    with (
        pytest.raises(WireError, match="block at byte 1: needs 6"),
        Reader(b"abcdef", 1).limited_to(6, "block"),
    ):
        pytest.fail("the block must not be entered")


def test_lengths_are_filled_in_afterwards() -> None:
    writer = Writer()
    writer.raw(bytes(6))
    writer.patch_u16(0, 0x0102)
    writer.patch_u32(2, 0x03040506)
    assert writer.getvalue() == bytes.fromhex("0201 06050403")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [(b"a", "truncated data"), (b"\x00\xd8", "unexpected end"), (b"\x00\xdca\0", "illegal")],
)
def test_what_is_no_utf_16_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(WireError, match=f"name at byte 7: not UTF-16: {problem}"):
        decode_utf16(raw, "name", 7)


def test_a_utf_16_nul_stands_at_an_even_place() -> None:
    assert Reader(bytes.fromhex("ff 0061 0061 00 0000"), 1).utf16z("f") == "\u6100\u6100"
    with pytest.raises(WireError, match="string without end"):
        Reader(bytes.fromhex("61 00 00 61")).utf16z("f")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), st.binary(max_size=3))
def test_every_utf_16_string_comes_back(text: str, before: bytes) -> None:
    writer = Writer()
    writer.raw(before)
    writer.utf16z(text)
    reader = Reader(writer.getvalue(), len(before))
    assert reader.utf16z("f") == text
    reader.expect_end("string")
