"""Methods that put objects in the order of a table.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from typing import ClassVar, Self

import msgspec

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.values import read_tag_array, read_tags, write_tag_array, write_tags
from loadgen.wire.pdu import SyntaxId


class NspiResortRestrictionResponse(msgspec.Struct, frozen=True, gc=False):
    """The MIds in their order, and where among them the position is."""

    stat: Stat
    mids: tuple[int, ...] | None = None
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(Stat.read(reader), read_tags(reader, "ppOutMIds"), reader.u32("return value"))
        reader.expect_end("NspiResortRestriction response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        self.stat.write(writer)
        write_tags(writer, self.mids)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiResortRestrictionRequest(msgspec.Struct, frozen=True, gc=False):
    """Sorts the objects ``mids`` as ``stat`` says, without those that are not there (3.1.4.1.11).

    ``out_mids`` goes in and out; what goes in does not count.
    """

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 6
    response: ClassVar[type[NspiResortRestrictionResponse]] = NspiResortRestrictionResponse

    handle: bytes
    stat: Stat
    mids: tuple[int, ...]
    out_mids: tuple[int, ...] | None = None
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiResortRestrictionResponse:
        """The response stub."""
        return NspiResortRestrictionResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        stat, mids = Stat.read(reader), read_tag_array(reader, "pInMIds")
        request = cls(handle, stat, mids, read_tags(reader, "ppOutMIds"), reserved)
        reader.expect_end("NspiResortRestriction request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tag_array(writer, self.mids)
        write_tags(writer, self.out_mids)
        return writer.getvalue()


class NspiCompareMIdsResponse(msgspec.Struct, frozen=True, gc=False):
    """``result`` is below 0 if the first object comes first, above 0 if the second does."""

    result: int
    return_value: int = SUCCESS

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        response = cls(reader.i32("plResult"), reader.u32("return value"))
        reader.expect_end("NspiCompareMIds response")
        return response

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.i32(self.result)
        writer.u32(self.return_value)
        return writer.getvalue()


class NspiCompareMIdsRequest(msgspec.Struct, frozen=True, gc=False):
    """Which of two objects comes first in the table of ``stat``? (3.1.4.1.12)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 10
    response: ClassVar[type[NspiCompareMIdsResponse]] = NspiCompareMIdsResponse

    handle: bytes
    stat: Stat
    mid1: int
    mid2: int
    reserved: int = 0

    @staticmethod
    def decode_response(stub: bytes) -> NspiCompareMIdsResponse:
        """The response stub."""
        return NspiCompareMIdsResponse.decode(stub)

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        handle, reserved, stat = reader.context_handle("hRpc"), reader.u32("Reserved"), Stat.read(reader)
        request = cls(handle, stat, reader.u32("MId1"), reader.u32("MId2"), reserved)
        reader.expect_end("NspiCompareMIds request")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        writer.u32(self.mid1)
        writer.u32(self.mid2)
        return writer.getvalue()
