"""Restrictions, written out from the tables of [MS-OXCDATA] 2.12; vectors are in rop/."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyValue
from loadgen.wire.restrictions import (
    EQUAL,
    GREATER,
    IGNORE_CASE,
    PREFIX,
    RestrictAnd,
    RestrictBitmask,
    RestrictComment,
    RestrictCompareProperties,
    RestrictContent,
    RestrictCount,
    RestrictExist,
    RestrictNot,
    RestrictOr,
    RestrictProperty,
    RestrictSize,
    RestrictSubObject,
    read_restriction,
)

EXIST = RestrictExist(0x0037001F)
VALUE = PropertyValue(0x00170003, 2)
RESTRICTIONS = [
    ("00 0000", RestrictAnd(())),
    ("00 0200 08 1f003700 08 1f003700", RestrictAnd((EXIST, EXIST))),
    ("01 0100 08 1f003700", RestrictOr((EXIST,))),
    ("02 08 1f003700", RestrictNot(EXIST)),
    (
        "03 0200 0100 1e003700 1e003700 4100",
        RestrictContent(PREFIX, IGNORE_CASE, 0x0037001E, PropertyValue(0x0037001E, "A")),
    ),
    ("04 04 03001700 03001700 02000000", RestrictProperty(EQUAL, 0x00170003, VALUE)),
    ("05 02 03001700 03002600", RestrictCompareProperties(GREATER, 0x00170003, 0x00260003)),
    ("06 01 0300070e 01000000", RestrictBitmask(1, 0x0E070003, 1)),
    ("07 02 1f000010 00100000", RestrictSize(GREATER, 0x1000001F, 0x1000)),
    ("08 1f003700", EXIST),
    ("09 0d00120e 08 1f003700", RestrictSubObject(0x0E12000D, EXIST)),
    ("0a 01 03001700 02000000 01 08 1f003700", RestrictComment((VALUE,), EXIST)),
    ("0a 00 00", RestrictComment((), None)),
    ("0b 05000000 08 1f003700", RestrictCount(5, EXIST)),
]


def bytes_of(restriction):
    writer = Writer()
    restriction.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(("data", "restriction"), RESTRICTIONS, ids=lambda value: type(value).__name__)
def test_restrictions_of_every_type(data, restriction):
    wire = bytes.fromhex(data)
    reader = Reader(wire)
    assert read_restriction(reader) == restriction
    reader.expect_end("restriction")
    assert bytes_of(restriction) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            read_restriction(Reader(wire[:size]))


def test_an_unknown_type_is_refused():
    with pytest.raises(WireError, match="0x0C"):
        read_restriction(Reader(b"\x0c" + bytes(20)))


def test_bottomless_nesting_is_refused():
    assert read_restriction(Reader(b"\2" * 64 + bytes_of(EXIST)))
    with pytest.raises(WireError, match="depth 65"):
        read_restriction(Reader(b"\2" * 0x7000))


LEAVES = st.builds(RestrictExist, st.integers(0, 0xFFFFFFFF)) | st.builds(
    RestrictBitmask, st.integers(0, 1), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF)
)
TREES = st.recursive(
    LEAVES,
    lambda children: (
        st.builds(RestrictAnd, st.lists(children, max_size=4).map(tuple))
        | st.builds(RestrictOr, st.lists(children, max_size=4).map(tuple))
        | st.builds(RestrictNot, children)
        | st.builds(RestrictCount, st.integers(0, 9), children)
        | st.builds(RestrictComment, st.just((VALUE,)), st.none() | children)
    ),
    max_leaves=20,
)


@given(TREES)
def test_any_tree_comes_back(restriction):
    assert read_restriction(Reader(bytes_of(restriction))) == restriction
