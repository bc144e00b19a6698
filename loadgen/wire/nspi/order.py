"""Methods that put objects in the order of a table.

Sections of [MS-OXNSPI] stand with each. All decoders raise WireError.
"""

from struct import Struct
from typing import ClassVar, Self

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import INTERFACE, SUCCESS
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.values import read_tag_array, read_tags, write_tag_array, write_tags
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import FixedStub, RequestStub, Stub


class NspiResortRestrictionResponse(Stub, frozen=True, gc=False):
    """The MIds in their order, and where among them the position is."""

    stat: Stat
    mids: tuple[int, ...] | None = None
    return_value: int = SUCCESS

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        return cls(Stat.read(reader), read_tags(reader, "ppOutMIds"), reader.u32("return value"))

    def _write(self, writer: NdrWriter) -> None:
        self.stat.write(writer)
        write_tags(writer, self.mids)
        writer.u32(self.return_value)


class NspiResortRestrictionRequest(RequestStub[NspiResortRestrictionResponse], frozen=True, gc=False):
    """Sorts the objects ``mids`` as ``stat`` says, without those that are not there (3.1.4.1.11).

    ``out_mids`` goes in and out; what goes in does not count.
    """

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 6

    handle: bytes
    stat: Stat
    mids: tuple[int, ...]
    out_mids: tuple[int, ...] | None = None
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved = reader.context_handle("hRpc"), reader.u32("Reserved")
        stat, mids = Stat.read(reader), read_tag_array(reader, "pInMIds")
        return cls(handle, stat, mids, read_tags(reader, "ppOutMIds"), reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        write_tag_array(writer, self.mids)
        write_tags(writer, self.out_mids)


class NspiCompareMIdsResponse(FixedStub, frozen=True, gc=False):
    """``result`` is below 0 if the first object comes first, above 0 if the second does."""

    layout: ClassVar[Struct] = Struct("<iI")

    result: int
    return_value: int = SUCCESS


class NspiCompareMIdsRequest(RequestStub[NspiCompareMIdsResponse], frozen=True, gc=False):
    """Which of two objects comes first in the table of ``stat``? (3.1.4.1.12)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 10

    handle: bytes
    stat: Stat
    mid1: int
    mid2: int
    reserved: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        handle, reserved, stat = reader.context_handle("hRpc"), reader.u32("Reserved"), Stat.read(reader)
        return cls(handle, stat, reader.u32("MId1"), reader.u32("MId2"), reserved)

    def _write(self, writer: NdrWriter) -> None:
        writer.context_handle(self.handle)
        writer.u32(self.reserved)
        self.stat.write(writer)
        writer.u32(self.mid1)
        writer.u32(self.mid2)
