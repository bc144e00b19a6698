"""Restrictions in their NDR form, against bytes laid out by hand and against impacket's NDR."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket.dcerpc.v5 import nspi

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.restriction import (
    MAX_DEPTH,
    AndRestriction,
    BitMaskRestriction,
    ComparePropsRestriction,
    ContentRestriction,
    ExistRestriction,
    NotRestriction,
    OrRestriction,
    PropertyRestriction,
    Restriction,
    SizeRestriction,
    SubRestriction,
    read_restriction,
    write_restriction,
)
from loadgen.wire.properties import PropertyValue
from loadgen.wire.restrictions import EQUAL, IGNORE_CASE, PREFIX

NAME = 0x3001001F
TYPE = 0x39000003

# AND(NOT(EXIST(name)), CONTENT(prefix, name, "Bo"), PROPERTY(type == 0)), laid out by [MS-OXNSPI] 2.2.5.
NESTED = bytes.fromhex(
    "00000000 00000000 03000000 00000200"  # AND of three
    "03000000"  # max_count of lpRes
    "02000000 02000000 04000200"  # NOT
    "03000000 03000000 02000100 1f000130 08000200"  # CONTENT, prefix, ignoring case
    "04000000 04000000 04000000 03000039 0c000200"  # PROPERTY, equal
    "08000000 08000000 00000000 1f000130 00000000"  # what NOT points to: EXIST
    "1f000130 00000000 1f000000 10000200"  # what CONTENT points to
    "03000000 00000000 03000000 42006f000000 0000"
    "03000039 00000000 03000000 00000000"  # what PROPERTY points to
)
NESTED_VALUE = AndRestriction(
    (
        NotRestriction(ExistRestriction(0, NAME, 0)),
        ContentRestriction(PREFIX | IGNORE_CASE << 16, NAME, PropertyValue(NAME, "Bo")),
        PropertyRestriction(EQUAL, TYPE, PropertyValue(TYPE, 0)),
    )
)


def encode(restriction: Restriction) -> bytes:
    writer = NdrWriter()
    write_restriction(writer, restriction)
    return writer.getvalue()


def decode(wire: bytes) -> Restriction:
    reader = NdrReader(wire)
    restriction = read_restriction(reader)
    reader.expect_end("restriction")
    return restriction


def test_nested_restrictions_both_ways():
    assert decode(NESTED) == NESTED_VALUE
    assert encode(NESTED_VALUE) == NESTED


def test_truncated_restrictions_are_wire_errors():
    for size in range(len(NESTED)):
        with pytest.raises(WireError):
            decode(NESTED[:size])


u32 = st.integers(0, 0xFFFFFFFF)
values = st.builds(PropertyValue, st.just(TYPE), u32) | st.builds(
    PropertyValue, st.just(NAME), st.text("abc", max_size=5)
)
leaves = (
    st.builds(ContentRestriction, u32, u32, values)
    | st.builds(PropertyRestriction, u32, u32, values)
    | st.builds(ComparePropsRestriction, u32, u32, u32)
    | st.builds(BitMaskRestriction, u32, u32, u32)
    | st.builds(SizeRestriction, u32, u32, u32)
    | st.builds(ExistRestriction, u32, u32, u32)
)
restrictions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(AndRestriction, st.lists(inner, max_size=3).map(tuple))
        | st.builds(OrRestriction, st.lists(inner, max_size=3).map(tuple))
        | st.builds(NotRestriction, inner)
        | st.builds(SubRestriction, u32, inner)
    ),
    max_leaves=8,
)


@given(restrictions)
def test_round_trip(restriction):
    assert decode(encode(restriction)) == restriction


def word(value: int) -> bytes:
    return value.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (word(10) + word(10) + bytes(12), "restriction 0xa"),
        (word(4) + word(3) + bytes(12), "arm of 0x3"),
        (word(2) + word(2) + word(0), "null pointer"),
        (word(4) + word(4) + word(EQUAL) + word(NAME) + word(0), "null pointer"),
        (word(0) + word(0) + word(2) + word(1) + word(1), "max_count 1 for 2"),
    ],
)
def test_restrictions_that_contradict_themselves(wire: bytes, problem: str):
    with pytest.raises(WireError, match=problem):
        decode(wire)


def nested_in_not(depth: int) -> Restriction:
    restriction: Restriction = ExistRestriction(0, NAME, 0)
    for _ in range(depth - 1):
        restriction = NotRestriction(restriction)
    return restriction


def test_depth_is_limited():
    assert decode(encode(nested_in_not(MAX_DEPTH))) == nested_in_not(MAX_DEPTH)
    with pytest.raises(WireError, match="deep"):
        decode(encode(nested_in_not(MAX_DEPTH + 1)))


def impacket_restriction(restriction: Any, value: Restriction) -> None:
    """Fills in impacket's Restriction_r with what ``value`` says."""
    names = {
        AndRestriction: (0, "resAnd"),
        OrRestriction: (1, "resOr"),
        ContentRestriction: (3, "resContent"),
        PropertyRestriction: (4, "resProperty"),
        ExistRestriction: (8, "resExist"),
    }
    code, arm = names[type(value)]
    restriction["rt"] = code
    restriction["res"]["tag"] = code
    if isinstance(value, AndRestriction | OrRestriction):
        restriction["res"][arm]["cRes"] = len(value.restrictions)
        for inner in value.restrictions:
            element = nspi.Restriction_r()
            impacket_restriction(element, inner)
            restriction["res"][arm]["lpRes"].append(element)
        return
    restriction["res"][arm]["ulPropTag"] = value.tag
    if isinstance(value, ExistRestriction):
        return
    first, word_ = (
        ("ulFuzzyLevel", value.fuzzy_level)
        if isinstance(value, ContentRestriction)
        else ("relop", value.relop)
    )
    restriction["res"][arm][first] = word_
    property_value = restriction["res"][arm]["lpProp"]
    property_value["ulPropTag"] = value.value.tag
    property_value["Value"]["tag"] = value.value.tag & 0xFFFF
    property_value["Value"]["lpszW"] = value.value.value + "\0"


@pytest.mark.judge
@pytest.mark.parametrize(
    "value",
    [
        ExistRestriction(0, NAME, 0),
        PropertyRestriction(EQUAL, NAME, PropertyValue(NAME, "user00001")),
        OrRestriction(
            (
                ContentRestriction(PREFIX, NAME, PropertyValue(NAME, "Al")),
                AndRestriction(
                    (
                        PropertyRestriction(EQUAL, NAME, PropertyValue(NAME, "Bob")),
                        ExistRestriction(0, TYPE, 0),
                    )
                ),
                ContentRestriction(PREFIX, NAME, PropertyValue(NAME, "Bo")),
            )
        ),
    ],
)
def test_impacket_lays_out_the_same_restriction(value: Restriction):
    foreign = nspi.Restriction_r()
    impacket_restriction(foreign, value)
    wire = foreign.getData()
    wire += foreign.getDataReferents(len(wire)) or b""
    assert decode(wire) == value
