"""PropertyName, written out from the table of [MS-OXCDATA] 2.6.1; vectors are in rop/."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.property_names import PS_PUBLIC_STRINGS, PropertyName, PSETID_Common

COMMON = "0820060000000000c000000000000046"
PUBLIC_STRINGS = "2903020000000000c000000000000046"


def bytes_of(name):
    writer = Writer()
    name.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("00" + COMMON + "03850000", PropertyName(PSETID_Common, lid=0x8503)),
        ("00" + COMMON + "00000000", PropertyName(PSETID_Common, lid=0)),
        ("01" + PUBLIC_STRINGS + "04 41000000", PropertyName(PS_PUBLIC_STRINGS, name="A")),
        ("01" + PUBLIC_STRINGS + "02 0000", PropertyName(PS_PUBLIC_STRINGS, name="")),
        ("ff" + COMMON, PropertyName(PSETID_Common)),
    ],
)
def test_names_of_every_kind(data, name):
    wire = bytes.fromhex(data)
    reader = Reader(wire)
    assert PropertyName.read(reader) == name
    reader.expect_end("name")
    assert bytes_of(name) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            PropertyName.read(Reader(wire[:size]))


@pytest.mark.parametrize("data", ["02" + COMMON + "00000000", "01" + COMMON + "06 4100 0000 0000"])
def test_names_that_do_not_add_up_are_refused(data):
    with pytest.raises(WireError):
        PropertyName.read(Reader(bytes.fromhex(data)))


TEXT = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=100
)


@given(st.binary(min_size=16, max_size=16), st.none() | st.integers(0, 0xFFFFFFFF), st.none() | TEXT)
def test_any_name_comes_back(guid, lid, text):
    name = PropertyName(guid, lid=lid, name=text if lid is None else None)
    assert PropertyName.read(Reader(bytes_of(name))) == name
