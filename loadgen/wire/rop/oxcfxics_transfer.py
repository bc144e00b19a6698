"""ROPs of fast transfer: whole objects as a stream, down and up ([MS-OXCFXICS] 2.2.3.1).

The stream itself is :mod:`loadgen.wire.fasttransfer`.
"""

from collections.abc import Container, Sequence
from struct import Struct
from typing import Annotated, Any, Final, Self

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.base import (
    EVERY_RETURN_VALUE,
    InputRequest,
    OpeningRequest,
    RopResponse,
    TalkativeResponse,
)
from loadgen.wire.rop.layout import U8, U16, U32, ObjectIds, PropertyTags, SizedBytes, layout_of

SEND_UNICODE: Final = 0x01
SEND_USE_CPID: Final = 0x02
SEND_RECOVER_MODE: Final = 0x04
SEND_FORCE_UNICODE: Final = 0x08
SEND_PARTIAL_ITEM: Final = 0x10
"""SendOptions."""

TRANSFER_ERROR: Final = 0x0000
TRANSFER_PARTIAL: Final = 0x0001
TRANSFER_NO_ROOM: Final = 0x0002
TRANSFER_DONE: Final = 0x0003
"""TransferStatus."""

SOURCE_COPY_TO: Final = 1
SOURCE_COPY_PROPERTIES: Final = 2
SOURCE_COPY_MESSAGES: Final = 3
SOURCE_COPY_FOLDER: Final = 4
"""SourceOperation: which kind of stream is uploaded."""

MAXIMUM_BUFFER_SIZE_FOLLOWS: Final = 0xBABE
"""BufferSize by which the server picks the size, up to MaximumBufferSize."""

SERVER_BUSY: Final = 0x00000480
"""The ReturnValue with which a server asks to come back after BackoffTime."""


class RopFastTransferSourceCopyToResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.7."""

    rop_id = 0x4D


class RopFastTransferSourceCopyToRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the stream of an object without some of its properties ([MS-OXCROPS] 2.2.12.7)."""

    rop_id = 0x4D
    response = RopFastTransferSourceCopyToResponse
    level: U8
    copy_flags: U32
    send_options: U8
    property_tags: PropertyTags = ()


class RopFastTransferSourceCopyPropertiesResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.8."""

    rop_id = 0x69


class RopFastTransferSourceCopyPropertiesRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the stream of some properties of an object ([MS-OXCROPS] 2.2.12.8)."""

    rop_id = 0x69
    response = RopFastTransferSourceCopyPropertiesResponse
    level: U8
    copy_flags: U8
    send_options: U8
    property_tags: PropertyTags


class RopFastTransferSourceCopyMessagesResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.6."""

    rop_id = 0x4B


class RopFastTransferSourceCopyMessagesRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the stream of some messages of a folder ([MS-OXCROPS] 2.2.12.6)."""

    rop_id = 0x4B
    response = RopFastTransferSourceCopyMessagesResponse
    message_ids: ObjectIds
    copy_flags: U8
    send_options: U8


class RopFastTransferSourceCopyFolderResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.5."""

    rop_id = 0x4C


class RopFastTransferSourceCopyFolderRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the stream of a folder with all that is in it ([MS-OXCROPS] 2.2.12.5)."""

    rop_id = 0x4C
    response = RopFastTransferSourceCopyFolderResponse
    copy_flags: U8
    send_options: U8


_PROGRESS_AND_SIZE = Struct("<HHHBH")


class RopFastTransferSourceGetBufferResponse(RopResponse, frozen=True, gc=False):
    """The next bytes of the stream; on failure none, but perhaps a delay ([MS-OXCROPS] 2.2.12.4).

    Some servers write nothing behind the ReturnValue of a failure. What is read then has the defaults, and is
    written in full.
    """

    rop_id = 0x4E
    fields_present_for = EVERY_RETURN_VALUE
    transfer_status: U16 = TRANSFER_ERROR
    in_progress_count: U16 = 0
    total_step_count: U16 = 0
    reserved: U8 = 0
    data: SizedBytes = b""
    backoff_time_ms: int = 0

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, _columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        fields: list[Any] = []
        if return_value == 0 or _failure_has_fields(reader):
            fields = list(layout_of(cls).read(reader))
            if return_value == SERVER_BUSY:
                fields.append(reader.u32("BackoffTime"))
        return cls(*[handle_index, *fields], return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        super().write(writer)
        if self.return_value == SERVER_BUSY:
            writer.u32(self.backoff_time_ms)


def _failure_has_fields(reader: Reader) -> bool:
    """Whether it is they that follow, not the response to another ROP."""
    if reader.remaining < _PROGRESS_AND_SIZE.size:
        return False
    status, *_progress, size = _PROGRESS_AND_SIZE.unpack_from(reader.data, reader.offset)
    return bool(status <= TRANSFER_DONE and size == 0)


class RopFastTransferSourceGetBufferRequest(InputRequest, frozen=True, gc=False):
    """Asks for up to ``buffer_size`` bytes; if that is 0xBABE, up to ``maximum_buffer_size``, as the server
    likes ([MS-OXCROPS] 2.2.12.4).
    """

    rop_id = 0x4E
    response = RopFastTransferSourceGetBufferResponse
    buffer_size: U16
    maximum_buffer_size: int = 0

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        buffer_size = prefix[-1]
        maximum = reader.u16("MaximumBufferSize") if buffer_size == MAXIMUM_BUFFER_SIZE_FOLLOWS else 0
        return cls(*[*prefix, maximum])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        if self.buffer_size == MAXIMUM_BUFFER_SIZE_FOLLOWS:
            writer.u16(self.maximum_buffer_size)


class RopFastTransferDestinationConfigureResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.1."""

    rop_id = 0x53


class RopFastTransferDestinationConfigureRequest(OpeningRequest, frozen=True, gc=False):
    """Opens an object for upload as a stream ([MS-OXCROPS] 2.2.12.1)."""

    rop_id = 0x53
    response = RopFastTransferDestinationConfigureResponse
    source_operation: U8
    copy_flags: U8 = 0


class RopFastTransferDestinationPutBufferResponse(TalkativeResponse, frozen=True, gc=False):
    """How many bytes were taken; none on failure ([MS-OXCROPS] 2.2.12.2)."""

    rop_id = 0x54
    first_bytes = (TRANSFER_ERROR, TRANSFER_PARTIAL)
    transfer_status: U16 = TRANSFER_ERROR
    in_progress_count: U16 = 0
    total_step_count: U16 = 0
    reserved: U8 = 0
    buffer_used_size: U16 = 0


class RopFastTransferDestinationPutBufferRequest(InputRequest, frozen=True, gc=False):
    """Uploads the next bytes of the stream ([MS-OXCROPS] 2.2.12.2)."""

    rop_id = 0x54
    response = RopFastTransferDestinationPutBufferResponse
    data: SizedBytes


_VERSION = Struct("<3H")


class _VersionForm:
    def read(self, reader: Reader, field: str) -> tuple[Any, ...]:
        return reader.unpack(_VERSION, field)

    def write(self, writer: Writer, value: Sequence[int]) -> None:
        writer.pack(_VERSION, *value)


class RopTellVersionResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.12.9."""

    rop_id = 0x86


class RopTellVersionRequest(InputRequest, frozen=True, gc=False):
    """Tells one server the version of another, between which a client copies ([MS-OXCROPS] 2.2.12.9)."""

    rop_id = 0x86
    response = RopTellVersionResponse
    version: Annotated[tuple[int, int, int], _VersionForm()]


REQUESTS = (
    RopFastTransferSourceCopyToRequest,
    RopFastTransferSourceCopyPropertiesRequest,
    RopFastTransferSourceCopyMessagesRequest,
    RopFastTransferSourceCopyFolderRequest,
    RopFastTransferSourceGetBufferRequest,
    RopFastTransferDestinationConfigureRequest,
    RopFastTransferDestinationPutBufferRequest,
    RopTellVersionRequest,
)
