"""ROPs of properties and streams ([MS-OXCPRPT] 2.2)."""

from collections.abc import Container, Sequence
from typing import Annotated, Final, Self

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyRow, PropertyTag
from loadgen.wire.property_names import PropertyName
from loadgen.wire.rop.base import (
    ColumnsOf,
    InputRequest,
    OpeningRequest,
    RopResponse,
    TalkativeResponse,
)
from loadgen.wire.rop.layout import (
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool8,
    PropertyIds,
    PropertyProblems,
    PropertyTags,
    PropertyValues,
    SizedBytes,
    SizedPropertyValues,
    layout_of,
)

STREAM_READ_ONLY: Final = 0
STREAM_READ_WRITE: Final = 1
STREAM_CREATE: Final = 2
"""OpenModeFlags of RopOpenStream."""

SEEK_BEGINNING: Final = 0
SEEK_CURRENT: Final = 1
SEEK_END: Final = 2
"""Origin of RopSeekStream."""

LOOK_UP_ONLY: Final = 0
CREATE_NAMES: Final = 2
"""Flags of RopGetPropertyIdsFromNames."""

WARN_WITH_ERRORS: Final = 0x00040380
"""The ReturnValue when some of the names have no id."""

MAXIMUM_BYTE_COUNT_FOLLOWS: Final = 0xBABE
"""ByteCount of RopReadStream that sends the reader to the 32-bit count behind it."""


class RopGetPropertiesSpecificResponse(RopResponse, frozen=True):
    """The values of the tags that were asked for ([MS-OXCROPS] 2.2.8.3)."""

    rop_id = 0x07
    row: PropertyRow

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        return cls(handle_index, PropertyRow.read(reader, columns), return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the row."""
        super().write(writer)
        self.row.write(writer)


class RopGetPropertiesSpecificRequest(InputRequest, frozen=True, gc=False):
    """Asks for some properties; limit 0 means any size ([MS-OXCROPS] 2.2.8.3)."""

    rop_id = 0x07
    response = RopGetPropertiesSpecificResponse
    property_size_limit: U16
    want_unicode: U16
    property_tags: PropertyTags

    def response_columns(self, _columns_of: ColumnsOf) -> Sequence[PropertyTag]:
        """The tags that are asked for."""
        return self.property_tags


class RopGetPropertiesAllResponse(RopResponse, frozen=True):
    """All properties; those too large have the type PtypErrorCode ([MS-OXCROPS] 2.2.8.4)."""

    rop_id = 0x08
    values: PropertyValues


class RopGetPropertiesAllRequest(InputRequest, frozen=True, gc=False):
    """Asks for all properties; limit 0 means any size ([MS-OXCROPS] 2.2.8.4)."""

    rop_id = 0x08
    response = RopGetPropertiesAllResponse
    property_size_limit: U16 = 0
    want_unicode: U16 = 1


class RopGetPropertiesListResponse(RopResponse, frozen=True, gc=False):
    """The tags of all properties ([MS-OXCROPS] 2.2.8.5)."""

    rop_id = 0x09
    property_tags: PropertyTags


class RopGetPropertiesListRequest(InputRequest, frozen=True, gc=False):
    """Asks which properties there are ([MS-OXCROPS] 2.2.8.5)."""

    rop_id = 0x09
    response = RopGetPropertiesListResponse


class RopSetPropertiesResponse(RopResponse, frozen=True):
    """What could not be set ([MS-OXCROPS] 2.2.8.6)."""

    rop_id = 0x0A
    problems: PropertyProblems = ()


class RopSetPropertiesRequest(InputRequest, frozen=True):
    """Sets properties ([MS-OXCROPS] 2.2.8.6)."""

    rop_id = 0x0A
    response = RopSetPropertiesResponse
    values: SizedPropertyValues


class RopDeletePropertiesResponse(RopResponse, frozen=True):
    """What could not be deleted ([MS-OXCROPS] 2.2.8.8)."""

    rop_id = 0x0B
    problems: PropertyProblems = ()


class RopDeletePropertiesRequest(InputRequest, frozen=True, gc=False):
    """Deletes properties ([MS-OXCROPS] 2.2.8.8)."""

    rop_id = 0x0B
    response = RopDeletePropertiesResponse
    property_tags: PropertyTags


class _PropertyNamesForm:
    def read(self, reader: Reader, field: str) -> tuple[PropertyName, ...]:
        return tuple(PropertyName.read(reader) for _ in range(reader.u16(field)))

    def write(self, writer: Writer, value: Sequence[PropertyName]) -> None:
        writer.u16(len(value))
        for name in value:
            name.write(writer)


class RopGetNamesFromPropertyIdsResponse(RopResponse, frozen=True):
    """A name for each id ([MS-OXCROPS] 2.2.8.2)."""

    rop_id = 0x55
    names: Annotated[tuple[PropertyName, ...], _PropertyNamesForm()]


class RopGetNamesFromPropertyIdsRequest(InputRequest, frozen=True, gc=False):
    """Asks for the names of properties ([MS-OXCROPS] 2.2.8.2)."""

    rop_id = 0x55
    response = RopGetNamesFromPropertyIdsResponse
    property_ids: PropertyIds


class RopGetPropertyIdsFromNamesResponse(RopResponse, frozen=True, gc=False):
    """An id for each name, 0 where there is none ([MS-OXCROPS] 2.2.8.1)."""

    rop_id = 0x56
    fields_present_for = (0, WARN_WITH_ERRORS)
    property_ids: PropertyIds


class RopGetPropertyIdsFromNamesRequest(InputRequest, frozen=True):
    """Asks for the ids of named properties, and may make them ([MS-OXCROPS] 2.2.8.1)."""

    rop_id = 0x56
    response = RopGetPropertyIdsFromNamesResponse
    flags: U8
    names: Annotated[tuple[PropertyName, ...], _PropertyNamesForm()]


class RopProgressResponse(RopResponse, frozen=True, gc=False):
    """How far a ROP has come that goes on in the background ([MS-OXCROPS] 2.2.8.13)."""

    rop_id = 0x50
    logon_id: U8
    completed_task_count: U32
    total_task_count: U32


class RopProgressRequest(InputRequest, frozen=True, gc=False):
    """Asks how far it has come, or ends it ([MS-OXCROPS] 2.2.8.13)."""

    rop_id = 0x50
    response = RopProgressResponse
    want_cancel: Bool8 = False


class RopOpenStreamResponse(RopResponse, frozen=True, gc=False):
    """The stream's size in bytes ([MS-OXCROPS] 2.2.9.1)."""

    rop_id = 0x2B
    stream_size: U32


class RopOpenStreamRequest(OpeningRequest, frozen=True, gc=False):
    """Opens one property as a stream ([MS-OXCROPS] 2.2.9.1)."""

    rop_id = 0x2B
    response = RopOpenStreamResponse
    property_tag: U32
    open_mode_flags: U8 = STREAM_READ_ONLY


class RopReadStreamResponse(TalkativeResponse, frozen=True, gc=False):
    """The next bytes, none at the end and on failure ([MS-OXCROPS] 2.2.9.2)."""

    rop_id = 0x2C
    first_bytes = (0,)
    data: SizedBytes = b""


class RopReadStreamRequest(InputRequest, frozen=True, gc=False):
    """Reads up to ``byte_count`` bytes, if that is 0xBABE ``maximum_byte_count`` ([MS-OXCROPS] 2.2.9.2)."""

    rop_id = 0x2C
    response = RopReadStreamResponse
    byte_count: U16
    maximum_byte_count: int = 0

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        byte_count = prefix[-1]
        maximum = reader.u32("MaximumByteCount") if byte_count == MAXIMUM_BYTE_COUNT_FOLLOWS else 0
        return cls(*[*prefix, maximum])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        if self.byte_count == MAXIMUM_BYTE_COUNT_FOLLOWS:
            writer.u32(self.maximum_byte_count)


class RopWriteStreamResponse(TalkativeResponse, frozen=True, gc=False):
    """How many bytes were written, of which a failure may tell, too ([MS-OXCROPS] 2.2.9.3)."""

    rop_id = 0x2D
    written_size: U16


class RopWriteStreamRequest(InputRequest, frozen=True, gc=False):
    """Writes bytes at the stream's position ([MS-OXCROPS] 2.2.9.3)."""

    rop_id = 0x2D
    response = RopWriteStreamResponse
    data: SizedBytes


class RopCommitStreamResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.9.5."""

    rop_id = 0x5D


class RopCommitStreamRequest(InputRequest, frozen=True, gc=False):
    """Hands what was written over to the object ([MS-OXCROPS] 2.2.9.5)."""

    rop_id = 0x5D
    response = RopCommitStreamResponse


class RopGetStreamSizeResponse(RopResponse, frozen=True, gc=False):
    """The size in bytes ([MS-OXCROPS] 2.2.9.6)."""

    rop_id = 0x5E
    stream_size: U32


class RopGetStreamSizeRequest(InputRequest, frozen=True, gc=False):
    """Asks for the size ([MS-OXCROPS] 2.2.9.6)."""

    rop_id = 0x5E
    response = RopGetStreamSizeResponse


class RopSetStreamSizeResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.9.7."""

    rop_id = 0x2F


class RopSetStreamSizeRequest(InputRequest, frozen=True, gc=False):
    """Makes the stream that long ([MS-OXCROPS] 2.2.9.7)."""

    rop_id = 0x2F
    response = RopSetStreamSizeResponse
    stream_size: U64


class RopSeekStreamResponse(RopResponse, frozen=True, gc=False):
    """Where the stream stands now ([MS-OXCROPS] 2.2.9.8)."""

    rop_id = 0x2E
    new_position: U64


class RopSeekStreamRequest(InputRequest, frozen=True, gc=False):
    """Moves the stream's position ([MS-OXCROPS] 2.2.9.8)."""

    rop_id = 0x2E
    response = RopSeekStreamResponse
    origin: U8
    offset: I64


REQUESTS = (
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesAllRequest,
    RopGetPropertiesListRequest,
    RopSetPropertiesRequest,
    RopDeletePropertiesRequest,
    RopGetNamesFromPropertyIdsRequest,
    RopGetPropertyIdsFromNamesRequest,
    RopProgressRequest,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopWriteStreamRequest,
    RopCommitStreamRequest,
    RopGetStreamSizeRequest,
    RopSetStreamSizeRequest,
    RopSeekStreamRequest,
)
