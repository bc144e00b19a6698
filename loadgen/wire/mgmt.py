"""Remote management, the interface that every RPC server has ([C706] appendix Q).

A ``status`` is 0 or an error code. All decoders raise :class:`~loadgen.errors.WireError`.
"""

from struct import Struct
from typing import ClassVar, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.pdu import SyntaxId

INTERFACE: Final = SyntaxId.of("afa8bd80-7d8a-11c9-bef4-08002b102989", 1)

CALLS_IN: Final = 0
CALLS_OUT: Final = 1
PKTS_IN: Final = 2
PKTS_OUT: Final = 3
"""Places in :attr:`InqStatsResponse.statistics`."""

_SYNTAX = Struct("<16sI")


class _NoArguments(msgspec.Struct, frozen=True, gc=False):
    """A request without [in] parameters."""

    interface: ClassVar[SyntaxId] = INTERFACE

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub, which is empty."""
        NdrReader(stub).expect_end(cls.__name__)
        return cls()

    def encode(self) -> bytes:
        """The request stub, which is empty."""
        return b""


class InqIfIdsResponse(msgspec.Struct, frozen=True, gc=False):
    """The interfaces of the server; None is a null vector."""

    interfaces: tuple[SyntaxId, ...] | None
    status: int = 0

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        interfaces = _read_vector(reader) if reader.pointer("if_id_vector") else None
        status = reader.u32("status")
        reader.expect_end("rpc__mgmt_inq_if_ids response")
        return cls(interfaces, status)

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.pointer(self.interfaces is not None)
        if self.interfaces is not None:
            _write_vector(writer, self.interfaces)
        writer.u32(self.status)
        return writer.getvalue()


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


class InqIfIdsRequest(_NoArguments, frozen=True, gc=False):
    """Which interfaces are there? (rpc__mgmt_inq_if_ids)."""

    opnum: ClassVar[int] = 0
    response: ClassVar[type[InqIfIdsResponse]] = InqIfIdsResponse

    @staticmethod
    def decode_response(stub: bytes) -> InqIfIdsResponse:
        """The answer."""
        return InqIfIdsResponse.decode(stub)


class InqStatsResponse(msgspec.Struct, frozen=True, gc=False):
    """Counts of calls and packets, in the order of CALLS_IN to PKTS_OUT."""

    statistics: tuple[int, ...]
    status: int = 0

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        count, maximum = reader.u32("count"), reader.u32("statistics max_count")
        if maximum != count:
            raise WireError("statistics", reader.offset, f"{count} elements in an array of {maximum}")
        statistics = tuple(reader.u32("statistics") for _ in range(count))
        status = reader.u32("status")
        reader.expect_end("rpc__mgmt_inq_stats response")
        return cls(statistics, status)

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        for number in (len(self.statistics), len(self.statistics), *self.statistics, self.status):
            writer.u32(number)
        return writer.getvalue()


class InqStatsRequest(msgspec.Struct, frozen=True, gc=False):
    """How many calls and packets were there? (rpc__mgmt_inq_stats); ``count`` is the room for statistics."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 1
    response: ClassVar[type[InqStatsResponse]] = InqStatsResponse
    count: int = PKTS_OUT + 1

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub; Samba's has a second word, which is left out."""
        reader = NdrReader(stub)
        count = reader.u32("count")
        if reader.remaining:
            reader.u32("unknown")
        reader.expect_end("rpc__mgmt_inq_stats")
        return cls(count)

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.u32(self.count)
        return writer.getvalue()

    @staticmethod
    def decode_response(stub: bytes) -> InqStatsResponse:
        """The answer."""
        return InqStatsResponse.decode(stub)


class IsServerListeningResponse(msgspec.Struct, frozen=True, gc=False):
    """Whether the server takes calls."""

    listening: bool
    status: int = 0

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        status, listening = reader.u32("status"), reader.u32("return value")
        reader.expect_end("rpc__mgmt_is_server_listening response")
        return cls(listening != 0, status)

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.u32(self.status)
        writer.u32(self.listening)
        return writer.getvalue()


class IsServerListeningRequest(_NoArguments, frozen=True, gc=False):
    """Does the server take calls? (rpc__mgmt_is_server_listening)."""

    opnum: ClassVar[int] = 2
    response: ClassVar[type[IsServerListeningResponse]] = IsServerListeningResponse

    @staticmethod
    def decode_response(stub: bytes) -> IsServerListeningResponse:
        """The answer."""
        return IsServerListeningResponse.decode(stub)


class StopServerListeningResponse(msgspec.Struct, frozen=True, gc=False):
    """Whether the server will stop; 5 is access denied, which is what clients get."""

    status: int = 0

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        status = reader.u32("status")
        reader.expect_end("rpc__mgmt_stop_server_listening response")
        return cls(status)

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.u32(self.status)
        return writer.getvalue()


class StopServerListeningRequest(_NoArguments, frozen=True, gc=False):
    """Asks the server to take no more calls (rpc__mgmt_stop_server_listening)."""

    opnum: ClassVar[int] = 3
    response: ClassVar[type[StopServerListeningResponse]] = StopServerListeningResponse

    @staticmethod
    def decode_response(stub: bytes) -> StopServerListeningResponse:
        """The answer."""
        return StopServerListeningResponse.decode(stub)


class InqPrincNameResponse(msgspec.Struct, frozen=True, gc=False):
    """The server's principal name, in an array of ``princ_name_size``, as the request said."""

    princ_name: str
    princ_name_size: int
    status: int = 0

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The response stub."""
        reader = NdrReader(stub)
        size = reader.u32("princ_name max_count")
        reader.offset = 0
        name = reader.string("princ_name")
        status = reader.u32("status")
        reader.expect_end("rpc__mgmt_inq_princ_name response")
        return cls(name, size, status)

    def encode(self) -> bytes:
        """The response stub."""
        writer = NdrWriter()
        writer.string(self.princ_name)
        writer.patch_u32(0, self.princ_name_size)
        writer.u32(self.status)
        return writer.getvalue()


class InqPrincNameRequest(msgspec.Struct, frozen=True, gc=False):
    """Under what name is the server known to ``authn_proto``? (rpc__mgmt_inq_princ_name)."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 4
    response: ClassVar[type[InqPrincNameResponse]] = InqPrincNameResponse
    authn_proto: int
    princ_name_size: int

    @classmethod
    def decode(cls, stub: bytes) -> Self:
        """The request stub."""
        reader = NdrReader(stub)
        request = cls(reader.u32("authn_proto"), reader.u32("princ_name_size"))
        reader.expect_end("rpc__mgmt_inq_princ_name")
        return request

    def encode(self) -> bytes:
        """The request stub."""
        writer = NdrWriter()
        writer.u32(self.authn_proto)
        writer.u32(self.princ_name_size)
        return writer.getvalue()

    @staticmethod
    def decode_response(stub: bytes) -> InqPrincNameResponse:
        """The answer."""
        return InqPrincNameResponse.decode(stub)
