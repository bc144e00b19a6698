"""Property values, rows and arrays in their NDR form ([MS-OXNSPI] 2.2.2, 2.2.3, 2.2.4, 2.2.7).

Tags and Python values are those of :mod:`loadgen.wire.properties`. A string, binary, GUID or multiple value
may also be ``None``: the pointer to it is null.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from struct import Struct
from typing import Final, TypeAlias

import msgspec

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

_VALUE = Struct("<I4xI")  # ulPropTag, ulReserved, the union's tag; its arm follows
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


ReadElement: TypeAlias = Callable[[NdrReader, str], Value]
"""Reads a referent, given the field's name for errors."""
WriteElement: TypeAlias = Callable[[NdrWriter, Value], None]


def read_pointed(reader: NdrReader, count: int, read: ReadElement, field: str) -> tuple[Value, ...]:
    """``count`` pointers, then what those of them that are not null point to."""
    referents = read_words(reader, count, field)
    return tuple([read(reader, field) if referent else None for referent in referents])


def write_pointed(writer: NdrWriter, elements: Sequence[Value], write: WriteElement) -> None:
    """Pointers to all elements that are not None, then those elements."""
    for element in elements:
        writer.pointer(element is not None)
    for element in elements:
        if element is not None:
            write(writer, element)


ReadArm: TypeAlias = Callable[[NdrReader, Sequence[int], int], Value]
"""Reads what hangs on a value, given all words that stood in place and the index of its own first one."""


class _Arm(msgspec.Struct, frozen=True):
    """How a type stands in PROP_VAL_UNION: as ``size`` words in place, and behind them what they point to."""

    size: int
    read: ReadArm
    words: Callable[[NdrWriter, Value], tuple[int, ...]]
    write: WriteElement | None = None


def _pointed(read: ReadElement, write: WriteElement, field: str) -> _Arm:
    return _Arm(
        1,
        lambda reader, words, at: read(reader, field) if words[at] else None,
        lambda writer, value: (0 if value is None else writer.next_referent(),),
        write,
    )


def _counted(
    read: Callable[[NdrReader, int, str], Value], write: WriteElement, field: str, limit: int = MAX_ELEMENTS
) -> _Arm:
    def read_referent(reader: NdrReader, words: Sequence[int], at: int) -> Value:
        count = words[at]
        if not words[at + 1]:
            if count:
                raise WireError("cValues", reader.offset, f"{count} elements at a null pointer")
            return None
        if count > limit:
            raise WireError("cValues", reader.offset, f"{count} elements are more than {limit}")
        if reader.u32("cValues") != count:
            raise WireError("cValues", reader.offset - 4, f"max_count is not {count}")
        return read(reader, count, field)

    def words(writer: NdrWriter, value: Value) -> tuple[int, int]:
        return (0, 0) if value is None else (len(value), writer.next_referent())

    def write_referent(writer: NdrWriter, value: Value) -> None:
        writer.u32(len(value))
        write(writer, value)

    return _Arm(2, read_referent, words, write_referent)


def _counted_numbers(code: str, field: str) -> _Arm:
    return _counted(
        lambda reader, count, field: reader.unpack(Struct(f"<{count}{code}"), field),
        lambda writer, value: writer.pack(Struct(f"<{len(value)}{code}"), *value),
        field,
    )


def _counted_pointers(read: ReadElement, write: WriteElement, field: str) -> _Arm:
    return _counted(
        lambda reader, count, field: read_pointed(reader, count, read, field),
        lambda writer, value: write_pointed(writer, value, write),
        field,
    )


def _read_guid(reader: NdrReader, field: str) -> bytes:
    reader.align(4)
    return reader.take(16, field)


def _write_guid(writer: NdrWriter, guid: bytes) -> None:
    writer.align(4)
    writer.raw(guid)


def _read_binaries(reader: NdrReader, count: int, field: str) -> tuple[Value, ...]:
    words = read_words(reader, 2 * count, field)
    return tuple([_BINARY.read(reader, words, at) for at in range(0, 2 * count, 2)])


def _write_binaries(writer: NdrWriter, values: Sequence[bytes | None]) -> None:
    for value in values:
        write_words(writer, _BINARY.words(writer, value))
    for value in values:
        if value is not None:
            writer.conformant_bytes(value)


_NOTHING = _Arm(1, lambda *_: None, lambda *_: (0,))
_INTEGER = _Arm(1, lambda _reader, words, at: words[at], lambda _writer, value: (value,))
_BINARY = _counted(NdrReader.take, NdrWriter.raw, "lpb", MAX_BINARY)
_BINARIES = _counted(_read_binaries, _write_binaries, "lpbin")
_ARMS = {
    PtypUnspecified: _NOTHING,
    PtypNull: _NOTHING,
    PtypObject: _NOTHING,
    PtypInteger16: _Arm(1, lambda _reader, words, at: words[at] & 0xFFFF, lambda _writer, value: (value,)),
    PtypInteger32: _INTEGER,
    PtypErrorCode: _INTEGER,
    PtypBoolean: _Arm(1, lambda _reader, words, at: words[at] & 0xFFFF != 0, lambda _writer, value: (value,)),
    PtypTime: _Arm(
        2,
        lambda _reader, words, at: words[at] | words[at + 1] << 32,
        lambda _writer, value: (value & 0xFFFFFFFF, value >> 32),
    ),
    PtypString8: _pointed(NdrReader.string, NdrWriter.string, "lpszA"),
    PtypString: _pointed(NdrReader.wide_string, NdrWriter.wide_string, "lpszW"),
    PtypGuid: _pointed(_read_guid, _write_guid, "lpguid"),
    PtypBinary: _BINARY,
    PtypMultipleInteger16: _counted_numbers("H", "lpi"),
    PtypMultipleInteger32: _counted_numbers("I", "lpl"),
    PtypMultipleTime: _counted_numbers("Q", "lpft"),
    PtypMultipleString8: _counted_pointers(NdrReader.string, NdrWriter.string, "lpppszA"),
    PtypMultipleString: _counted_pointers(NdrReader.wide_string, NdrWriter.wide_string, "lpppszW"),
    PtypMultipleGuid: _counted_pointers(_read_guid, _write_guid, "lpguid"),
    PtypMultipleBinary: _BINARIES,
}


class _Shape(msgspec.Struct, frozen=True):
    """How values of certain tags stand side by side, so that their words are read and written at once."""

    arms: tuple[_Arm, ...]
    words: Struct
    """Of each value its tag, the union's tag and the words of its arm."""
    tags: tuple[int, ...]
    """What the first two of those must be."""
    tags_of: Callable[[Sequence[int]], tuple[int, ...]]
    """Picks them out of all words."""
    readers: tuple[tuple[int, ReadArm, int], ...]
    """Of each value its tag, what reads it, and the index of its arm's first word."""


@lru_cache(maxsize=256)
def _shape(tags: tuple[int, ...]) -> _Shape:
    arms = tuple([_ARMS[tag & 0xFFFF] for tag in tags])
    ends = tuple(accumulate((2 + arm.size for arm in arms), initial=0))
    places = [place for start in ends[:-1] for place in (start, start + 1)]
    return _Shape(
        arms,
        Struct("<" + "".join("I4xI" + arm.size * "I" for arm in arms)),
        tuple([union_tag for tag in tags for union_tag in (tag, tag & 0xFFFF)]),
        itemgetter(*places) if places else tuple,
        tuple([(tag, arm.read, start + 2) for tag, arm, start in zip(tags, arms, ends, strict=False)]),
    )


_NO_VALUES = _shape(())


def _shape_at(reader: NdrReader, count: int) -> _Shape:
    tags: list[int] = []
    at = reader.offset
    for _ in range(count):
        if at + _VALUE.size > reader.end:
            raise WireError("PropertyValue_r", at, f"{count} values, room for {len(tags)}")
        tag, union_tag = _VALUE.unpack_from(reader.data, at)
        arm = _ARMS.get(union_tag)
        if arm is None or union_tag != tag & 0xFFFF:
            raise WireError("PROP_VAL_UNION", at + 8, f"0x{union_tag:08X} in a value of 0x{tag:08X}")
        tags.append(tag)
        at += _VALUE.size + 4 * arm.size
    if at > reader.end:
        raise WireError("PROP_VAL_UNION", reader.end, f"the values end at {at}")
    return _shape(tuple(tags))


def _read_values(reader: NdrReader, count: int, shape: _Shape) -> tuple[Row, _Shape]:
    # The rows of a table nearly all have one shape: that of the row before is tried first.
    start = reader.offset
    fits = len(shape.arms) == count and shape.words.size <= reader.end - start
    words = shape.words.unpack_from(reader.data, start) if fits else ()
    if not fits or shape.tags_of(words) != shape.tags:
        shape = _shape_at(reader, count)
        words = shape.words.unpack_from(reader.data, start)
    reader.offset = start + shape.words.size
    return tuple([PropertyValue(tag, read(reader, words, at)) for tag, read, at in shape.readers]), shape


def read_values(reader: NdrReader, count: int) -> Row:
    """``count`` PropertyValue_r, then what hangs on them ([MS-OXNSPI] 2.2.2); raises :class:`WireError`."""
    reader.align(4)
    return _read_values(reader, count, _NO_VALUES)[0]


def write_values(writer: NdrWriter, values: Row) -> None:
    """PropertyValue_r side by side, then what hangs on them."""
    shape = _shape(tuple([value.tag for value in values]))
    words: list[int] = []
    for value, arm in zip(values, shape.arms, strict=True):
        words += (value.tag, value.tag & 0xFFFF, *arm.words(writer, value.value))
    writer.align(4)
    writer.pack(shape.words, *words)
    for value, arm in zip(values, shape.arms, strict=True):
        if arm.write is not None and value.value is not None:
            arm.write(writer, value.value)


def read_value(reader: NdrReader) -> PropertyValue:
    """One PropertyValue_r and what hangs on it; raises :class:`WireError`."""
    return read_values(reader, 1)[0]


def _read_row(reader: NdrReader, count: int, referent: int, shape: _Shape) -> tuple[Row, _Shape]:
    if count > MAX_ELEMENTS or (count and not referent):
        raise WireError("cValues", reader.offset, f"{count} values, pointer {referent:#x}")
    if not referent:
        return (), shape
    if reader.u32("lpProps") != count:
        raise WireError("lpProps", reader.offset - 4, f"max_count is not {count}")
    return _read_values(reader, count, shape)


def _write_row_head(writer: NdrWriter, row: Row) -> None:
    writer.pack(_ROW, 0, len(row), writer.next_referent())


def _write_row(writer: NdrWriter, row: Row) -> None:
    writer.u32(len(row))
    write_values(writer, row)


def read_row(reader: NdrReader) -> Row:
    """PropertyRow_r ([MS-OXNSPI] 2.2.3); raises :class:`WireError`."""
    reader.align(4)
    _, count, referent = reader.unpack(_ROW, "PropertyRow_r")
    return _read_row(reader, count, referent, _NO_VALUES)[0]


def write_row(writer: NdrWriter, row: Row) -> None:
    """PropertyRow_r."""
    writer.align(4)
    _write_row_head(writer, row)
    _write_row(writer, row)


def read_row_pointer(reader: NdrReader) -> Row | None:
    """A pointer to PropertyRow_r; raises :class:`WireError`."""
    return read_row(reader) if reader.pointer("PropertyRow_r") else None


def write_row_pointer(writer: NdrWriter, row: Row | None) -> None:
    """A pointer to PropertyRow_r."""
    writer.pointer(row is not None)
    if row is not None:
        write_row(writer, row)


def read_rows(reader: NdrReader) -> tuple[Row, ...] | None:
    """A pointer to PropertyRowSet_r ([MS-OXNSPI] 2.2.4); raises :class:`WireError`."""
    if not reader.pointer("ppRows"):
        return None
    count = read_count(reader, "cRows")
    expect_max_count(reader, "cRows", count)
    heads = read_words(reader, 3 * count, "aRow")
    rows, shape = [], _NO_VALUES
    for at in range(1, 3 * count, 3):
        row, shape = _read_row(reader, heads[at], heads[at + 1], shape)
        rows.append(row)
    return tuple(rows)


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


def read_tag_array(reader: NdrReader, field: str) -> tuple[int, ...]:
    """PropertyTagArray_r: tags or MIds ([MS-OXNSPI] 2.2.2); raises :class:`WireError`.

    ``max_count`` is one more than the number of elements, but any that is not less passes.
    """
    reader.align(4)
    maximum, count, offset, actual = reader.unpack(_TAG_ARRAY, field)
    if offset or count != actual or count > min(maximum, MAX_TAGS):
        raise WireError(
            field, reader.offset, f"max_count {maximum}, cValues {count}, offset {offset}, {actual}"
        )
    return read_words(reader, count, field)


def write_tag_array(writer: NdrWriter, tags: Sequence[int]) -> None:
    """PropertyTagArray_r."""
    writer.align(4)
    writer.pack(_TAG_ARRAY, len(tags) + 1, len(tags), 0, len(tags))
    write_words(writer, tags)


def read_tags(reader: NdrReader, field: str) -> tuple[int, ...] | None:
    """A pointer to PropertyTagArray_r; raises :class:`WireError`."""
    return read_tag_array(reader, field) if reader.pointer(field) else None


def write_tags(writer: NdrWriter, tags: Sequence[int] | None) -> None:
    """A pointer to PropertyTagArray_r."""
    writer.pointer(tags is not None)
    if tags is not None:
        write_tag_array(writer, tags)


def read_binary_array(reader: NdrReader) -> tuple[bytes | None, ...] | None:
    """BinaryArray_r ([MS-OXNSPI] 2.2.2.5); raises :class:`WireError`."""
    reader.align(4)
    words = read_words(reader, 2, "BinaryArray_r")
    binaries: tuple[bytes | None, ...] | None = _BINARIES.read(reader, words, 0)
    return binaries


def write_binary_array(writer: NdrWriter, binaries: Sequence[bytes | None] | None) -> None:
    """BinaryArray_r."""
    writer.align(4)
    write_words(writer, _BINARIES.words(writer, binaries))
    if binaries is not None:
        writer.u32(len(binaries))
        _write_binaries(writer, binaries)


def read_strings(reader: NdrReader, read: ReadElement) -> tuple[Value, ...]:
    """StringsArray_r or WStringsArray_r ([MS-OXNSPI] 2.2.7); raises :class:`WireError`."""
    maximum = reader.u32("Strings")
    count = read_count(reader, "Count")
    if maximum != count:
        raise WireError("Strings", reader.offset, f"max_count {maximum} for {count} strings")
    return read_pointed(reader, count, read, "Strings")


def write_strings(writer: NdrWriter, strings: Sequence[str | None], write: WriteElement) -> None:
    """StringsArray_r or WStringsArray_r."""
    writer.u32(len(strings))
    writer.u32(len(strings))
    write_pointed(writer, strings, write)
