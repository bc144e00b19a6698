"""Methods that move in a table or search it.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from typing import ClassVar, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS
from loadgen.wire.nspi.restriction import Restriction, read_restriction, write_restriction
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.values import (
    MAX_ELEMENTS,
    Row,
    expect_max_count,
    read_count,
    read_rows,
    read_tags,
    read_value,
    read_words,
    write_rows,
    write_tags,
    write_values,
    write_words,
)
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rpc import RequestStub, Stub


class NspiUpdateStatResponse(Stub, frozen=True, gc=False):
    """The position as it is now; ``delta`` says how many rows it really moved, if the request asked."""

    stat: Stat
    delta: int | None = None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(Stat.read(reader), _read_delta(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        self.stat.write(writer)
        _write_delta(writer, self.delta)
        writer.u32(self.return_value)


class NspiUpdateStatRequest(RequestStub[NspiUpdateStatResponse], frozen=True, gc=False):
    """Moves by ``stat.delta`` rows from where ``stat`` is; ``delta`` 0 asks how many it was (3.1.4.1.4)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 2

    handle: bytes
    stat: Stat
    delta: int | None = None
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        return cls(handle, Stat.read(reader), _read_delta(reader), reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        _write_delta(writer, self.delta)


def _read_delta(reader: NdrReader) -> int | None:
    return reader.i32("plDelta") if reader.pointer("plDelta") else None


def _write_delta(writer: NdrWriter, delta: int | None) -> None:
    writer.pointer(delta is not None)
    if delta is not None:
        writer.i32(delta)


class _RowsResponse(Stub, frozen=True):
    stat: Stat
    rows: tuple[Row, ...] | None = None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(Stat.read(reader), read_rows(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        self.stat.write(writer)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)


class NspiQueryRowsResponse(_RowsResponse, frozen=True):
    """The rows, and the position behind them."""


class NspiQueryRowsRequest(RequestStub[NspiQueryRowsResponse], frozen=True):
    """Reads up to ``count`` rows from where ``stat`` is, or those of ``explicit_table`` (3.1.4.1.8).

    ``explicit_table`` holds MIds; ``prop_tags`` None asks for DEFAULT_COLUMNS.
    """

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 3

    handle: bytes
    stat: Stat
    count: int
    prop_tags: tuple[int, ...] | None = None
    explicit_table: tuple[int, ...] | None = None
    flags: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        stat, explicit_table = Stat.read(reader), _read_explicit_table(reader)
        return cls(handle, stat, reader.u32("Count"), read_tags(reader, "pPropTags"), explicit_table, flags)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        self.stat.write(writer)
        _write_explicit_table(writer, self.explicit_table)
        writer.u32(self.count)
        write_tags(writer, self.prop_tags)


def _read_explicit_table(reader: NdrReader) -> tuple[int, ...] | None:
    count = read_count(reader, "dwETableCount", MAX_ELEMENTS)
    if not reader.pointer("lpETable"):
        if count:
            raise WireError("dwETableCount", reader.offset - 8, f"{count} MIds at a null pointer")
        return None
    expect_max_count(reader, "lpETable", count)
    return read_words(reader, count, "lpETable")


def _write_explicit_table(writer: NdrWriter, mids: tuple[int, ...] | None) -> None:
    writer.u32(len(mids or ()))
    writer.pointer(mids is not None)
    if mids is not None:
        writer.u32(len(mids))
        write_words(writer, mids)


class NspiSeekEntriesResponse(_RowsResponse, frozen=True):
    """The position found; rows, if the request named columns."""


class NspiSeekEntriesRequest(RequestStub[NspiSeekEntriesResponse], frozen=True):
    """Finds the first row, of the table or ``explicit_table``, that is not before ``target`` (3.1.4.1.9)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 4

    handle: bytes
    stat: Stat
    target: PropertyValue
    explicit_table: tuple[int, ...] | None = None
    prop_tags: tuple[int, ...] | None = None
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        stat, target = Stat.read(reader), read_value(reader)
        return cls(
            handle, stat, target, read_tags(reader, "lpETable"), read_tags(reader, "pPropTags"), reserved
        )

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_values(writer, (self.target,))
        write_tags(writer, self.explicit_table)
        write_tags(writer, self.prop_tags)


class NspiGetMatchesResponse(Stub, frozen=True):
    """The MIds of what was found, and their rows."""

    stat: Stat
    mids: tuple[int, ...] | None = None
    rows: tuple[Row, ...] | None = None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        stat, mids = Stat.read(reader), read_tags(reader, "ppOutMIds")
        return cls(stat, mids, read_rows(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        self.stat.write(writer)
        write_tags(writer, self.mids)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)


class PropertyName(msgspec.Struct, frozen=True, gc=False):
    """A named property ([MS-OXNSPI] 2.2.6)."""

    guid: bytes | None
    lid: int
    reserved: int = 0

    @classmethod
    def read(cls, reader: NdrReader) -> Self | None:
        """A pointer to it."""
        if not reader.pointer("lpPropName"):
            return None
        has_guid, reserved, lid = reader.pointer("lpguid"), reader.u32("ulReserved"), reader.i32("lID")
        return cls(reader.take(16, "lpguid") if has_guid else None, lid, reserved)

    @staticmethod
    def write(writer: NdrWriter, name: "PropertyName | None") -> None:
        """A pointer to it."""
        writer.pointer(name is not None)
        if name is None:
            return
        writer.pointer(name.guid is not None)
        writer.u32(name.reserved)
        writer.i32(name.lid)
        if name.guid is not None:
            writer.raw(name.guid)


class NspiGetMatchesRequest(RequestStub[NspiGetMatchesResponse], frozen=True):
    """Finds what ``filter`` describes; without one, what the object ``stat.current_rec`` is linked to.

    3.1.4.1.10. No more than ``requested`` are wanted: if there are more, none come.
    """

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 5

    handle: bytes
    stat: Stat
    filter: Restriction | None
    requested: int
    prop_tags: tuple[int, ...] | None = None
    prop_name: PropertyName | None = None
    reserved1: int = 0
    reserved: tuple[int, ...] | None = None
    reserved2: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved1 = reader.context_handle("hRpc"), reader.u32("Reserved1")
        stat, reserved, reserved2 = Stat.read(reader), read_tags(reader, "pReserved"), reader.u32("Reserved2")
        restriction = read_restriction(reader) if reader.pointer("Filter") else None
        prop_name, requested = PropertyName.read(reader), reader.u32("ulRequested")
        prop_tags = read_tags(reader, "pPropTags")
        return cls(handle, stat, restriction, requested, prop_tags, prop_name, reserved1, reserved, reserved2)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved1)
        self.stat.write(writer)
        write_tags(writer, self.reserved)
        writer.u32(self.reserved2)
        writer.pointer(self.filter is not None)
        if self.filter is not None:
            write_restriction(writer, self.filter)
        PropertyName.write(writer, self.prop_name)
        writer.u32(self.requested)
        write_tags(writer, self.prop_tags)
