"""ROPs that belong to no object ([MS-OXCROPS] 2.2.15): release, and what a server in trouble says."""

from typing import ClassVar, Self

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.rop.base import InputRequest


class RopReleaseRequest(InputRequest, frozen=True, gc=False):
    """Gives up a handle; the logon's own ends the logon. Nothing answers it ([MS-OXCROPS] 2.2.15.3)."""

    rop_id = 0x01
    answered = False


class RopBufferTooSmallResponse(msgspec.Struct, frozen=True, gc=False):
    """The next response would not fit ([MS-OXCROPS] 2.2.15.1).

    ``request_buffers`` is the tail of the request's ROP list that was not looked at; the client sends it
    again, with room for ``size_needed`` bytes.
    """

    rop_id: ClassVar[int] = 0xFF
    size_needed: int
    request_buffers: bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """What stands behind RopId, to the end of the ROP list; raises :class:`WireError`."""
        return cls(reader.u16("SizeNeeded"), reader.rest())

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        writer.u8(self.rop_id)
        writer.u16(self.size_needed)
        writer.raw(self.request_buffers)


class BackoffRop(msgspec.Struct, frozen=True, gc=False):
    """One kind of ROP that the server does not want for a while."""

    rop_id: int
    duration_ms: int


class RopBackoffResponse(msgspec.Struct, frozen=True):
    """The server is busy ([MS-OXCROPS] 2.2.15.2); no ROPs listed means all of the logon's."""

    rop_id: ClassVar[int] = 0xF9
    logon_id: int
    duration_ms: int
    rops: tuple[BackoffRop, ...] = ()
    additional_data: bytes = b""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """What stands behind RopId; raises :class:`WireError`."""
        logon_id, duration_ms = reader.u8("LogonId"), reader.u32("Duration")
        rops = tuple(
            BackoffRop(reader.u8("RopIdBackoff"), reader.u32("Duration"))
            for _ in range(reader.u8("BackoffRopCount"))
        )
        data = reader.take(reader.u16("AdditionalDataSize"), "AdditionalData")
        return cls(logon_id, duration_ms, rops, data)

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        writer.u8(self.rop_id)
        writer.u8(self.logon_id)
        writer.u32(self.duration_ms)
        writer.u8(len(self.rops))
        for rop in self.rops:
            writer.u8(rop.rop_id)
            writer.u32(rop.duration_ms)
        writer.u16(len(self.additional_data))
        writer.raw(self.additional_data)


REQUESTS = (RopReleaseRequest,)
