"""How elements are written; what they look like is from the reference, section 6.2."""

import pytest

from loadgen.errors import LocalProtocolError
from loadgen.wire.fasttransfer.elements import (
    CODE_PAGE,
    Property,
    ValuePart,
    ValueStart,
    atoms,
    encode,
    value_form,
)
from loadgen.wire.fasttransfer.markers import IncrSyncChg, IncrSyncGroupInfo, MetaTagIdsetGiven
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.properties import PtypMultipleBinary, PtypMultipleInteger32, PtypMultipleString
from loadgen.wire.property_names import PropertyName, PSETID_Common

NUMBERED = PropertyName(PSETID_Common, lid=0x8552)
NAMED = PropertyName(PSETID_Common, name="Ab")

# The atoms of each element, with a bar between them; those in brackets may be cut.
LAYOUTS = [
    (IncrSyncChg, "03001240"),
    (IncrSyncGroupInfo, "02017b40"),
    (Property(0x0E080003, 0x578), "0300080e | 78050000"),
    (Property(0x67AA000B, True), "0b00aa67 | 0100"),
    (Property(0x67AA000B, False), "0b00aa67 | 0000"),
    (Property(0x00170002, 2), "02001700 | 0200"),
    (Property(0x674A0014, 0x2100_0000_0000_0001), "14004a67 | 0100000000000021"),
    (Property(0x0037001F, "Hi"), "1f003700 | 06000000 | [480069000000]"),
    (Property(0x0037001E, "Hi"), "1e003700 | 03000000 | [486900]"),
    (Property(0x00370000 | CODE_PAGE | 1200, "H"), "b0843700 | 04000000 | [48000000]"),
    (Property(0x00370000 | CODE_PAGE | 1252, "H"), "e4843700 | 02000000 | [4800]"),
    (Property(0x10130102, b"abc"), "02011310 | 03000000 | [616263]"),
    (Property(0x3701000D, b"abc"), "0d000137 | 03000000 | [616263]"),
    (Property(MetaTagIdsetGiven, b"abc"), "03001740 | 03000000 | [616263]"),
    (Property(0x80010003, 5, NUMBERED), f"03000180 {PSETID_Common.hex()} 00 52850000 | 05000000"),
    (Property(0x8002000B, True, NAMED), f"0b000280 {PSETID_Common.hex()} 01 410062000000 | 0100"),
    (Property(0x66000000 | PtypMultipleInteger32, (1, 2)), "03100066 | 02000000 | 01000000 | 02000000"),
    (Property(0x66000000 | PtypMultipleInteger32, ()), "03100066 | 00000000"),
    (
        Property(0x66000000 | PtypMultipleBinary, (b"a", b"")),
        "02110066 | 02000000 | 01000000 | [61] | 00000000 | []",
    ),
    (Property(0x66000000 | PtypMultipleString, ("a",)), "1f100066 | 01000000 | 04000000 | [61000000]"),
]


@pytest.mark.parametrize(("element", "layout"), LAYOUTS, ids=lambda value: repr(value)[:40])
def test_elements_are_atoms_and_may_be_cut_only_between_them_or_in_long_values(element, layout):
    expected = [
        (bytes.fromhex(part.strip().strip("[]")), part.strip().startswith("[")) for part in layout.split("|")
    ]
    assert atoms(element) == expected
    assert FastTransferParser().feed(encode([element])) == [element]


def test_a_large_value_is_written_in_parts():
    parts = [ValueStart(0x80020102, 5, NUMBERED), ValuePart(b"ab"), ValuePart(b"cde")]
    assert encode(parts) == encode([Property(0x80020102, b"abcde", NUMBERED)])
    assert [divisible for part in parts for _data, divisible in atoms(part)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        (Property(0x80010003, 5), "needs a name"),
        (Property(0x80010003, 5, PropertyName(PSETID_Common)), "needs a name"),
        (Property(0x00370001, None), "no stream carries"),
    ],
)
def test_what_cannot_be_written_is_a_mistake_of_ours(element, problem):
    with pytest.raises(LocalProtocolError, match=problem):
        atoms(element)


def test_types_without_a_form_are_known_as_such():
    assert value_form(0x00370000) is None
    assert value_form(0x0037100B) is None
