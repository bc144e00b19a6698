"""Methods that find objects by name and read their properties, and those that list tables and columns.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from typing import ClassVar, Self

import msgspec

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


class NspiDNToMIdResponse(msgspec.Struct, frozen=True, gc=False):
    """One MId for each name, 0 where there is no such object."""

    mids: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_tags(reader, "ppMIds"), reader.u32("return value"))
        reader.expect_end("NspiDNToMId response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_tags(writer, self.mids)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiDNToMIdRequest(msgspec.Struct, frozen=True, gc=False):
    """Which objects have these distinguished names? (3.1.4.1.13)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 7
    response: ClassVar[type[NspiDNToMIdResponse]] = NspiDNToMIdResponse

    handle: bytes
    names: tuple[str | None, ...]
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiDNToMIdResponse:
        """The response stub."""
        return NspiDNToMIdResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        request = cls(handle, read_strings(reader, NdrReader.string), reserved)
        reader.expect_end("NspiDNToMId request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        write_strings(writer, self.names, NdrWriter.string)
        return writer.getvalue()


class NspiGetPropsResponse(msgspec.Struct, frozen=True):
    """The values in the order of the tags; ERRORS_RETURNED if some of them are errors."""

    row: Row | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_row_pointer(reader), reader.u32("return value"))
        reader.expect_end("NspiGetProps response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_row_pointer(writer, self.row)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiGetPropsRequest(msgspec.Struct, frozen=True, gc=False):
    """Reads the object ``stat.current_rec``; ``prop_tags`` None asks for all it has (3.1.4.1.7)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 9
    response: ClassVar[type[NspiGetPropsResponse]] = NspiGetPropsResponse

    handle: bytes
    stat: Stat
    prop_tags: tuple[int, ...] | None = None
    flags: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiGetPropsResponse:
        """The response stub."""
        return NspiGetPropsResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        request = cls(handle, Stat.read(reader), read_tags(reader, "pPropTags"), flags)
        reader.expect_end("NspiGetProps request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)
        return writer.getvalue()


class NspiGetSpecialTableResponse(msgspec.Struct, frozen=True):
    """The rows of the hierarchy or of the address creation templates, and the version they have."""

    version: int
    rows: tuple[Row, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(reader.u32("lpVersion"), read_rows(reader), reader.u32("return value"))
        reader.expect_end("NspiGetSpecialTable response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.u32(self.version)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiGetSpecialTableRequest(msgspec.Struct, frozen=True, gc=False):
    """Which address lists, or which templates for new addresses, are there? (3.1.4.1.3)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 12
    response: ClassVar[type[NspiGetSpecialTableResponse]] = NspiGetSpecialTableResponse
    size: ClassVar[int] = 64
    """Bytes of every such request."""

    handle: bytes
    stat: Stat
    flags: int = UNICODE_STRINGS
    version: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiGetSpecialTableResponse:
        """The response stub."""
        return NspiGetSpecialTableResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        request = cls(handle, Stat.read(reader), flags, reader.u32("lpVersion"))
        reader.expect_end("NspiGetSpecialTable request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        self.stat.write(writer)
        writer.u32(self.version)
        return writer.getvalue()


class NspiQueryColumnsResponse(msgspec.Struct, frozen=True, gc=False):
    """All tags that the server knows."""

    columns: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_tags(reader, "ppColumns"), reader.u32("return value"))
        reader.expect_end("NspiQueryColumns response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_tags(writer, self.columns)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiQueryColumnsRequest(msgspec.Struct, frozen=True, gc=False):
    """Which properties are there? (3.1.4.1.5)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 16
    response: ClassVar[type[NspiQueryColumnsResponse]] = NspiQueryColumnsResponse

    handle: bytes
    flags: int = UNICODE_PROPERTY_TYPES
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiQueryColumnsResponse:
        """The response stub."""
        return NspiQueryColumnsResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved, flags = reader.context_handle("hRpc"), reader.u32("Reserved"), reader.u32("dwFlags")
        reader.expect_end("NspiQueryColumns request")
        return cls(handle, flags, reserved)

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        writer.u32(self.flags)
        return writer.getvalue()


class NspiResolveNamesResponse(msgspec.Struct, frozen=True):
    """UNRESOLVED, AMBIGUOUS or RESOLVED for each name, and a row for each that is RESOLVED."""

    mids: tuple[int, ...] | None
    rows: tuple[Row, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_tags(reader, "ppMIds"), read_rows(reader), reader.u32("return value"))
        reader.expect_end("NspiResolveNames response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_tags(writer, self.mids)
        write_rows(writer, self.rows)
        writer.u32(self.return_value)
        return writer.getvalue()


class _ResolveNamesRequest(msgspec.Struct, frozen=True, gc=False):
    interface: ClassVar[SyntaxId] = INTERFACE
    response: ClassVar[type[NspiResolveNamesResponse]] = NspiResolveNamesResponse
    read_name: ClassVar[ReadElement]
    write_name: ClassVar[WriteElement]

    handle: bytes
    stat: Stat
    names: tuple[str | None, ...]
    prop_tags: tuple[int, ...] | None = None
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiResolveNamesResponse:
        """The response stub."""
        return NspiResolveNamesResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        stat, prop_tags = Stat.read(reader), read_tags(reader, "pPropTags")
        request = cls(handle, stat, read_strings(reader, cls.read_name), prop_tags, reserved)
        reader.expect_end("NspiResolveNames request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)
        write_strings(writer, self.names, type(self).write_name)
        return writer.getvalue()


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
