"""Property values and rows, written out from the tables of [MS-OXCDATA] 2.8 and 2.11; vectors are in rop/."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import properties
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import (
    PidTagBody,
    PidTagMessageFlags,
    PidTagSubject,
    PropertyError,
    PropertyRow,
    PropertyValue,
    TypedPropertyValue,
    filetime_from_unix,
    property_id,
    property_type,
    read_value,
    unix_from_filetime,
    write_value,
)

GUID = bytes(range(16))
VALUES = [
    (properties.PtypNull, "", None),
    (properties.PtypInteger16, "feff", 0xFFFE),
    (properties.PtypInteger32, "01000080", 0x80000001),
    (properties.PtypFloating32, "0000c03f", 1.5),
    (properties.PtypFloating64, "000000000000f83f", 1.5),
    (properties.PtypCurrency, "1027000000000000", 10000),
    (properties.PtypFloatingTime, "000000000000f83f", 1.5),
    (properties.PtypErrorCode, "0f010480", 0x8004010F),
    (properties.PtypBoolean, "01", True),
    (properties.PtypObject, "", None),
    (properties.PtypInteger64, "0100000000000105", 0x0501000000000001),
    (properties.PtypString8, "e900", "é"),
    (properties.PtypString, "ac20 4100 0000", "€A"),
    (properties.PtypTime, "005c17ec8aa6c701", 0x01C7A68AEC175C00),
    (properties.PtypGuid, GUID.hex(), GUID),
    (properties.PtypServerId, "0200 abcd", b"\xab\xcd"),
    (properties.PtypBinary, "0300 010203", b"\1\2\3"),
    (properties.PtypMultipleInteger16, "01000000 0200", (2,)),
    (properties.PtypMultipleInteger32, "02000000 01000000 02000000", (1, 2)),
    (properties.PtypMultipleInteger64, "01000000 0100000000000000", (1,)),
    (properties.PtypMultipleString8, "02000000 4100 00", ("A", "")),
    (properties.PtypMultipleString, "01000000 41000000", ("A",)),
    (properties.PtypMultipleTime, "01000000 005c17ec8aa6c701", (0x01C7A68AEC175C00,)),
    (properties.PtypMultipleGuid, "01000000" + GUID.hex(), (GUID,)),
    (properties.PtypMultipleBinary, "02000000 0100 01 0000", (b"\1", b"")),
    (properties.PtypUnspecified, "1f00 41000000", TypedPropertyValue(0x001F, "A")),
]


def bytes_of(part):
    writer = Writer()
    part.write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(("kind", "data", "value"), VALUES)
def test_values_of_every_type(kind, data, value):
    wire = bytes.fromhex(data)
    reader = Reader(wire)
    assert read_value(reader, kind) == value
    reader.expect_end("value")
    writer = Writer()
    write_value(writer, kind, value)
    assert writer.getvalue() == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            read_value(Reader(wire[:size]), kind)


@pytest.mark.parametrize("kind", [0x00FD, 0x1001, 0x7777])
def test_a_type_without_values_is_refused(kind):
    with pytest.raises(WireError, match=f"0x{kind:04X}"):
        read_value(Reader(bytes(50)), kind)


def test_a_value_of_unspecified_type_says_what_it_is():
    with pytest.raises(WireError, match="unspecified"):
        read_value(Reader(bytes(0x7000)), properties.PtypUnspecified)


def test_a_tagged_value_starts_with_its_tag():
    wire = bytes.fromhex("1f003700 41000000")
    value = PropertyValue(PidTagSubject, "A")
    assert PropertyValue.read(Reader(wire)) == value
    assert bytes_of(value) == wire


COLUMNS = (PidTagSubject, PidTagMessageFlags)
ROWS = [
    ("00 41000000 07000000", COLUMNS, PropertyRow.of(COLUMNS, ("A", 7))),
    ("01 00 41000000 00 07000000", COLUMNS, PropertyRow(COLUMNS, ("A", 7), flagged=True)),
    ("01 0a 0e000780 01", COLUMNS, PropertyRow.of(COLUMNS, (PropertyError(0x8007000E), None))),
    ("00 1f00 41000000", (0x00370000,), PropertyRow.of((0x00370000,), (TypedPropertyValue(0x001F, "A"),))),
    (
        "01 1f00 00 41000000 0a00 0a 0e000780 0100 01",
        (0x00370000, 0x10000000, 0x00010000),
        PropertyRow(
            (0x00370000, 0x10000000, 0x00010000),
            (TypedPropertyValue(0x001F, "A"), PropertyError(0x8007000E), None),
            flagged=True,
        ),
    ),
    ("00", (), PropertyRow.of((), ())),
]


@pytest.mark.parametrize(("data", "columns", "row"), ROWS)
def test_rows_of_both_forms(data, columns, row):
    wire = bytes.fromhex(data)
    reader = Reader(wire)
    assert PropertyRow.read(reader, columns) == row
    reader.expect_end("row")
    assert bytes_of(row) == wire
    for size in range(len(wire)):
        with pytest.raises(WireError):
            PropertyRow.read(Reader(wire[:size]), columns)


@pytest.mark.parametrize("data", ["02 41000000 07000000", "01 02 41000000 00 07000000"])
def test_flags_that_say_nothing_are_refused(data):
    with pytest.raises(WireError, match="Flag"):
        PropertyRow.read(Reader(bytes.fromhex(data)), COLUMNS)


def test_a_column_without_a_value_gives_the_default():
    row = PropertyRow.of((*COLUMNS, PidTagBody), ("A", PropertyError(0x8004010F), None))
    assert row.get(PidTagSubject) == "A"
    assert row.get(PidTagMessageFlags, 5) == 5
    assert row.get(PidTagBody, "-") == "-"
    assert row.get(0x10130102) is None


def test_a_tag_is_an_id_above_a_type():
    assert property_id(PidTagSubject) == 0x0037
    assert property_type(PidTagSubject) == properties.PtypString


def test_times_count_from_1601_in_100_ns():
    assert filetime_from_unix(0) == 116_444_736_000_000_000
    assert filetime_from_unix(1_180_949_400.5) == 128_254_230_005_000_000
    assert unix_from_filetime(filetime_from_unix(1_000_000_000.25)) == 1_000_000_000.25


def test_no_two_names_share_an_id_of_one_type():
    tags = [value for name, value in vars(properties).items() if name.startswith("PidTag")]
    assert len(tags) == len(set(tags))
    assert all(0 < tag <= 0xFFFFFFFF for tag in tags)


STRATEGIES = {
    properties.PtypInteger32: st.integers(0, 0xFFFFFFFF),
    properties.PtypBoolean: st.booleans(),
    properties.PtypString: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    properties.PtypString8: st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0")),
    properties.PtypFloating64: st.floats(allow_nan=False),
    properties.PtypBinary: st.binary(),
    properties.PtypMultipleBinary: st.lists(st.binary()).map(tuple),
}
CELLS = st.one_of(
    *(
        st.tuples(
            st.just(0x12340000 | kind),
            values | st.builds(PropertyError, st.integers(0, 0xFFFFFFFF)) | st.none(),
        )
        for kind, values in STRATEGIES.items()
    )
)


@given(st.lists(CELLS))
def test_any_row_comes_back(cells):
    row = PropertyRow.of([tag for tag, _ in cells], [value for _, value in cells])
    assert PropertyRow.read(Reader(bytes_of(row)), row.columns) == row
