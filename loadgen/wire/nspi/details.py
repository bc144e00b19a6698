"""Methods behind the dialog that shows the details of an object, and those that would change an object.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from typing import ClassVar, Self

import msgspec

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import (
    DEFAULT_CODE_PAGE,
    DEFAULT_LOCALE,
    INTERFACE,
    SUCCESS,
    TI_TEMPLATE,
)
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.values import (
    Row,
    read_binary_array,
    read_row,
    read_row_pointer,
    read_tags,
    write_binary_array,
    write_row,
    write_row_pointer,
    write_tags,
)
from loadgen.wire.pdu import SyntaxId


class NspiGetPropListResponse(msgspec.Struct, frozen=True, gc=False):
    """The tags, strings as 8-bit strings."""

    prop_tags: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_tags(reader, "ppPropTags"), reader.u32("return value"))
        reader.expect_end("NspiGetPropList response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_tags(writer, self.prop_tags)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiGetPropListRequest(msgspec.Struct, frozen=True, gc=False):
    """Which properties has the object ``mid``? (3.1.4.1.6)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 8
    response: ClassVar[type[NspiGetPropListResponse]] = NspiGetPropListResponse

    handle: bytes
    mid: int
    flags: int = 0
    code_page: int = DEFAULT_CODE_PAGE

    @staticmethod
    def decode_response(stub: bytes) -> NspiGetPropListResponse:
        """The response stub."""
        return NspiGetPropListResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        request = cls(handle, reader.u32("dwMId"), flags, reader.u32("CodePage"))
        reader.expect_end("NspiGetPropList request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.mid)
        writer.u32(self.code_page)
        return writer.getvalue()


class NspiGetTemplateInfoResponse(msgspec.Struct, frozen=True):
    """What of the template was asked for, each part as a property."""

    row: Row | None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(read_row_pointer(reader), reader.u32("return value"))
        reader.expect_end("NspiGetTemplateInfo response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        write_row_pointer(writer, self.row)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiGetTemplateInfoRequest(msgspec.Struct, frozen=True, gc=False):
    """Reads the dialog for objects of ``display_type``, or the template ``dn`` (3.1.4.1.18)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 13
    response: ClassVar[type[NspiGetTemplateInfoResponse]] = NspiGetTemplateInfoResponse

    handle: bytes
    display_type: int
    flags: int = TI_TEMPLATE
    dn: str | None = None
    code_page: int = DEFAULT_CODE_PAGE
    locale: int = DEFAULT_LOCALE

    @staticmethod
    def decode_response(stub: bytes) -> NspiGetTemplateInfoResponse:
        """The response stub."""
        return NspiGetTemplateInfoResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, flags, display_type = (
            reader.context_handle("hRpc"),
            reader.u32("dwFlags"),
            reader.u32("ulType"),
        )
        dn = reader.string("pDN") if reader.pointer("pDN") else None
        request = cls(handle, display_type, flags, dn, reader.u32("dwCodePage"), reader.u32("dwLocaleID"))
        reader.expect_end("NspiGetTemplateInfo request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.display_type)
        writer.pointer(self.dn is not None)
        if self.dn is not None:
            writer.string(self.dn)
        writer.u32(self.code_page)
        writer.u32(self.locale)
        return writer.getvalue()


class _ChangeResponse(msgspec.Struct, frozen=True, gc=False):
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(reader.u32("return value"))
        reader.expect_end(cls.__name__)
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiModPropsResponse(_ChangeResponse, frozen=True, gc=False):
    """Whether the object was changed."""


class NspiModPropsRequest(msgspec.Struct, frozen=True):
    """Removes ``prop_tags`` from the object ``stat.current_rec``, then sets ``row`` (3.1.4.1.14)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 11
    response: ClassVar[type[NspiModPropsResponse]] = NspiModPropsResponse

    handle: bytes
    stat: Stat
    row: Row
    prop_tags: tuple[int, ...] | None = None
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiModPropsResponse:
        """The response stub."""
        return NspiModPropsResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved, stat = reader.context_handle("hRpc"), reader.u32("Reserved"), Stat.read(reader)
        prop_tags = read_tags(reader, "pPropTags")
        request = cls(handle, stat, read_row(reader), prop_tags, reserved)
        reader.expect_end("NspiModProps request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)
        write_row(writer, self.row)
        return writer.getvalue()


class NspiModLinkAttResponse(_ChangeResponse, frozen=True, gc=False):
    """Whether the links were changed."""


class NspiModLinkAttRequest(msgspec.Struct, frozen=True, gc=False):
    """Links the object ``mid`` to ``entry_ids``, or with DELETE_LINKS no longer (3.1.4.1.15)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 14
    response: ClassVar[type[NspiModLinkAttResponse]] = NspiModLinkAttResponse

    handle: bytes
    prop_tag: int
    mid: int
    entry_ids: tuple[bytes | None, ...] | None
    flags: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiModLinkAttResponse:
        """The response stub."""
        return NspiModLinkAttResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, flags, prop_tag = (
            reader.context_handle("hRpc"),
            reader.u32("dwFlags"),
            reader.u32("ulPropTag"),
        )
        request = cls(handle, prop_tag, reader.u32("dwMId"), read_binary_array(reader), flags)
        reader.expect_end("NspiModLinkAtt request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.prop_tag)
        writer.u32(self.mid)
        write_binary_array(writer, self.entry_ids)
        return writer.getvalue()
