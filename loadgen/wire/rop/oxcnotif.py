"""Notifications ([MS-OXCNOTIF] 2.2.1)."""

from collections.abc import Container
from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.base import OpeningRequest, RopResponse
from loadgen.wire.rop.layout import U16, layout_of

NEW_MAIL: Final = 0x0002
OBJECT_CREATED: Final = 0x0004
OBJECT_DELETED: Final = 0x0008
OBJECT_MODIFIED: Final = 0x0010
OBJECT_MOVED: Final = 0x0020
OBJECT_COPIED: Final = 0x0040
SEARCH_COMPLETE: Final = 0x0080
TABLE_MODIFIED: Final = 0x0100
EXTENDED: Final = 0x0400
"""NotificationTypes, and the kind of an event."""

STORE_EVENTS: Final = 0x00FE
"""All NotificationTypes but those of tables and extended ones, as Outlook asks for of a whole store."""

TABLE_CHANGED: Final = 1
TABLE_ROW_ADDED: Final = 3
TABLE_ROW_DELETED: Final = 4
TABLE_ROW_MODIFIED: Final = 5
TABLE_RESTRICTION_CHANGED: Final = 7
"""TableEventType."""

_KIND_MASK = 0x0FFF
_HAS_TOTAL_COUNT = 0x1000
_HAS_UNREAD_COUNT = 0x2000
_SEARCH_FOLDER = 0x4000
_MESSAGE = 0x8000
_OBJECT_KINDS = frozenset(
    (NEW_MAIL, OBJECT_CREATED, OBJECT_DELETED, OBJECT_MODIFIED, OBJECT_MOVED, OBJECT_COPIED, SEARCH_COMPLETE)
)
_KINDS_WITH_PARENT = frozenset((OBJECT_CREATED, OBJECT_DELETED, OBJECT_MOVED, OBJECT_COPIED))
_KINDS_WITH_OLD_PLACE = frozenset((OBJECT_MOVED, OBJECT_COPIED))
_KINDS_WITH_TAGS = frozenset((OBJECT_CREATED, OBJECT_MODIFIED))
_EVENTS_WITH_ROW = frozenset((TABLE_ROW_ADDED, TABLE_ROW_MODIFIED))
_NO_TAGS = 0xFFFF
_TAG = Struct("<I")


class RopRegisterNotificationResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.14.1."""

    rop_id = 0x29


class RopRegisterNotificationRequest(OpeningRequest, frozen=True, gc=False):
    """Asks to be told of events, in the whole store or of one object ([MS-OXCROPS] 2.2.14.1).

    Message id 0 names the folder itself.
    """

    rop_id = 0x29
    response = RopRegisterNotificationResponse
    notification_types: U16
    want_whole_store: bool = True
    folder_id: int = 0
    message_id: int = 0

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        notification_types = prefix[-1]
        if notification_types & EXTENDED:
            reader.u8("Reserved")
        if reader.u8("WantWholeStore"):
            return cls(*prefix)
        return cls(*[*prefix, False, reader.u64("FolderId"), reader.u64("MessageId")])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        if self.notification_types & EXTENDED:
            writer.u8(0)
        writer.u8(self.want_whole_store)
        if not self.want_whole_store:
            writer.u64(self.folder_id)
            writer.u64(self.message_id)


class TableRowId(msgspec.Struct, frozen=True, gc=False):
    """Names a row: a folder, or in a table of messages a message and which of its rows."""

    folder_id: int = 0
    message_id: int = 0
    instance: int = 0


class TableEvent(msgspec.Struct, frozen=True, gc=False):
    """Something happened to a table that is open.

    ``of_messages`` tells a table of messages from one of folders. ``row`` is there for rows deleted, added
    and modified, for the last two also ``insert_after`` and ``row_data``, which a
    :class:`~loadgen.wire.properties.PropertyRow` reads with the table's columns.
    """

    event_type: int
    of_messages: bool
    row: TableRowId = TableRowId()
    insert_after: TableRowId = TableRowId()
    row_data: bytes = b""
    in_search_folder: bool = False

    @property
    def flags(self) -> int:
        """NotificationFlags."""
        return TABLE_MODIFIED | self.of_messages * _MESSAGE | self.in_search_folder * _SEARCH_FOLDER

    @classmethod
    def read(cls, reader: Reader, flags: int) -> Self:
        """What stands behind NotificationFlags; raises :class:`WireError`."""
        event_type = reader.u16("TableEventType")
        of_messages, in_search_folder = bool(flags & _MESSAGE), bool(flags & _SEARCH_FOLDER)
        row = after = TableRowId()
        data = b""
        if event_type == TABLE_ROW_DELETED or event_type in _EVENTS_WITH_ROW:
            row = _read_row_id(reader, of_messages)
        if event_type in _EVENTS_WITH_ROW:
            after = _read_row_id(reader, of_messages)
            data = reader.take(reader.u16("TableRowDataSize"), "TableRowData")
        return cls(event_type, of_messages, row, after, data, in_search_folder)

    def write(self, writer: Writer) -> None:
        """What stands behind NotificationFlags."""
        writer.u16(self.event_type)
        if self.event_type == TABLE_ROW_DELETED or self.event_type in _EVENTS_WITH_ROW:
            _write_row_id(writer, self.row, self.of_messages)
        if self.event_type in _EVENTS_WITH_ROW:
            _write_row_id(writer, self.insert_after, self.of_messages)
            writer.u16(len(self.row_data))
            writer.raw(self.row_data)


class ObjectEvent(msgspec.Struct, frozen=True, gc=False):
    """Something happened to a folder or, if there is a ``message_id``, to a message in it.

    A folder that is created, deleted, moved or copied has a ``parent_folder_id``, and so has a message in a
    search folder. What moves or copies has an ``old_folder_id``, a message also an ``old_message_id`` and a
    folder an ``old_parent_folder_id``. ``property_tags`` (created, modified) is None when the server does not
    say what changed. ``message_flags``, ``message_class`` and ``is_unicode`` belong to new mail.
    """

    kind: int
    folder_id: int
    message_id: int | None = None
    in_search_folder: bool = False
    parent_folder_id: int = 0
    old_folder_id: int = 0
    old_message_id: int = 0
    old_parent_folder_id: int = 0
    property_tags: tuple[PropertyTag, ...] | None = ()
    total_count: int | None = None
    unread_count: int | None = None
    message_flags: int = 0
    message_class: str = ""
    is_unicode: bool = False

    @property
    def flags(self) -> int:
        """NotificationFlags."""
        return (
            self.kind
            | (self.total_count is not None) * _HAS_TOTAL_COUNT
            | (self.unread_count is not None) * _HAS_UNREAD_COUNT
            | self.in_search_folder * _SEARCH_FOLDER
            | (self.message_id is not None) * _MESSAGE
        )

    @classmethod
    def read(cls, reader: Reader, flags: int) -> Self:
        """What stands behind NotificationFlags; raises :class:`WireError`."""
        kind, of_message, in_search_folder = (
            flags & _KIND_MASK,
            bool(flags & _MESSAGE),
            bool(flags & _SEARCH_FOLDER),
        )
        fields: dict[str, int | str | tuple[int, ...] | None] = {"folder_id": reader.u64("FolderId")}
        if of_message:
            fields["message_id"] = reader.u64("MessageId")
        if _has_parent(kind, of_message, in_search_folder):
            fields["parent_folder_id"] = reader.u64("ParentFolderId")
        if kind in _KINDS_WITH_OLD_PLACE:
            fields["old_folder_id"] = reader.u64("OldFolderId")
            name = "old_message_id" if of_message else "old_parent_folder_id"
            fields[name] = reader.u64("OldMessageId")
        if kind in _KINDS_WITH_TAGS:
            fields["property_tags"] = _read_tags(reader)
        if flags & _HAS_TOTAL_COUNT:
            fields["total_count"] = reader.u32("TotalMessageCount")
        if flags & _HAS_UNREAD_COUNT:
            fields["unread_count"] = reader.u32("UnreadMessageCount")
        if kind == NEW_MAIL:
            fields["message_flags"] = reader.u32("MessageFlags")
            fields["is_unicode"] = is_unicode = bool(reader.u8("UnicodeFlag"))
            read = reader.utf16z if is_unicode else reader.asciiz
            fields["message_class"] = read("MessageClass")
        return cls(kind=kind, in_search_folder=in_search_folder, **fields)  # type: ignore[arg-type]  # as the fields are

    def write(self, writer: Writer) -> None:
        """What stands behind NotificationFlags."""
        writer.u64(self.folder_id)
        if self.message_id is not None:
            writer.u64(self.message_id)
        if _has_parent(self.kind, self.message_id is not None, self.in_search_folder):
            writer.u64(self.parent_folder_id)
        if self.kind in _KINDS_WITH_OLD_PLACE:
            writer.u64(self.old_folder_id)
            writer.u64(self.old_parent_folder_id if self.message_id is None else self.old_message_id)
        if self.kind in _KINDS_WITH_TAGS:
            _write_tags(writer, self.property_tags)
        for count in (self.total_count, self.unread_count):
            if count is not None:
                writer.u32(count)
        if self.kind == NEW_MAIL:
            writer.u32(self.message_flags)
            writer.u8(self.is_unicode)
            write = writer.utf16z if self.is_unicode else writer.asciiz
            write(self.message_class)


NotifyEvent: TypeAlias = TableEvent | ObjectEvent


class RopNotifyResponse(msgspec.Struct, frozen=True, gc=False):
    """An event, for the handle that RopRegisterNotification made or for a table ([MS-OXCROPS] 2.2.14.2)."""

    rop_id: ClassVar[int] = 0x2A
    notification_handle: int
    logon_id: int
    event: NotifyEvent

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """What stands behind RopId; raises :class:`WireError`, also for an event without a layout."""
        handle, logon_id = reader.u32("NotificationHandle"), reader.u8("LogonId")
        flags = reader.u16("NotificationFlags")
        kind = flags & _KIND_MASK
        if kind in _OBJECT_KINDS:
            return cls(handle, logon_id, ObjectEvent.read(reader, flags))
        if kind == TABLE_MODIFIED and not flags & (_HAS_TOTAL_COUNT | _HAS_UNREAD_COUNT):
            return cls(handle, logon_id, TableEvent.read(reader, flags))
        raise WireError("NotificationFlags", reader.offset - 2, f"0x{flags:04X} names no event")

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        writer.u8(self.rop_id)
        writer.u32(self.notification_handle)
        writer.u8(self.logon_id)
        writer.u16(self.event.flags)
        self.event.write(writer)


class RopPendingResponse(msgspec.Struct, frozen=True, gc=False):
    """A linked session has more to fetch; a hint only ([MS-OXCROPS] 2.2.14.3)."""

    rop_id: ClassVar[int] = 0x6E
    session_index: int

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """What stands behind RopId; raises :class:`WireError`."""
        return cls(reader.u16("SessionIndex"))

    def write(self, writer: Writer) -> None:
        """RopId and the session's index."""
        writer.u8(self.rop_id)
        writer.u16(self.session_index)


REQUESTS = (RopRegisterNotificationRequest,)


def _has_parent(kind: int, of_message: bool, in_search_folder: bool) -> bool:
    return kind in _KINDS_WITH_PARENT and of_message == in_search_folder


def _read_row_id(reader: Reader, of_messages: bool) -> TableRowId:
    folder_id = reader.u64("TableRowFolderID")
    if not of_messages:
        return TableRowId(folder_id)
    return TableRowId(folder_id, reader.u64("TableRowMessageID"), reader.u32("TableRowInstance"))


def _write_row_id(writer: Writer, row: TableRowId, of_messages: bool) -> None:
    writer.u64(row.folder_id)
    if of_messages:
        writer.u64(row.message_id)
        writer.u32(row.instance)


def _read_tags(reader: Reader) -> tuple[PropertyTag, ...] | None:
    count = reader.u16("TagCount")
    if count == _NO_TAGS:
        return None
    return tuple(tag for (tag,) in _TAG.iter_unpack(reader.take(count * _TAG.size, "Tags")))


def _write_tags(writer: Writer, tags: tuple[PropertyTag, ...] | None) -> None:
    writer.u16(_NO_TAGS if tags is None else len(tags))
    for tag in tags or ():
        writer.u32(tag)
