"""ROPs that bring a client's own changes to the server ([MS-OXCFXICS] 2.2.3.2.4).

Objects are named by source keys: replica GUID and counter, 22 bytes.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Annotated, Final

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PtypMultipleBinary, read_value, write_value
from loadgen.wire.rop.base import InputRequest, OpeningRequest, RopResponse
from loadgen.wire.rop.layout import (
    U8,
    U32,
    U64,
    Bool8,
    Fixed,
    Guid,
    LongSizedBytes,
    PropertyValues,
)

IMPORT_ASSOCIATED: Final = 0x10
IMPORT_FAIL_ON_CONFLICT: Final = 0x40
"""ImportFlag."""

DELETE_HIERARCHY: Final = 0x01
DELETE_HARD: Final = 0x02
"""ImportDeleteFlags."""

NEWER_CLIENT_CHANGE: Final = 0x00040821
"""The ReturnValue of a move that succeeded, though the client's version of the message is the newer one."""


class RopSynchronizationOpenCollectorResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.7."""

    rop_id = 0x7E


class RopSynchronizationOpenCollectorRequest(OpeningRequest, frozen=True, gc=False):
    """Opens a folder for upload of changes to its messages, or to its subfolders ([MS-OXCROPS] 2.2.13.7)."""

    rop_id = 0x7E
    response = RopSynchronizationOpenCollectorResponse
    is_contents_collector: Bool8


class RopSynchronizationImportMessageChangeResponse(RopResponse, frozen=True, gc=False):
    """The message's id, zero from real servers ([MS-OXCROPS] 2.2.13.2)."""

    rop_id = 0x72
    message_id: U64 = 0


class RopSynchronizationImportMessageChangeRequest(OpeningRequest, frozen=True):
    """Opens a new or changed message for writing; ``values`` are source key, modification time, change key
    and predecessor change list ([MS-OXCROPS] 2.2.13.2).
    """

    rop_id = 0x72
    response = RopSynchronizationImportMessageChangeResponse
    import_flag: U8
    values: PropertyValues


class RopSynchronizationImportHierarchyChangeResponse(RopResponse, frozen=True, gc=False):
    """The folder's id, zero from real servers ([MS-OXCROPS] 2.2.13.4)."""

    rop_id = 0x73
    folder_id: U64 = 0


class RopSynchronizationImportHierarchyChangeRequest(InputRequest, frozen=True):
    """Makes or changes a folder: what identifies it, then what it holds ([MS-OXCROPS] 2.2.13.4)."""

    rop_id = 0x73
    response = RopSynchronizationImportHierarchyChangeResponse
    hierarchy_values: PropertyValues
    values: PropertyValues = ()


class _SourceKeysForm:
    """A list of one property without an id, which holds all keys."""

    def read(self, reader: Reader, field: str) -> tuple[bytes, ...]:
        start = reader.offset
        count, tag = reader.u16(field), reader.u32(field)
        if (count, tag) != (1, PtypMultipleBinary):
            raise WireError(field, start, f"{count} values, the first of tag 0x{tag:08X}")
        keys: tuple[bytes, ...] = read_value(reader, PtypMultipleBinary)
        return keys

    def write(self, writer: Writer, value: Sequence[bytes]) -> None:
        writer.u16(1)
        writer.u32(PtypMultipleBinary)
        write_value(writer, PtypMultipleBinary, value)


class RopSynchronizationImportDeletesResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.5."""

    rop_id = 0x74


class RopSynchronizationImportDeletesRequest(InputRequest, frozen=True, gc=False):
    """Deletes messages or folders by their source keys ([MS-OXCROPS] 2.2.13.5)."""

    rop_id = 0x74
    response = RopSynchronizationImportDeletesResponse
    import_delete_flags: U8
    source_keys: Annotated[tuple[bytes, ...], _SourceKeysForm()]


class RopSynchronizationImportMessageMoveResponse(RopResponse, frozen=True, gc=False):
    """The message's id, zero from real servers ([MS-OXCROPS] 2.2.13.6)."""

    rop_id = 0x78
    fields_present_for = (0, NEWER_CLIENT_CHANGE)
    message_id: U64 = 0


class RopSynchronizationImportMessageMoveRequest(InputRequest, frozen=True, gc=False):
    """Moves a message into the collector's folder, under a source key of the client's own
    ([MS-OXCROPS] 2.2.13.6).
    """

    rop_id = 0x78
    response = RopSynchronizationImportMessageMoveResponse
    source_folder_id: LongSizedBytes
    source_message_id: LongSizedBytes
    predecessor_change_list: LongSizedBytes
    destination_message_id: LongSizedBytes
    change_number: LongSizedBytes


class MessageReadState(msgspec.Struct, frozen=True, gc=False):
    """A message, by its source key, that was marked read or unread ([MS-OXCROPS] 2.2.13.3.1.1)."""

    message_id: bytes
    mark_as_read: bool


class _ReadStatesForm:
    """As many as the size of the list holds."""

    def read(self, reader: Reader, field: str) -> tuple[MessageReadState, ...]:
        states: list[MessageReadState] = []
        with reader.limited_to(reader.u16(field), field):
            while reader.remaining:
                message_id = reader.take(reader.u16("MessageIdSize"), "MessageId")
                states.append(MessageReadState(message_id, bool(reader.u8("MarkAsRead"))))
        return tuple(states)

    def write(self, writer: Writer, value: Sequence[MessageReadState]) -> None:
        start = len(writer)
        writer.u16(0)
        for state in value:
            writer.u16(len(state.message_id))
            writer.raw(state.message_id)
            writer.u8(state.mark_as_read)
        writer.patch_u16(start, len(writer) - start - 2)


class RopSynchronizationImportReadStateChangesResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.3."""

    rop_id = 0x80


class RopSynchronizationImportReadStateChangesRequest(InputRequest, frozen=True):
    """Marks messages read or unread ([MS-OXCROPS] 2.2.13.3)."""

    rop_id = 0x80
    response = RopSynchronizationImportReadStateChangesResponse
    message_read_states: Annotated[tuple[MessageReadState, ...], _ReadStatesForm()]


class RopGetLocalReplicaIdsResponse(RopResponse, frozen=True, gc=False):
    """The first of the range: replica GUID and counter, six bytes big-endian ([MS-OXCROPS] 2.2.13.13)."""

    rop_id = 0x7F
    replica_guid: Guid
    global_count: Annotated[bytes, Fixed("6s")]


class RopGetLocalReplicaIdsRequest(InputRequest, frozen=True, gc=False):
    """Reserves ids for messages that the client makes ([MS-OXCROPS] 2.2.13.13)."""

    rop_id = 0x7F
    response = RopGetLocalReplicaIdsResponse
    id_count: U32


_LONG_TERM_ID_RANGE = Struct("<24s24s")


class LongTermIdRange(msgspec.Struct, frozen=True, gc=False):
    """Ids of one replica, both ends included ([MS-OXCROPS] 2.2.13.12.1.1)."""

    minimum: bytes
    maximum: bytes


class _IdRangesForm:
    """Their size in bytes, their count, and the ranges."""

    def read(self, reader: Reader, field: str) -> tuple[LongTermIdRange, ...]:
        with reader.limited_to(reader.u16(field), field):
            data = reader.take(reader.u32(field) * _LONG_TERM_ID_RANGE.size, field)
        return tuple(LongTermIdRange(*ends) for ends in _LONG_TERM_ID_RANGE.iter_unpack(data))

    def write(self, writer: Writer, value: Sequence[LongTermIdRange]) -> None:
        writer.u16(4 + len(value) * _LONG_TERM_ID_RANGE.size)
        writer.u32(len(value))
        for ids in value:
            writer.pack(_LONG_TERM_ID_RANGE, ids.minimum, ids.maximum)


class RopSetLocalReplicaMidsetDeletedResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.12."""

    rop_id = 0x93


class RopSetLocalReplicaMidsetDeletedRequest(InputRequest, frozen=True):
    """Gives back reserved ids that will never be used ([MS-OXCROPS] 2.2.13.12)."""

    rop_id = 0x93
    response = RopSetLocalReplicaMidsetDeletedResponse
    ranges: Annotated[tuple[LongTermIdRange, ...], _IdRangesForm()]


REQUESTS = (
    RopSynchronizationOpenCollectorRequest,
    RopSynchronizationImportMessageChangeRequest,
    RopSynchronizationImportHierarchyChangeRequest,
    RopSynchronizationImportDeletesRequest,
    RopSynchronizationImportMessageMoveRequest,
    RopSynchronizationImportReadStateChangesRequest,
    RopGetLocalReplicaIdsRequest,
    RopSetLocalReplicaMidsetDeletedRequest,
)
