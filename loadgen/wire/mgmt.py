"""Remote management, the interface that every RPC server has ([C706] appendix Q).

A ``status`` is 0 or an error code. All decoders raise :class:`~loadgen.errors.WireError`.
"""

from struct import Struct
from typing import ClassVar, Final, Self

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import FixedStub, RequestStub, Stub

INTERFACE: Final = SyntaxId.of("afa8bd80-7d8a-11c9-bef4-08002b102989", 1)

CALLS_IN: Final = 0
CALLS_OUT: Final = 1
PKTS_IN: Final = 2
PKTS_OUT: Final = 3
"""Places in :attr:`InqStatsResponse.statistics`."""

_SYNTAX = Struct("<16sI")


class InqIfIdsResponse(Stub, frozen=True, gc=False):
    """The interfaces of the server; None is a null vector."""

    interfaces: tuple[SyntaxId, ...] | None
    status: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        interfaces = _read_vector(reader) if reader.pointer("if_id_vector") else None
        return cls(interfaces, reader.u32("status"))

    def _write(self, writer: NdrWriter) -> None:
        writer.pointer(self.interfaces is not None)
        if self.interfaces is not None:
            _write_vector(writer, self.interfaces)
        writer.u32(self.status)


def _read_vector(reader: NdrReader) -> tuple[SyntaxId, ...]:
    maximum, count = reader.u32("if_id max_count"), reader.u32("count")
    if maximum != count:
        raise WireError("if_id_vector", reader.offset, f"{count} elements in an array of {maximum}")
    present = [reader.pointer("if_id") for _ in range(count)]
    return tuple(SyntaxId(*reader.unpack(_SYNTAX, "if_id")) for there in present if there)


def _write_vector(writer: NdrWriter, interfaces: tuple[SyntaxId, ...]) -> None:
    writer.u32(len(interfaces))
    writer.u32(len(interfaces))
    for _ in interfaces:
        writer.pointer(present=True)
    for interface in interfaces:
        writer.pack(_SYNTAX, interface.uuid, interface.version)


class InqIfIdsRequest(RequestStub[InqIfIdsResponse], frozen=True, gc=False):
    """Which interfaces are there? (rpc__mgmt_inq_if_ids)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 0


class InqStatsResponse(Stub, frozen=True, gc=False):
    """Counts of calls and packets, in the order of CALLS_IN to PKTS_OUT."""

    statistics: tuple[int, ...]
    status: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        count, maximum = reader.u32("count"), reader.u32("statistics max_count")
        if maximum != count:
            raise WireError("statistics", reader.offset, f"{count} elements in an array of {maximum}")
        statistics = tuple(reader.u32("statistics") for _ in range(count))
        return cls(statistics, reader.u32("status"))

    def _write(self, writer: NdrWriter) -> None:
        for number in (len(self.statistics), len(self.statistics), *self.statistics, self.status):
            writer.u32(number)


class InqStatsRequest(RequestStub[InqStatsResponse], frozen=True, gc=False):
    """How many calls and packets were there? (rpc__mgmt_inq_stats); ``count`` is the room for statistics."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1

    count: int = PKTS_OUT + 1

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        count = reader.u32("count")
        if reader.remaining:  # Samba's has a second word, which is left out
            reader.u32("unknown")
        return cls(count)

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.count)


class IsServerListeningResponse(Stub, frozen=True, gc=False):
    """Whether the server takes calls."""

    listening: bool
    status: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        status, listening = reader.u32("status"), reader.u32("return value")
        return cls(listening != 0, status)

    def _write(self, writer: NdrWriter) -> None:
        writer.u32(self.status)
        writer.u32(self.listening)


class IsServerListeningRequest(RequestStub[IsServerListeningResponse], frozen=True, gc=False):
    """Does the server take calls? (rpc__mgmt_is_server_listening)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 2


class StopServerListeningResponse(FixedStub, frozen=True, gc=False):
    """Whether the server will stop; 5 is access denied, which is what clients get."""

    layout: ClassVar[Struct] = Struct("<I")

    status: int = 0


class StopServerListeningRequest(RequestStub[StopServerListeningResponse], frozen=True, gc=False):
    """Asks the server to take no more calls (rpc__mgmt_stop_server_listening)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 3


class InqPrincNameResponse(Stub, frozen=True, gc=False):
    """The server's principal name, in an array of ``princ_name_size``, as the request said."""

    princ_name: str
    princ_name_size: int
    status: int = 0

    @classmethod
    def _read(cls, reader: NdrReader) -> Self:
        size = reader.u32("princ_name max_count")
        reader.offset = 0
        return cls(reader.string("princ_name"), size, reader.u32("status"))

    def _write(self, writer: NdrWriter) -> None:
        writer.string(self.princ_name)
        writer.patch_u32(0, self.princ_name_size)
        writer.u32(self.status)


class InqPrincNameRequest(FixedStub, RequestStub[InqPrincNameResponse], frozen=True, gc=False):
    """Under what name is the server known to ``authn_proto``? (rpc__mgmt_inq_princ_name)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 4
    layout: ClassVar[Struct] = Struct("<II")

    authn_proto: int
    princ_name_size: int
