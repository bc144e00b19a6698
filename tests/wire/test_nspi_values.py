"""Property values and rows in their NDR form: all types, null pointers, limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.values import (
    MAX_BINARY,
    MAX_ELEMENTS,
    read_row_pointer,
    read_rows,
    read_values,
    write_row_pointer,
    write_rows,
    write_values,
)
from loadgen.wire.properties import PropertyValue

GUID = bytes(range(16))
u32 = st.integers(0, 0xFFFFFFFF)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
latin = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=9)
guid = st.binary(min_size=16, max_size=16)


def several(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(element, max_size=4).map(tuple)


VALUES_BY_TYPE = {
    0x0000: st.none(),
    0x0001: st.none(),
    0x0002: st.integers(0, 0xFFFF),
    0x0003: u32,
    0x000A: u32,
    0x000B: st.booleans(),
    0x000D: st.none(),
    0x001E: st.none() | latin,
    0x001F: st.none() | text,
    0x0040: st.integers(0, 2**64 - 1),
    0x0048: st.none() | guid,
    0x0102: st.none() | st.binary(max_size=9),
    0x1002: several(st.integers(0, 0xFFFF)),
    0x1003: several(u32),
    0x101E: several(st.none() | latin),
    0x101F: several(st.none() | text),
    0x1040: several(st.integers(0, 2**64 - 1)),
    0x1048: several(st.none() | guid),
    0x1102: several(st.none() | st.binary(max_size=9)),
}
values = st.sampled_from(sorted(VALUES_BY_TYPE)).flatmap(
    lambda kind: st.builds(PropertyValue, st.just(0x3A000000 | kind), VALUES_BY_TYPE[kind])
)
rows = st.lists(values, max_size=5).map(tuple)


@given(st.lists(rows, max_size=4).map(tuple))
def test_rows_round_trip(row_set):
    writer = NdrWriter()
    write_rows(writer, row_set)
    reader = NdrReader(writer.getvalue())
    assert read_rows(reader) == row_set
    reader.expect_end("rows")


@given(rows)
def test_row_round_trip_and_truncations(row):
    writer = NdrWriter()
    write_row_pointer(writer, row)
    wire = writer.getvalue()
    assert read_row_pointer(NdrReader(wire)) == row
    for size in range(len(wire)):
        with pytest.raises(WireError):
            read_row_pointer(NdrReader(wire[:size]))


# What hangs on the second value follows what hangs on the first, with its own pointers ([MS-RPCE] 2.2.5).
DEPTH_FIRST = bytes.fromhex(
    "1e10003a 00000000 1e100000 02000000 00000200"  # two 8-bit strings
    "0b00013a 00000000 0b000000 01000000"  # a boolean, padded
    "0201023a 00000000 02010000 03000000 04000200"  # three bytes
    "4000033a 00000000 40000000 04030201 05060708"  # a time, low word first
    "02000000 08000200 0c000200"
    "02000000 00000000 02000000 6100 0000"
    "03000000 00000000 03000000 626200 00"
    "03000000 010203"
)
DEPTH_FIRST_VALUES = (
    PropertyValue(0x3A00101E, ("a", "bb")),
    PropertyValue(0x3A01000B, True),
    PropertyValue(0x3A020102, b"\x01\x02\x03"),
    PropertyValue(0x3A030040, 0x0807060501020304),
)


def test_referents_come_depth_first():
    writer = NdrWriter()
    write_values(writer, DEPTH_FIRST_VALUES)
    assert writer.getvalue() == DEPTH_FIRST
    assert read_values(NdrReader(DEPTH_FIRST), 4) == DEPTH_FIRST_VALUES


def word(value: int) -> bytes:
    return value.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        (word(0x3A000014) + word(0) + word(0x14) + word(0), "PROP_VAL_UNION"),  # a type that NSPI has not
        (word(0x3A000003) + word(0) + word(0x0A) + word(0), "PROP_VAL_UNION"),  # another type than the tag's
        (word(0x3A000003) + word(0) + word(0x10003) + word(0), "PROP_VAL_UNION"),
        (
            word(0x3A000102) + word(0) + word(0x102) + word(4) + word(0),
            "cValues",
        ),  # 4 bytes at a null pointer
        (word(0x3A000102) + word(0) + word(0x102) + word(MAX_BINARY + 1) + word(1), "cValues"),
        (word(0x3A001003) + word(0) + word(0x1003) + word(MAX_ELEMENTS + 1) + word(1), "cValues"),
        (word(0x3A000102) + word(0) + word(0x102) + word(1) + word(1) + word(2) + b"ab", "cValues"),
    ],
)
def test_values_that_contradict_themselves(wire: bytes, field: str):
    with pytest.raises(WireError) as caught:
        read_values(NdrReader(wire), 1)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        (word(1) + word(0) + word(1) + word(0), "cValues"),  # a value at a null pointer
        (word(1) + word(0) + word(MAX_ELEMENTS + 1) + word(1), "cValues"),
        (word(1) + word(0) + word(1) + word(1) + word(2), "lpProps"),
    ],
)
def test_rows_that_contradict_themselves(wire: bytes, field: str):
    with pytest.raises(WireError) as caught:
        read_row_pointer(NdrReader(wire))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        (word(1) + word(2) + word(1), "cRows"),
        (word(1) + word(MAX_ELEMENTS + 1) + word(MAX_ELEMENTS + 1), "cRows"),
    ],
)
def test_row_sets_that_contradict_themselves(wire: bytes, field: str):
    with pytest.raises(WireError) as caught:
        read_rows(NdrReader(wire))
    assert caught.value.field == field


def test_a_row_without_values_may_have_a_null_pointer():
    assert read_row_pointer(NdrReader(word(1) + word(0) + word(0) + word(0))) == ()
