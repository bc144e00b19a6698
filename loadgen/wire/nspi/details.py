"""Methods behind the dialog that shows the details of an object, and those that would change an object.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from struct import Struct
from typing import ClassVar, Self

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
from loadgen.wire.rpc import FixedStub, RequestStub, Stub


class NspiGetPropListResponse(Stub, frozen=True, gc=False):
    """The tags, strings as 8-bit strings."""

    prop_tags: tuple[int, ...] | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_tags(reader, "ppPropTags"), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_tags(writer, self.prop_tags)
        writer.u32(self.return_value)


class NspiGetPropListRequest(RequestStub[NspiGetPropListResponse], frozen=True, gc=False):
    """Which properties has the object ``mid``? (3.1.4.1.6)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 8

    handle: bytes
    mid: int
    flags: int = 0
    code_page: int = DEFAULT_CODE_PAGE

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        return cls(handle, reader.u32("dwMId"), flags, reader.u32("CodePage"))

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.mid)
        writer.u32(self.code_page)


class NspiGetTemplateInfoResponse(Stub, frozen=True):
    """What of the template was asked for, each part as a property."""

    row: Row | None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(read_row_pointer(reader), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        write_row_pointer(writer, self.row)
        writer.u32(self.return_value)


class NspiGetTemplateInfoRequest(RequestStub[NspiGetTemplateInfoResponse], frozen=True, gc=False):
    """Reads the dialog for objects of ``display_type``, or the template ``dn`` (3.1.4.1.18)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 13

    handle: bytes
    display_type: int
    flags: int = TI_TEMPLATE
    dn: str | None = None
    code_page: int = DEFAULT_CODE_PAGE
    locale: int = DEFAULT_LOCALE

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        display_type = reader.u32("ulType")
        dn = reader.string("pDN") if reader.pointer("pDN") else None
        return cls(handle, display_type, flags, dn, reader.u32("dwCodePage"), reader.u32("dwLocaleID"))

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.display_type)
        writer.pointer(self.dn is not None)
        if self.dn is not None:
            writer.string(self.dn)
        writer.u32(self.code_page)
        writer.u32(self.locale)


class _ChangeResponse(FixedStub, frozen=True, gc=False):
    layout: ClassVar[Struct] = Struct("<I")

    return_value: int = SUCCESS


class NspiModPropsResponse(_ChangeResponse, frozen=True, gc=False):
    """Whether the object was changed."""


class NspiModPropsRequest(RequestStub[NspiModPropsResponse], frozen=True):
    """Removes ``prop_tags`` from the object ``stat.current_rec``, then sets ``row`` (3.1.4.1.14)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 11

    handle: bytes
    stat: Stat
    row: Row
    prop_tags: tuple[int, ...] | None = None
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved, stat = reader.context_handle("hRpc"), reader.u32("Reserved"), Stat.read(reader)
        prop_tags = read_tags(reader, "pPropTags")
        return cls(handle, stat, read_row(reader), prop_tags, reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tags(writer, self.prop_tags)
        write_row(writer, self.row)


class NspiModLinkAttResponse(_ChangeResponse, frozen=True, gc=False):
    """Whether the links were changed."""


class NspiModLinkAttRequest(RequestStub[NspiModLinkAttResponse], frozen=True, gc=False):
    """Links the object ``mid`` to ``entry_ids``, or with DELETE_LINKS no longer (3.1.4.1.15)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 14

    handle: bytes
    prop_tag: int
    mid: int
    entry_ids: tuple[bytes | None, ...] | None
    flags: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, flags = reader.context_handle("hRpc"), reader.u32("dwFlags")
        prop_tag, mid = reader.u32("ulPropTag"), reader.u32("dwMId")
        return cls(handle, prop_tag, mid, read_binary_array(reader), flags)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.flags)
        writer.u32(self.prop_tag)
        writer.u32(self.mid)
        write_binary_array(writer, self.entry_ids)
