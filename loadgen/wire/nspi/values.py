"""Property values, rows and arrays in their NDR form ([MS-OXNSPI] 2.2.2, 2.2.3, 2.2.4, 2.2.7).

Tags and Python values are those of :mod:`loadgen.wire.properties`. A string, binary, GUID or multiple value
may also be ``None``: the pointer to it is null.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.properties import (
    PropertyValue,
    PtypBinary,
    PtypBoolean,
    PtypErrorCode,
    PtypGuid,
    PtypInteger16,
    PtypInteger32,
    PtypMultipleBinary,
    PtypMultipleGuid,
    PtypMultipleInteger16,
    PtypMultipleInteger32,
    PtypMultipleString,
    PtypMultipleString8,
    PtypMultipleTime,
    PtypNull,
    PtypObject,
    PtypString,
    PtypString8,
    PtypTime,
    PtypUnspecified,
    Value,
)

Row: TypeAlias = tuple[PropertyValue, ...]
"""PropertyRow_r: the values of one object, in the order of the tags asked for."""

MAX_ELEMENTS: Final = 100_000
"""The largest count that the interface definition lets through: rows, values, strings, MIds."""
MAX_TAGS: Final = 100_001
MAX_BINARY: Final = 2_097_152

_ONE_WORD = Struct("<IIII")  # ulPropTag, ulReserved, the union's tag and its arm
_TWO_WORDS = Struct("<IIIII")
_ROW = Struct("<III")
_TAG_ARRAY = Struct("<IIII")


def read_count(reader: NdrReader, field: str, limit: int = MAX_ELEMENTS) -> int:
    """A count that the interface definition limits; raises :class:`WireError`."""
    count = reader.u32(field)
    if count > limit:
        raise WireError(field, reader.offset - 4, f"{count} is more than {limit}")
    return count


def expect_max_count(reader: NdrReader, field: str, count: int) -> None:
    """The size of a conformant array, when another field has said it already; raises :class:`WireError`."""
    maximum = reader.u32(field)
    if maximum != count:
        raise WireError(field, reader.offset - 4, f"max_count {maximum} for {count} elements")


def read_words(reader: NdrReader, count: int, field: str) -> tuple[int, ...]:
    """``count`` unsigned 32-bit integers."""
    return reader.unpack(Struct(f"<{count}I"), field)


def write_words(writer: NdrWriter, words: Sequence[int]) -> None:
    """Unsigned 32-bit integers."""
    writer.pack(Struct(f"<{len(words)}I"), *words)


ReadElement: TypeAlias = Callable[[NdrReader], Value]
WriteElement: TypeAlias = Callable[[NdrWriter, Value], None]


def read_pointed(reader: NdrReader, count: int, read: ReadElement) -> tuple[Value, ...]:
    """``count`` pointers, then what those of them that are not null point to."""
    referents = read_words(reader, count, "pointers")
    return tuple([read(reader) if referent else None for referent in referents])


def write_pointed(writer: NdrWriter, elements: Sequence[Value], write: WriteElement) -> None:
    """Pointers to all elements that are not None, then those elements."""
    for element in elements:
        writer.pointer(element is not None)
    for element in elements:
        if element is not None:
            write(writer, element)


def read_wide_string(reader: NdrReader) -> str:
    """A referent of type ``wchar_t*``."""
    return reader.wide_string("lpszW")


def read_string(reader: NdrReader) -> str:
    """A referent of type ``char*``."""
    return reader.string("lpszA")


class _Arm(NamedTuple):
    """How a type stands in PROP_VAL_UNION: one or two words in place, and behind them what they point to."""

    layout: Struct
    read: Callable[[NdrReader, int, int], Value]
    words: Callable[[NdrWriter, Value], tuple[int, ...]]
    write: WriteElement | None = None


def _pointed(read: ReadElement, write: WriteElement) -> _Arm:
    return _Arm(
        _ONE_WORD,
        lambda reader, referent, _: read(reader) if referent else None,
        lambda writer, value: (0 if value is None else writer.next_referent(),),
        write,
    )


def _counted(read: Callable[[NdrReader, int], Value], write: WriteElement, limit: int = MAX_ELEMENTS) -> _Arm:
    def read_referent(reader: NdrReader, count: int, referent: int) -> Value:
        if count > limit or (count and not referent):
            raise WireError(
                "cValues", reader.offset, f"{count} elements, pointer {referent:#x}, limit {limit}"
            )
        if not referent:
            return None
        expect_max_count(reader, "cValues", count)
        return read(reader, count)

    def words(writer: NdrWriter, value: Value) -> tuple[int, int]:
        return (0, 0) if value is None else (len(value), writer.next_referent())

    def write_referent(writer: NdrWriter, value: Value) -> None:
        writer.u32(len(value))
        write(writer, value)

    return _Arm(_TWO_WORDS, read_referent, words, write_referent)


def _counted_numbers(code: str) -> _Arm:
    return _counted(
        lambda reader, count: reader.unpack(Struct(f"<{count}{code}"), "values"),
        lambda writer, value: writer.pack(Struct(f"<{len(value)}{code}"), *value),
    )


def _counted_pointers(read: ReadElement, write: WriteElement) -> _Arm:
    return _counted(
        lambda reader, count: read_pointed(reader, count, read),
        lambda writer, value: write_pointed(writer, value, write),
    )


def _read_guid(reader: NdrReader) -> bytes:
    reader.align(4)
    return reader.take(16, "lpguid")


def _write_guid(writer: NdrWriter, guid: bytes) -> None:
    writer.align(4)
    writer.raw(guid)


def _read_binaries(reader: NdrReader, count: int) -> tuple[Value, ...]:
    words = read_words(reader, 2 * count, "lpbin")
    return tuple([_BINARY.read(reader, words[at], words[at + 1]) for at in range(0, 2 * count, 2)])


def _write_binaries(writer: NdrWriter, values: Sequence[bytes | None]) -> None:
    for value in values:
        write_words(writer, _BINARY.words(writer, value))
    for value in values:
        if value is not None:
            writer.conformant_bytes(value)


_NOTHING = _Arm(_ONE_WORD, lambda *_: None, lambda *_: (0,))
_INTEGER = _Arm(_ONE_WORD, lambda _reader, word, _: word, lambda _writer, value: (value,))
_BINARY = _counted(lambda reader, count: reader.take(count, "lpb"), NdrWriter.raw, MAX_BINARY)
_ARMS = {
    PtypUnspecified: _NOTHING,
    PtypNull: _NOTHING,
    PtypObject: _NOTHING,
    PtypInteger16: _Arm(_ONE_WORD, lambda _reader, word, _: word & 0xFFFF, lambda _writer, value: (value,)),
    PtypInteger32: _INTEGER,
    PtypErrorCode: _INTEGER,
    PtypBoolean: _Arm(
        _ONE_WORD, lambda _reader, word, _: word & 0xFFFF != 0, lambda _writer, value: (value,)
    ),
    PtypTime: _Arm(
        _TWO_WORDS,
        lambda _reader, low, high: low | high << 32,
        lambda _writer, value: (value & 0xFFFFFFFF, value >> 32),
    ),
    PtypString8: _pointed(read_string, NdrWriter.string),
    PtypString: _pointed(read_wide_string, NdrWriter.wide_string),
    PtypGuid: _pointed(_read_guid, _write_guid),
    PtypBinary: _BINARY,
    PtypMultipleInteger16: _counted_numbers("H"),
    PtypMultipleInteger32: _counted_numbers("I"),
    PtypMultipleTime: _counted_numbers("Q"),
    PtypMultipleString8: _counted_pointers(read_string, NdrWriter.string),
    PtypMultipleString: _counted_pointers(read_wide_string, NdrWriter.wide_string),
    PtypMultipleGuid: _counted_pointers(_read_guid, _write_guid),
    PtypMultipleBinary: _counted(_read_binaries, _write_binaries),
}


def _read_in_place(reader: NdrReader) -> tuple[int, _Arm, int, int]:
    tag, _, union_tag, first = reader.unpack(_ONE_WORD, "PropertyValue_r")
    arm = _ARMS.get(union_tag)
    if arm is None or union_tag != tag & 0xFFFF:
        raise WireError("PROP_VAL_UNION", reader.offset - 8, f"0x{union_tag:08X} in a value of 0x{tag:08X}")
    return tag, arm, first, reader.u32("PROP_VAL_UNION") if arm.layout is _TWO_WORDS else 0


def read_values(reader: NdrReader, count: int) -> Row:
    """``count`` PropertyValue_r, then what hangs on them ([MS-OXNSPI] 2.2.2); raises :class:`WireError`."""
    reader.align(4)
    in_place = [_read_in_place(reader) for _ in range(count)]
    return tuple(
        [PropertyValue(tag, arm.read(reader, first, second)) for tag, arm, first, second in in_place]
    )


def write_values(writer: NdrWriter, values: Row) -> None:
    """PropertyValue_r side by side, then what hangs on them."""
    writer.align(4)
    for value in values:
        union_tag = value.tag & 0xFFFF
        arm = _ARMS[union_tag]
        writer.pack(arm.layout, value.tag, 0, union_tag, *arm.words(writer, value.value))
    for value in values:
        write = _ARMS[value.tag & 0xFFFF].write
        if write is not None and value.value is not None:
            write(writer, value.value)


def read_value(reader: NdrReader) -> PropertyValue:
    """One PropertyValue_r and what hangs on it; raises :class:`WireError`."""
    return read_values(reader, 1)[0]


def _read_row(reader: NdrReader, count: int, referent: int) -> Row:
    if count > MAX_ELEMENTS or (count and not referent):
        raise WireError("cValues", reader.offset, f"{count} values, pointer {referent:#x}")
    if not referent:
        return ()
    expect_max_count(reader, "lpProps", count)
    return read_values(reader, count)


def _write_row_head(writer: NdrWriter, row: Row) -> None:
    writer.pack(_ROW, 0, len(row), writer.next_referent())


def _write_row(writer: NdrWriter, row: Row) -> None:
    writer.u32(len(row))
    write_values(writer, row)


def read_row(reader: NdrReader) -> Row | None:
    """A pointer to PropertyRow_r ([MS-OXNSPI] 2.2.3); raises :class:`WireError`."""
    if not reader.pointer("ppRows"):
        return None
    _, count, referent = reader.unpack(_ROW, "PropertyRow_r")
    return _read_row(reader, count, referent)


def write_row(writer: NdrWriter, row: Row | None) -> None:
    """A pointer to PropertyRow_r."""
    writer.pointer(row is not None)
    if row is not None:
        _write_row_head(writer, row)
        _write_row(writer, row)


def read_rows(reader: NdrReader) -> tuple[Row, ...] | None:
    """A pointer to PropertyRowSet_r ([MS-OXNSPI] 2.2.4); raises :class:`WireError`."""
    if not reader.pointer("ppRows"):
        return None
    count = read_count(reader, "cRows")
    expect_max_count(reader, "cRows", count)
    heads = read_words(reader, 3 * count, "aRow")
    return tuple([_read_row(reader, heads[at + 1], heads[at + 2]) for at in range(0, 3 * count, 3)])


def write_rows(writer: NdrWriter, rows: Sequence[Row] | None) -> None:
    """A pointer to PropertyRowSet_r."""
    writer.pointer(rows is not None)
    if rows is None:
        return
    writer.u32(len(rows))
    writer.u32(len(rows))
    for row in rows:
        _write_row_head(writer, row)
    for row in rows:
        _write_row(writer, row)


def read_tags(reader: NdrReader, field: str) -> tuple[int, ...] | None:
    """A pointer to PropertyTagArray_r: tags or MIds ([MS-OXNSPI] 2.2.2); raises :class:`WireError`.

    ``max_count`` is one more than the number of elements, but any that is not less passes.
    """
    if not reader.pointer(field):
        return None
    maximum, count, offset, actual = reader.unpack(_TAG_ARRAY, field)
    if offset or count != actual or count > min(maximum, MAX_TAGS):
        raise WireError(
            field, reader.offset, f"max_count {maximum}, cValues {count}, offset {offset}, {actual}"
        )
    return read_words(reader, count, field)


def write_tags(writer: NdrWriter, tags: Sequence[int] | None) -> None:
    """A pointer to PropertyTagArray_r."""
    writer.pointer(tags is not None)
    if tags is not None:
        writer.pack(_TAG_ARRAY, len(tags) + 1, len(tags), 0, len(tags))
        write_words(writer, tags)


def read_strings(reader: NdrReader, read: ReadElement) -> tuple[Value, ...]:
    """StringsArray_r or WStringsArray_r ([MS-OXNSPI] 2.2.7); raises :class:`WireError`."""
    maximum = reader.u32("Strings")
    count = read_count(reader, "Count")
    if maximum != count:
        raise WireError("Strings", reader.offset, f"max_count {maximum} for {count} strings")
    return read_pointed(reader, count, read)


def write_strings(writer: NdrWriter, strings: Sequence[str | None], write: WriteElement) -> None:
    """StringsArray_r or WStringsArray_r."""
    writer.u32(len(strings))
    writer.u32(len(strings))
    write_pointed(writer, strings, write)
