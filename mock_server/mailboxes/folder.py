"""Folders as the store keeps them ([MS-OXCFOLD]): messages by id, counts, and who listens."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from loadgen.wire.properties import (
    PidTagAccess,
    PidTagChangeKey,
    PidTagComment,
    PidTagContainerClass,
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagCreationTime,
    PidTagDeletedCountTotal,
    PidTagDisplayName,
    PidTagEntryId,
    PidTagFolderId,
    PidTagFolderType,
    PidTagInstanceKey,
    PidTagLastModificationTime,
    PidTagLocalCommitTimeMax,
    PidTagObjectType,
    PidTagParentFolderId,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagRecordKey,
    PidTagSourceKey,
    PidTagStoreRecordKey,
    PidTagSubfolders,
    PropertyTag,
    Value,
)
from mock_server.mailboxes.change_history import ChangeHistory
from mock_server.mailboxes.message import FULL_ACCESS, Message, PidTagParentEntryId
from mock_server.mailboxes.store_identity import StoreIdentity, object_id

PidTagAssociatedContentCount: Final = 0x36170003
PidTagDepth: Final = 0x30050003
PidTagMessageSizeExtended: Final = 0x0E080014

ROOT: Final = 0
GENERIC: Final = 1

_OBJECT_TYPE_FOLDER: Final = 3


class StoreEvent(msgspec.Struct, frozen=True):
    """Something that happened in a store; ``kind`` is one bit of NotificationTypes ([MS-OXCNOTIF] 2.2.1.1).

    With a ``message`` it happened to that message in ``folder``, else to the folder itself. ``old_folder``
    and ``old_message`` say where it was before it was moved, or what it is a copy of. ``counts``, total and
    unread, is set when the number of messages in the folder has changed.
    """

    kind: int
    folder: "Folder"
    message: Message | None = None
    old_folder: "Folder | None" = None
    old_message: Message | None = None
    counts: tuple[int, int] | None = None


Listener = Callable[[StoreEvent], None]


class Folder:
    """A folder with its messages in the order of their arrival; ``parent`` is None for the root alone.

    ``properties`` are those that clients may set; most folders share them with others of the same name.
    ``listeners`` are called with every event in this folder. ``change_counter`` is the number of the last
    change of its properties, ``contents_counter`` that of what is in it, which its history leaves out.
    ``client_history`` is set once a client changed a copy of its own and uploaded that.
    """

    __slots__ = (
        "associated",
        "change_counter",
        "client_history",
        "contents_counter",
        "counter",
        "created",
        "deleted_total",
        "folder_id",
        "folder_type",
        "listeners",
        "messages",
        "modified",
        "parent",
        "properties",
        "store",
        "subfolders",
        "unread",
    )

    def __init__(
        self,
        store: StoreIdentity,
        counter: int,
        parent: "Folder | None",
        properties: Mapping[PropertyTag, Value],
        now: int,
    ) -> None:
        self.store = store
        self.counter = counter
        self.folder_id = object_id(counter)
        self.parent = parent
        self.folder_type = ROOT if parent is None else GENERIC
        self.properties = properties
        self.messages: dict[int, Message] = {}
        self.associated: dict[int, Message] = {}
        self.subfolders: dict[int, Folder] = {}
        self.unread = 0
        self.deleted_total = 0
        self.created = self.modified = now
        self.change_counter = counter
        self.contents_counter = 0
        self.client_history: ChangeHistory | None = None
        self.listeners: list[Listener] = []

    @property
    def display_name(self) -> str:
        """PidTagDisplayName, which every folder has."""
        name: str = self.properties[PidTagDisplayName]
        return name

    @property
    def last_counter(self) -> int:
        """The number of the last change that a client wants to know."""
        return max(self.change_counter, self.contents_counter)

    @property
    def history(self) -> ChangeHistory:
        """The last change, and those before it."""
        own_key = self.store.source_key(object_id(self.change_counter))
        return self.client_history or ChangeHistory.of(own_key)

    @property
    def depth(self) -> int:
        """How many folders are above it."""
        return 0 if self.parent is None else self.parent.depth + 1

    def message(self, message_id: int) -> Message | None:
        """An ordinary or associated message of this folder."""
        return self.messages.get(message_id) or self.associated.get(message_id)

    def subfolder(self, name: str) -> "Folder | None":
        """The folder of that name right below; case does not matter."""
        wanted = name.casefold()
        return next((f for f in self.subfolders.values() if f.display_name.casefold() == wanted), None)

    def descendants(self) -> Iterator["Folder"]:
        """All folders below, parents before children."""
        for folder in self.subfolders.values():
            yield folder
            yield from folder.descendants()

    def get(self, tag: PropertyTag) -> Value:
        """The value of a property, or None."""
        computed = FOLDER_COMPUTED.get(tag)
        return self.properties.get(tag) if computed is None else computed(self)

    def tags(self) -> Iterator[PropertyTag]:
        """Tags of what clients have set and of what is computed."""
        yield from self.properties
        yield from FOLDER_COMPUTED


def _parent_id(folder: Folder) -> int:
    return folder.folder_id if folder.parent is None else folder.parent.folder_id


def _size(folder: Folder) -> int:
    return sum(message.content.size for message in folder.messages.values())


FOLDER_COMPUTED: Final[Mapping[PropertyTag, Callable[[Folder], Value]]] = {
    PidTagFolderId: lambda folder: folder.folder_id,
    PidTagParentFolderId: _parent_id,
    PidTagEntryId: lambda folder: folder.store.folder_entry_id(folder.folder_id),
    PidTagParentEntryId: lambda folder: folder.store.folder_entry_id(_parent_id(folder)),
    PidTagRecordKey: lambda folder: folder.store.folder_entry_id(folder.folder_id),
    PidTagStoreRecordKey: lambda folder: folder.store.provider,
    PidTagInstanceKey: lambda folder: folder.folder_id.to_bytes(8, "little") + bytes(12),
    PidTagSourceKey: lambda folder: folder.store.source_key(folder.folder_id),
    PidTagParentSourceKey: lambda folder: folder.store.source_key(_parent_id(folder)),
    PidTagChangeKey: lambda folder: folder.history.change_key,
    PidTagPredecessorChangeList: lambda folder: folder.history.predecessor_change_list,
    PidTagFolderType: lambda folder: folder.folder_type,
    PidTagContentCount: lambda folder: len(folder.messages),
    PidTagContentUnreadCount: lambda folder: folder.unread,
    PidTagAssociatedContentCount: lambda folder: len(folder.associated),
    PidTagSubfolders: lambda folder: bool(folder.subfolders),
    PidTagDepth: lambda folder: folder.depth,
    PidTagDeletedCountTotal: lambda folder: folder.deleted_total,
    PidTagMessageSizeExtended: _size,
    PidTagCreationTime: lambda folder: folder.created,
    PidTagLastModificationTime: lambda folder: folder.modified,
    PidTagLocalCommitTimeMax: lambda folder: folder.modified,
    PidTagAccess: lambda _folder: FULL_ACCESS,
    PidTagObjectType: lambda _folder: _OBJECT_TYPE_FOLDER,
}
"""What follows from the folder's place and contents; clients cannot set these."""


def folder_properties(name: str, container_class: str = "", comment: str = "") -> Mapping[PropertyTag, Value]:
    """What a new folder has from the start."""
    return {PidTagDisplayName: name, PidTagContainerClass: container_class, PidTagComment: comment}
