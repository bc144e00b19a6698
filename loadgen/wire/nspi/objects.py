"""Methods that find objects by name and read their properties, and those that list tables and columns.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from typing import ClassVar, Self

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS, UNICODE_PROPERTY_TYPES, UNICODE_STRINGS
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.values import (
    ReadElement,
    Row,
    WriteElement,
    read_row_pointer,
    read_rows,
    read_strings,
    read_tags,
    write_row_pointer,
    write_rows,
    write_strings,
    write_tags,
)
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import RequestStub, Stub


class NspiDNToMIdResponse(Stub, frozen=True, gc=False):
    """One MId for each name, 0 where there is no such object."""

    mids: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_tags(reader, "ppMIds"), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_tags(writer, self.mids)
        writer.u32(self.return_value)


class NspiDNToMIdRequest(RequestStub[NspiDNToMIdResponse], frozen=True, gc=False):
    """Which objects have these distinguished names? (3.1.4.1.13)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 7

    handle: bytes
    names: tuple[str | None, ...]
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        return cls(handle, read_strings(reader, NdrReader.string), reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        write_strings(writer, self.names, NdrWriter.string)


class NspiGetPropsResponse(Stub, frozen=True):
    """The values in the order of the tags; ERRORS_RETURNED if some of them are errors."""

    row: Row | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_row_pointer(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_row_pointer(writer, self.row)
        writer.u32(self.return_value)


class NspiGetPropsRequest(RequestStub[NspiGetPropsResponse], frozen=True, gc=False):
    """Reads the object ``stat.current_rec``; ``prop_tags`` None asks for all it has (3.1.4.1.7)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 9

    handle: bytes
    stat: Stat
    prop_tags: tuple[int, ...] | None = None
    flags: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        return cls(handle, Stat.read(reader), read_tags(reader, "pPropTags"), flags)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)


class NspiGetSpecialTableResponse(Stub, frozen=True):
    """The rows of the hierarchy or of the address creation templates, and the version they have."""

    version: int
    rows: tuple[Row, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32("lpVersion"), read_rows(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.version)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)


class NspiGetSpecialTableRequest(RequestStub[NspiGetSpecialTableResponse], frozen=True, gc=False):
    """Which address lists, or which templates for new addresses, are there? (3.1.4.1.3)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 12
    size: ClassVar[int] = 64
    """Bytes of every such request."""

    handle: bytes
    stat: Stat
    flags: int = UNICODE_STRINGS
    version: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        return cls(handle, Stat.read(reader), flags, reader.u32("lpVersion"))

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        self.stat.write(writer)
        writer.u32(self.version)


class NspiQueryColumnsResponse(Stub, frozen=True, gc=False):
    """All tags that the server knows."""

    columns: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_tags(reader, "ppColumns"), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_tags(writer, self.columns)
        writer.u32(self.return_value)


class NspiQueryColumnsRequest(RequestStub[NspiQueryColumnsResponse], frozen=True, gc=False):
    """Which properties are there? (3.1.4.1.5)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 16

    handle: bytes
    flags: int = UNICODE_PROPERTY_TYPES
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved, flags = reader.context_handle("hRpc"), reader.u32("Reserved"), reader.u32("dwFlags")
        return cls(handle, flags, reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        writer.u32(self.flags)


class NspiResolveNamesResponse(Stub, frozen=True):
    """UNRESOLVED, AMBIGUOUS or RESOLVED for each name, and a row for each that is RESOLVED."""

    mids: tuple[int, ...] | None
    rows: tuple[Row, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_tags(reader, "ppMIds"), read_rows(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_tags(writer, self.mids)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)


class _ResolveNamesRequest(RequestStub[NspiResolveNamesResponse], frozen=True, gc=False):
    interface: ClassVar[SyntaxId] = INTERFACE
    read_name: ClassVar[ReadElement]
    write_name: ClassVar[WriteElement]

    handle: bytes
    stat: Stat
    names: tuple[str | None, ...]
    prop_tags: tuple[int, ...] | None = None
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        stat, prop_tags = Stat.read(reader), read_tags(reader, "pPropTags")
        return cls(handle, stat, read_strings(reader, cls.read_name), prop_tags, reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)
        write_strings(writer, self.names, type(self).write_name)


class NspiResolveNamesRequest(_ResolveNamesRequest, frozen=True, gc=False):
    """Whom do these 8-bit names mean? (3.1.4.1.16)."""

    opnum: ClassVar[int] = 19
    read_name: ClassVar[ReadElement] = staticmethod(NdrReader.string)
    write_name: ClassVar[WriteElement] = staticmethod(NdrWriter.string)


class NspiResolveNamesWRequest(_ResolveNamesRequest, frozen=True, gc=False):
    """Whom do these Unicode names mean? (3.1.4.1.17)."""

    opnum: ClassVar[int] = 20
    read_name: ClassVar[ReadElement] = staticmethod(NdrReader.wide_string)
    write_name: ClassVar[WriteElement] = staticmethod(NdrWriter.wide_string)
