"""What a mailbox and a public store have in common: a tree of folders with messages, and events.

All changes go through :class:`ObjectStore`, so that whoever listens hears of each.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from loadgen.wire.properties import PropertyTag, Value
from mock_server.folder import Folder, Listener, StoreEvent, folder_properties
from mock_server.message import READ, Message, MessageContent
from mock_server.store_identity import StoreIdentity

NEW_MAIL: Final = 0x0002
CREATED: Final = 0x0004
DELETED: Final = 0x0008
MODIFIED: Final = 0x0010
MOVED: Final = 0x0020
COPIED: Final = 0x0040

FIRST_FREE_COUNTER: Final = 0x10000
"""Numbers below are kept for the folders that every store has from the start."""

Clock = Callable[[], int]
"""The time as a FILETIME."""


class ObjectStore:
    """Folders and messages of one mailbox or public store."""

    def __init__(self, identity: StoreIdentity, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.folders: dict[int, Folder] = {}
        self.listeners: list[Listener] = []
        self._next_counter = FIRST_FREE_COUNTER
        self.created = clock()

    def new_counter(self, count: int = 1) -> int:
        """The first of ``count`` numbers that nothing in this store has had before."""
        counter = self._next_counter
        self._next_counter += count
        return counter

    def create_folder(self, parent: Folder, name: str, container_class: str, comment: str = "") -> Folder:
        """A new folder below ``parent``."""
        properties = folder_properties(name, container_class, comment)
        folder = self._add_folder(self.new_counter(), parent, properties)
        self._tell(StoreEvent(CREATED, folder))
        self._tell(StoreEvent(MODIFIED, parent))
        return folder

    def _add_folder(
        self, counter: int, parent: Folder | None, properties: Mapping[PropertyTag, Value]
    ) -> Folder:
        folder = Folder(self.identity, counter, parent, properties, self.clock())
        self.folders[folder.folder_id] = folder
        if parent is not None:
            parent.subfolders[folder.folder_id] = folder
        return folder

    def delete_folder(self, folder: Folder) -> None:
        """Delete a folder that is not the root, with all that is in it."""
        parent = folder.parent
        if parent is None:
            raise ValueError("the root stays")
        for child in tuple(folder.subfolders.values()):
            self.delete_folder(child)
        for message in (*folder.messages.values(), *folder.associated.values()):
            message.deleted = True
        del self.folders[folder.folder_id]
        del parent.subfolders[folder.folder_id]
        self._tell(StoreEvent(DELETED, folder))
        self._tell(StoreEvent(MODIFIED, parent))

    def set_folder_properties(
        self, folder: Folder, values: Mapping[PropertyTag, Value], deleted: Iterable[PropertyTag] = ()
    ) -> None:
        """Change what clients may change of a folder."""
        gone = set(deleted)
        kept = {tag: value for tag, value in folder.properties.items() if tag not in gone}
        folder.properties = {**kept, **values}
        folder.change_counter = self.new_counter()
        folder.modified = self.clock()
        self._tell(StoreEvent(MODIFIED, folder))

    def new_message(self, folder: Folder, content: MessageContent, *, associated: bool = False) -> Message:
        """A message that is not yet in its folder; :meth:`add_message` puts it there."""
        message = Message(self.identity, self.new_counter(), folder.folder_id, content, self.clock())
        message.associated = associated
        return message

    def add_message(self, message: Message, *, new_mail: bool = False) -> None:
        """Put a new message into its folder; ``new_mail`` says that the transport brought it."""
        folder = self.folders[message.folder_id]
        self._insert(folder, message)
        if new_mail:
            self._tell(StoreEvent(NEW_MAIL, folder, message))
        self._tell(StoreEvent(CREATED, folder, message))
        self._tell_counts(folder)

    def replace_content(self, message: Message, content: MessageContent) -> None:
        """What a client saved over an existing message."""
        message.content = content
        message.change_counter = self.new_counter()
        message.modified = self.clock()
        self._tell(StoreEvent(MODIFIED, self.folders[message.folder_id], message))

    def set_read(self, messages: Iterable[Message], *, read: bool) -> int:
        """Mark messages of one folder; returns how many were not so before."""
        changed = [message for message in messages if message.is_read != read]
        for message in changed:
            message.flags ^= READ
            if not message.associated:
                self.folders[message.folder_id].unread += -1 if read else 1
            self._tell(StoreEvent(MODIFIED, self.folders[message.folder_id], message))
        if changed:
            self._tell_counts(self.folders[changed[0].folder_id])
        return len(changed)

    def delete_messages(self, folder: Folder, messages: Iterable[Message]) -> None:
        """Delete messages of one folder for good."""
        for message in messages:
            self._remove(folder, message)
            folder.deleted_total += 1
            self._tell(StoreEvent(DELETED, folder, message))
        self._tell_counts(folder)

    def move_messages(self, source: Folder, target: Folder, messages: Iterable[Message]) -> list[Message]:
        """Move messages to another folder, where they get new ids; returns them as they are there."""
        moved = []
        for old in messages:
            self._remove(source, old)
            moved.append(self._put_copy(target, old))
            self._tell(StoreEvent(MOVED, target, moved[-1], source, old))
        self._tell_counts(source)
        self._tell_counts(target)
        return moved

    def copy_messages(self, source: Folder, target: Folder, messages: Iterable[Message]) -> list[Message]:
        """Copy messages to another folder; returns the copies."""
        copies = []
        for original in messages:
            copies.append(self._put_copy(target, original))
            self._tell(StoreEvent(COPIED, target, copies[-1], source, original))
        self._tell_counts(target)
        return copies

    def _put_copy(self, target: Folder, original: Message) -> Message:
        copy = self.new_message(target, original.content, associated=original.associated)
        copy.flags, copy.status = original.flags, original.status
        copy.created, copy.delivered = original.created, original.delivered
        self._insert(target, copy)
        return copy

    def _insert(self, folder: Folder, message: Message) -> None:
        if message.associated:
            folder.associated[message.message_id] = message
            return
        folder.messages[message.message_id] = message
        folder.unread += not message.is_read

    def _remove(self, folder: Folder, message: Message) -> None:
        message.deleted = True
        if message.associated:
            del folder.associated[message.message_id]
            return
        del folder.messages[message.message_id]
        folder.unread -= not message.is_read

    def _tell_counts(self, folder: Folder) -> None:
        folder.modified = self.clock()
        self._tell(StoreEvent(MODIFIED, folder, counts=(len(folder.messages), folder.unread)))

    def _tell(self, event: StoreEvent) -> None:
        for listener in tuple(event.folder.listeners):
            listener(event)
        if event.old_folder is not None and event.old_folder is not event.folder:
            for listener in tuple(event.old_folder.listeners):
                listener(event)
        for listener in tuple(self.listeners):
            listener(event)
