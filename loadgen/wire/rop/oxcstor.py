"""ROPs of the store: logon and what belongs to it ([MS-OXCSTOR] 2.2.1)."""

from collections.abc import Sequence
from datetime import datetime
from struct import Struct
from typing import Annotated, Final

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import (
    PidTagFolderId,
    PidTagLastModificationTime,
    PropertyRow,
)
from loadgen.wire.rop.base import InputRequest, RopRequest, RopResponse
from loadgen.wire.rop.layout import U8, U16, U32, U64, Asciiz, Fixed, Guid, LongTermId, LongTermIds
from loadgen.wire.rop.replicas import GhostedReplicas, Replicas

PRIVATE: Final = 0x01
UNDERCOVER: Final = 0x02
GHOSTED: Final = 0x04
SPOOLER_PROCESS: Final = 0x08
"""LogonFlags."""

USE_ADMIN_PRIVILEGE: Final = 0x00000001
PUBLIC: Final = 0x00000002
HOME_LOGON: Final = 0x00000004
TAKE_OWNERSHIP: Final = 0x00000008
ALTERNATE_SERVER: Final = 0x00000100
IGNORE_HOME_MDB: Final = 0x00000200
NO_MAIL: Final = 0x00000400
USE_PER_MDB_REPLICA_IDS: Final = 0x01000000
SUPPORT_PROGRESS: Final = 0x20000000
"""OpenFlags."""

WRONG_SERVER: Final = 0x00000478
"""The ReturnValue that redirects."""

FOLDER_COUNT: Final = 13
ROOT: Final = 0
"""Position in ``folder_ids`` of both kinds of logon."""

DEFERRED_ACTIONS: Final = 1
SPOOLER_QUEUE: Final = 2
IPM_SUBTREE: Final = 3
INBOX: Final = 4
OUTBOX: Final = 5
SENT_ITEMS: Final = 6
DELETED_ITEMS: Final = 7
COMMON_VIEWS: Final = 8
SCHEDULE: Final = 9
SEARCH: Final = 10
VIEWS: Final = 11
SHORTCUTS: Final = 12
"""Positions in ``folder_ids`` of a private logon."""

PUBLIC_IPM_SUBTREE: Final = 1
PUBLIC_NON_IPM_SUBTREE: Final = 2
PUBLIC_EFORMS_REGISTRY: Final = 3
PUBLIC_FREE_BUSY: Final = 4
PUBLIC_OFFLINE_ADDRESS_BOOK: Final = 5
"""Positions in ``folder_ids`` of a public logon."""

_FOLDER_IDS = Struct(f"<{FOLDER_COUNT}Q")
_LOGON_TIME = Struct("<6BH")
_RECEIVE_FOLDER_COLUMNS = (PidTagFolderId, 0x001A001E, PidTagLastModificationTime)


def logon_time(when: datetime) -> bytes:
    """LogonTime ([MS-OXCSTOR] 2.2.1.1.3): seconds, minutes, hour, day of week, day, month, year, in UTC."""
    day_of_week = when.isoweekday() % 7
    return _LOGON_TIME.pack(when.second, when.minute, when.hour, day_of_week, when.day, when.month, when.year)


class _FolderIdsForm:
    def read(self, reader: Reader, field: str) -> tuple[int, ...]:
        return reader.unpack(_FOLDER_IDS, field)

    def write(self, writer: Writer, value: tuple[int, ...]) -> None:
        writer.pack(_FOLDER_IDS, *value)


class _SizedTextForm:
    """A string and its NUL behind their size; size 0 is how no string is written."""

    def __init__(self, size: Struct) -> None:
        self._size = size

    def read(self, reader: Reader, field: str) -> str:
        (size,) = reader.unpack(self._size, field)
        if size == 0:
            return ""
        with reader.limited_to(size, field):
            return reader.asciiz(field)

    def write(self, writer: Writer, value: str) -> None:
        writer.pack(self._size, len(value) + 1 if value else 0)
        if value:
            writer.asciiz(value)


class RopLogonPrivateResponse(RopResponse, frozen=True, gc=False):
    """A mailbox is open ([MS-OXCROPS] 2.2.3.1.2)."""

    rop_id = 0xFE
    logon_flags: U8
    folder_ids: Annotated[tuple[int, ...], _FolderIdsForm()]
    response_flags: U8
    mailbox_guid: Guid
    replica_id: U16
    replica_guid: Guid
    logon_time: Annotated[bytes, Fixed("8s")]
    gwart_time: U64
    store_state: U32 = 0


class RopLogonPublicResponse(RopResponse, frozen=True, gc=False):
    """The public folders are open ([MS-OXCROPS] 2.2.3.1.3)."""

    rop_id = 0xFE
    logon_flags: U8
    folder_ids: Annotated[tuple[int, ...], _FolderIdsForm()]
    replica_id: U16
    replica_guid: Guid
    per_user_guid: Guid


class RopLogonRedirectResponse(RopResponse, frozen=True, gc=False):
    """Another server has the mailbox; its legacy DN says which ([MS-OXCROPS] 2.2.3.1.4)."""

    rop_id = 0xFE
    fields_present_for = (WRONG_SERVER,)
    logon_flags: U8
    server_name: Annotated[str, _SizedTextForm(Struct("<B"))]


class RopLogonRequest(RopRequest, frozen=True, gc=False):
    """Opens a mailbox by its legacy DN, or the public folders ([MS-OXCROPS] 2.2.3.1.1)."""

    rop_id = 0xFE
    response = RopLogonPrivateResponse
    output_handle_index: U8
    logon_flags: U8
    open_flags: U32
    store_state: U32 = 0
    essdn: Annotated[str, _SizedTextForm(Struct("<H"))] = ""

    def response_type(self, return_value: int) -> type[RopResponse]:
        """By the redirection, then by the kind of store that was asked for."""
        if return_value == WRONG_SERVER:
            return RopLogonRedirectResponse
        return RopLogonPrivateResponse if self.logon_flags & PRIVATE else RopLogonPublicResponse


class RopGetReceiveFolderResponse(RopResponse, frozen=True, gc=False):
    """Where messages of the class arrive ([MS-OXCROPS] 2.2.3.2)."""

    rop_id = 0x27
    folder_id: U64
    explicit_message_class: Asciiz


class RopGetReceiveFolderRequest(InputRequest, frozen=True, gc=False):
    """Asks where messages of a class arrive ([MS-OXCROPS] 2.2.3.2)."""

    rop_id = 0x27
    response = RopGetReceiveFolderResponse
    message_class: Asciiz


class _ReceiveFolderRowsForm:
    def read(self, reader: Reader, field: str) -> tuple[PropertyRow, ...]:
        count = reader.u32(field)
        return tuple(PropertyRow.read(reader, _RECEIVE_FOLDER_COLUMNS) for _ in range(count))

    def write(self, writer: Writer, value: Sequence[PropertyRow]) -> None:
        writer.u32(len(value))
        for row in value:
            row.write(writer)


def receive_folder_row(folder_id: int, message_class: str, last_modified: int) -> PropertyRow:
    """A row of the receive folder table; ``last_modified`` is a FILETIME."""
    return PropertyRow.of(_RECEIVE_FOLDER_COLUMNS, (folder_id, message_class, last_modified))


class RopGetReceiveFolderTableResponse(RopResponse, frozen=True):
    """All receive folders: folder, message class, last change ([MS-OXCROPS] 2.2.3.4)."""

    rop_id = 0x68
    rows: Annotated[tuple[PropertyRow, ...], _ReceiveFolderRowsForm()]


class RopGetReceiveFolderTableRequest(InputRequest, frozen=True, gc=False):
    """Asks for all receive folders ([MS-OXCROPS] 2.2.3.4)."""

    rop_id = 0x68
    response = RopGetReceiveFolderTableResponse


class RopGetStoreStateResponse(RopResponse, frozen=True, gc=False):
    """Whether the mailbox has active search folders ([MS-OXCROPS] 2.2.3.5)."""

    rop_id = 0x7B
    store_state: U32


class RopGetStoreStateRequest(InputRequest, frozen=True, gc=False):
    """Asks for the state of the mailbox ([MS-OXCROPS] 2.2.3.5)."""

    rop_id = 0x7B
    response = RopGetStoreStateResponse


class RopGetOwningServersResponse(RopResponse, frozen=True):
    """The servers with a replica of a public folder ([MS-OXCROPS] 2.2.3.6)."""

    rop_id = 0x42
    servers: Replicas


class RopGetOwningServersRequest(InputRequest, frozen=True, gc=False):
    """Asks which servers have a replica of a public folder ([MS-OXCROPS] 2.2.3.6)."""

    rop_id = 0x42
    response = RopGetOwningServersResponse
    folder_id: U64


class RopPublicFolderIsGhostedResponse(RopResponse, frozen=True):
    """None if this server has the folder's content, else who has ([MS-OXCROPS] 2.2.3.7)."""

    rop_id = 0x45
    servers: GhostedReplicas = None


class RopPublicFolderIsGhostedRequest(InputRequest, frozen=True, gc=False):
    """Asks whether a public folder's content is on another server ([MS-OXCROPS] 2.2.3.7)."""

    rop_id = 0x45
    response = RopPublicFolderIsGhostedResponse
    folder_id: U64


class RopLongTermIdFromIdResponse(RopResponse, frozen=True, gc=False):
    """The 24 bytes that name the object everywhere ([MS-OXCROPS] 2.2.3.8)."""

    rop_id = 0x43
    long_term_id: LongTermId


class RopLongTermIdFromIdRequest(InputRequest, frozen=True, gc=False):
    """Asks for the long form of a FID or MID ([MS-OXCROPS] 2.2.3.8)."""

    rop_id = 0x43
    response = RopLongTermIdFromIdResponse
    object_id: U64


class RopIdFromLongTermIdResponse(RopResponse, frozen=True, gc=False):
    """The FID or MID of this logon ([MS-OXCROPS] 2.2.3.9)."""

    rop_id = 0x44
    object_id: U64


class RopIdFromLongTermIdRequest(InputRequest, frozen=True, gc=False):
    """Asks for the short form of a LongTermID ([MS-OXCROPS] 2.2.3.9)."""

    rop_id = 0x44
    response = RopIdFromLongTermIdResponse
    long_term_id: LongTermId


class RopGetPerUserLongTermIdsResponse(RopResponse, frozen=True):
    """The public folders of which the mailbox keeps read states ([MS-OXCROPS] 2.2.3.10)."""

    rop_id = 0x60
    long_term_ids: LongTermIds


class RopGetPerUserLongTermIdsRequest(InputRequest, frozen=True, gc=False):
    """Asks for folders of one public store ([MS-OXCROPS] 2.2.3.10)."""

    rop_id = 0x60
    response = RopGetPerUserLongTermIdsResponse
    database_guid: Guid


class RopGetPerUserGuidResponse(RopResponse, frozen=True, gc=False):
    """The public store that a folder's read states belong to ([MS-OXCROPS] 2.2.3.11)."""

    rop_id = 0x61
    database_guid: Guid


class RopGetPerUserGuidRequest(InputRequest, frozen=True, gc=False):
    """Asks for the public store of a folder ([MS-OXCROPS] 2.2.3.11)."""

    rop_id = 0x61
    response = RopGetPerUserGuidResponse
    long_term_id: LongTermId


REQUESTS = (
    RopLogonRequest,
    RopGetReceiveFolderRequest,
    RopGetReceiveFolderTableRequest,
    RopGetStoreStateRequest,
    RopGetOwningServersRequest,
    RopPublicFolderIsGhostedRequest,
    RopLongTermIdFromIdRequest,
    RopIdFromLongTermIdRequest,
    RopGetPerUserLongTermIdsRequest,
    RopGetPerUserGuidRequest,
)
