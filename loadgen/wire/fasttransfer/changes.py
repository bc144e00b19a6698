"""What a synchronisation tells: changes, deletions, read states ([MS-OXCFXICS] 2.2.4.2).

Each class names its element there.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, Self

import msgspec

from loadgen.wire.buffer import Reader
from loadgen.wire.fasttransfer.elements import Element, Property
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    FXErrorInfo,
    IncrSyncChg,
    IncrSyncChgPartial,
    IncrSyncDel,
    IncrSyncGroupInfo,
    IncrSyncMessage,
    IncrSyncProgressMode,
    IncrSyncProgressPerMsg,
    IncrSyncRead,
    MetaTagIdsetDeleted,
    MetaTagIdsetExpired,
    MetaTagIdsetNoLongerInScope,
    MetaTagIdsetRead,
    MetaTagIdsetUnread,
    MetaTagIncrementalSyncMessagePartial,
    MetaTagIncrSyncGroupId,
)
from loadgen.wire.fasttransfer.message import MessageContent
from loadgen.wire.idset import IdSetByReplId
from loadgen.wire.properties import (
    PidTagAssociated,
    PidTagChangeKey,
    PidTagChangeNumber,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagLastModificationTime,
    PidTagMessageSize,
    PidTagMid,
    PidTagParentFolderId,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagSourceKey,
    PropertyTag,
    Value,
)

_PROGRESS_TOTAL: Final = 0x00000102
_PROGRESS_MESSAGE_SIZE: Final = 0x00000003
_PROGRESS_ASSOCIATED: Final = 0x0000000B
_GROUP_INFO: Final = 0x00000102
"""Properties without an id, which have a meaning by their place."""

_PROGRESS_LAYOUT = Struct("<HHIQIIQ")


class ProgressTotal(msgspec.Struct, frozen=True, gc=False):
    """How much there is to come, in messages and bytes (progressTotal)."""

    associated_count: int
    associated_size: int
    normal_count: int
    normal_size: int

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncProgressMode; raises :class:`WireError`."""
        reader.take_marker(IncrSyncProgressMode)
        value = Reader(reader.take_value(_PROGRESS_TOTAL))
        version, _, associated_count, associated_size, normal_count, _, normal_size = value.unpack(
            _PROGRESS_LAYOUT, "ProgressInformation"
        )
        value.expect_end("ProgressInformation")
        if version:
            raise reader.error("Version", f"{version} of ProgressInformation")
        return cls(associated_count, associated_size, normal_count, normal_size)

    def elements(self) -> Iterator[Element]:
        """The marker and one property."""
        yield IncrSyncProgressMode
        yield Property(
            _PROGRESS_TOTAL,
            _PROGRESS_LAYOUT.pack(
                0, 0, self.associated_count, self.associated_size, self.normal_count, 0, self.normal_size
            ),
        )


class ProgressPerMessage(msgspec.Struct, frozen=True, gc=False):
    """Stands before a change: how large it is, in bytes (progressPerMessage)."""

    message_size: int
    associated: bool

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncProgressPerMsg; raises :class:`WireError`."""
        reader.take_marker(IncrSyncProgressPerMsg)
        return cls(reader.take_value(_PROGRESS_MESSAGE_SIZE), reader.take_value(_PROGRESS_ASSOCIATED))

    def elements(self) -> Iterator[Element]:
        """The marker and two properties."""
        yield IncrSyncProgressPerMsg
        yield Property(_PROGRESS_MESSAGE_SIZE, self.message_size)
        yield Property(_PROGRESS_ASSOCIATED, self.associated)


def _pick(reader: ElementReader, tags: Sequence[PropertyTag], required: int) -> list[Value]:
    """The values of ``tags``, None if absent unless among the first ``required``; then all others."""
    found: dict[PropertyTag, Value] = {}
    others: list[Property] = []
    for known in reader.take_properties():
        if known.tag in tags and known.tag not in found:
            found[known.tag] = known.value
        else:
            others.append(known)
    for tag in tags[:required]:
        if tag not in found:
            raise reader.error(f"property 0x{tag:08X}", "is missing")
    return [*[found.get(tag) for tag in tags], tuple(others)]


def _laid_out(tags: Sequence[PropertyTag], header: msgspec.Struct) -> Iterator[Element]:
    *values, others = msgspec.structs.astuple(header)
    for tag, value in zip(tags, values, strict=True):
        if value is not None:
            yield Property(tag, value)
    yield from others


_MESSAGE_HEADER: Final = (
    PidTagSourceKey,
    PidTagLastModificationTime,
    PidTagChangeKey,
    PidTagPredecessorChangeList,
    PidTagAssociated,
    PidTagMid,
    PidTagMessageSize,
    PidTagChangeNumber,
)


class MessageChangeHeader(msgspec.Struct, frozen=True):
    """Which message changed, and its version; the last three by SynchronizationExtraFlags
    (messageChangeHeader).
    """

    source_key: bytes
    last_modification_time: int
    change_key: bytes
    predecessor_change_list: bytes
    associated: bool
    message_id: int | None = None
    message_size: int | None = None
    change_number: int | None = None
    properties: tuple[Property, ...] = ()
    """Others that the server tells."""

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """Raises :class:`WireError`."""
        return cls(*_pick(reader, _MESSAGE_HEADER, 5))

    def elements(self) -> Iterator[Element]:
        """Those properties that there are."""
        return _laid_out(_MESSAGE_HEADER, self)


class MessageChange(msgspec.Struct, frozen=True):
    """A message that is new or changed, whole (messageChangeFull)."""

    header: MessageChangeHeader
    content: MessageContent

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncChg; raises :class:`WireError`."""
        reader.take_marker(IncrSyncChg)
        header = MessageChangeHeader.read(reader)
        reader.take_marker(IncrSyncMessage)
        return cls(header, MessageContent.read(reader))

    def elements(self) -> Iterator[Element]:
        """Header and content, each behind its marker."""
        yield IncrSyncChg
        yield from self.header.elements()
        yield IncrSyncMessage
        yield from self.content.elements()


class PropertyGroup(msgspec.Struct, frozen=True):
    """All properties of one group; those that are not there are to be deleted."""

    index: int
    properties: tuple[Property, ...]


class MessageChangePartial(msgspec.Struct, frozen=True):
    """Those groups of properties of a message that changed (messageChangePartial).

    ``group_info`` is a PropertyGroupInfo (2.2.2.8); without one the mapping ``group_id``, or that of the last
    partial change, was told before. ``children`` has no properties.
    """

    header: MessageChangeHeader
    groups: tuple[PropertyGroup, ...]
    children: MessageContent
    group_id: int | None = None
    group_info: bytes | None = None

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncGroupInfo, if there is one; raises :class:`WireError`."""
        group_info = None
        if reader.next_marker == IncrSyncGroupInfo:
            reader.take_marker(IncrSyncGroupInfo)
            group_info = reader.take_value(_GROUP_INFO)
        group_id = reader.take_if(MetaTagIncrSyncGroupId)
        reader.take_marker(IncrSyncChgPartial)
        header = MessageChangeHeader.read(reader)
        groups: list[PropertyGroup] = []
        while group := reader.take_if(MetaTagIncrementalSyncMessagePartial):
            groups.append(PropertyGroup(group.value, reader.take_properties()))
        children = MessageContent.read(reader)
        return cls(header, tuple(groups), children, group_id.value if group_id else None, group_info)

    def elements(self) -> Iterator[Element]:
        """The mapping, if any, the header, the groups, the children."""
        if self.group_info is not None:
            yield IncrSyncGroupInfo
            yield Property(_GROUP_INFO, self.group_info)
        if self.group_id is not None:
            yield Property(MetaTagIncrSyncGroupId, self.group_id)
        yield IncrSyncChgPartial
        yield from self.header.elements()
        for group in self.groups:
            yield Property(MetaTagIncrementalSyncMessagePartial, group.index)
            yield from group.properties
        yield from self.children.elements()


_FOLDER_HEADER: Final = (
    PidTagParentSourceKey,
    PidTagSourceKey,
    PidTagLastModificationTime,
    PidTagChangeKey,
    PidTagPredecessorChangeList,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagParentFolderId,
)


class FolderChange(msgspec.Struct, frozen=True):
    """A folder that is new or changed (folderChange); the ids by SynchronizationExtraFlags.

    ``parent_source_key`` is empty for a folder right below the one that is synchronised.
    """

    parent_source_key: bytes
    source_key: bytes
    last_modification_time: int
    change_key: bytes
    predecessor_change_list: bytes
    display_name: str
    folder_id: int | None = None
    parent_folder_id: int | None = None
    properties: tuple[Property, ...] = ()

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncChg; raises :class:`WireError`."""
        reader.take_marker(IncrSyncChg)
        return cls(*_pick(reader, _FOLDER_HEADER, 6))

    def elements(self) -> Iterator[Element]:
        """The marker and the properties."""
        yield IncrSyncChg
        yield from _laid_out(_FOLDER_HEADER, self)


def _read_sets(reader: ElementReader, tags: Sequence[PropertyTag]) -> list[IdSetByReplId]:
    *values, others = _pick(reader, tags, 0)
    if others:
        raise reader.error(f"property 0x{others[0].tag:08X}", "among sets of ids")
    return [IdSetByReplId.decode(value or b"") for value in values]


def _sets(tags: Sequence[PropertyTag], sets: Sequence[IdSetByReplId]) -> Iterator[Element]:
    for tag, ids in zip(tags, sets, strict=True):
        if ids:
            yield Property(tag, ids.encode())


_DELETION_TAGS: Final = (MetaTagIdsetDeleted, MetaTagIdsetNoLongerInScope, MetaTagIdsetExpired)


class Deletions(msgspec.Struct, frozen=True):
    """Ids of messages or folders that the client is to delete (deletions)."""

    deleted: IdSetByReplId = IdSetByReplId()
    no_longer_in_scope: IdSetByReplId = IdSetByReplId()
    expired: IdSetByReplId = IdSetByReplId()

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncDel; raises :class:`WireError`."""
        reader.take_marker(IncrSyncDel)
        return cls(*_read_sets(reader, _DELETION_TAGS))

    def elements(self) -> Iterator[Element]:
        """The marker and the sets that are not empty."""
        yield IncrSyncDel
        yield from _sets(_DELETION_TAGS, (self.deleted, self.no_longer_in_scope, self.expired))


_READ_STATE_TAGS: Final = (MetaTagIdsetRead, MetaTagIdsetUnread)


class ReadStateChanges(msgspec.Struct, frozen=True):
    """Ids of messages that are now read or unread, and otherwise unchanged (readStateChanges)."""

    read_ids: IdSetByReplId = IdSetByReplId()
    unread_ids: IdSetByReplId = IdSetByReplId()

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From IncrSyncRead; raises :class:`WireError`."""
        reader.take_marker(IncrSyncRead)
        return cls(*_read_sets(reader, _READ_STATE_TAGS))

    def elements(self) -> Iterator[Element]:
        """The marker and the sets that are not empty."""
        yield IncrSyncRead
        yield from _sets(_READ_STATE_TAGS, (self.read_ids, self.unread_ids))


class FailedItem(msgspec.Struct, frozen=True):
    """Stands for an object that the server could not read (errorInfo)."""

    properties: tuple[Property, ...]

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From FXErrorInfo; raises :class:`WireError`."""
        reader.take_marker(FXErrorInfo)
        return cls(reader.take_properties())

    def elements(self) -> Iterator[Element]:
        """The marker and what is known of the failure."""
        yield FXErrorInfo
        yield from self.properties
