"""What a mailbox and a public store have in common: a tree of folders with messages, and events.

All changes go through :class:`ObjectStore`, so that whoever listens hears of each.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from loadgen.wire.idset import GlobSet
from loadgen.wire.properties import PropertyTag, Value
from mock_server.mailboxes.change_history import ChangeHistory, ClientChange
from mock_server.mailboxes.folder import Folder, Listener, StoreEvent
from mock_server.mailboxes.message import READ, Message, MessageContent
from mock_server.mailboxes.store_identity import StoreIdentity, object_id

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
    """Folders and messages of one mailbox or public store.

    Objects have numbers, and so have changes, of which ``last_change`` is the latest. ``reserved`` are those
    for messages and folders that clients make while they are not connected, and have not yet uploaded.
    """

    def __init__(self, identity: StoreIdentity, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.folders: dict[int, Folder] = {}
        self.listeners: list[Listener] = []
        self.reserved = GlobSet()
        self.last_change = FIRST_FREE_COUNTER
        self._next_counter = FIRST_FREE_COUNTER
        self.created = clock()

    def new_counter(self, count: int = 1) -> int:
        """The first of ``count`` numbers that no object of this store has had before."""
        counter = self._next_counter
        self._next_counter += count
        return counter

    def _new_change(self) -> int:
        """A number higher than that of any change before."""
        self.last_change += 1
        return self.last_change

    @property
    def last_counter(self) -> int:
        """The number that was given to an object last."""
        return self._next_counter - 1

    def reserve_counters(self, count: int) -> int:
        """The first of ``count`` numbers for a client's own objects."""
        first = self.new_counter(count)
        self.reserved = self.reserved.with_range(first, first + count - 1)
        return first

    def forget_reserved(self, low: int, high: int) -> None:
        """No client will use the numbers from ``low`` to ``high``; those not reserved do not matter."""
        if self.reserved:
            self.reserved -= GlobSet((low, high + 1))

    def create_folder(
        self,
        parent: Folder,
        properties: Mapping[PropertyTag, Value],
        *,
        counter: int | None = None,
        origin: ClientChange | None = None,
    ) -> Folder:
        """A new folder below ``parent``; a client that made it on its own gives number and ``origin``."""
        folder = self._add_folder(counter or self.new_counter(), parent, properties)
        self.forget_reserved(folder.counter, folder.counter)
        self._stamp(folder, origin)
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
        self,
        folder: Folder,
        values: Mapping[PropertyTag, Value],
        deleted: Iterable[PropertyTag] = (),
        *,
        origin: ClientChange | None = None,
    ) -> None:
        """Change what clients may change of a folder."""
        gone = set(deleted)
        kept = {tag: value for tag, value in folder.properties.items() if tag not in gone}
        folder.properties = {**kept, **values}
        self._stamp(folder, origin)
        self._tell(StoreEvent(MODIFIED, folder))

    def new_message(
        self,
        folder: Folder,
        content: MessageContent,
        *,
        associated: bool = False,
        counter: int | None = None,
    ) -> Message:
        """A message that is not yet in its folder; :meth:`add_message` puts it there.

        ``counter`` is one of those reserved for clients, which is used up then.
        """
        number = counter or self.new_counter()
        message = Message(self.identity, number, folder.folder_id, content, self.clock())
        message.associated = associated
        return message

    def add_message(
        self, message: Message, *, new_mail: bool = False, origin: ClientChange | None = None
    ) -> None:
        """Put a new message into its folder; ``new_mail`` says that the transport brought it."""
        folder = self.folders[message.folder_id]
        self._insert(folder, message, origin)
        if new_mail:
            self._tell(StoreEvent(NEW_MAIL, folder, message))
        self._tell(StoreEvent(CREATED, folder, message))
        self._tell_counts(folder)

    def replace_content(
        self, message: Message, content: MessageContent, *, origin: ClientChange | None = None
    ) -> None:
        """What a client saved over an existing message."""
        message.content = content
        self._stamp(message, origin)
        self._tell(StoreEvent(MODIFIED, self.folders[message.folder_id], message))

    def set_read(self, messages: Iterable[Message], *, read: bool) -> int:
        """Mark messages of one folder; returns how many were not so before."""
        changed = [message for message in messages if message.is_read != read]
        for message in changed:
            message.flags ^= READ
            message.read_counter = self._new_change()
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
        moved = [self._move(source, target, old) for old in messages]
        self._tell_counts(source)
        self._tell_counts(target)
        return moved

    def import_move(
        self, source: Folder, target: Folder, message: Message, counter: int, origin: ClientChange | None
    ) -> Message:
        """A move that a client made in its own copy, where the message is now ``counter``."""
        moved = self._move(source, target, message, counter, origin)
        self._tell_counts(source)
        self._tell_counts(target)
        return moved

    def _move(
        self,
        source: Folder,
        target: Folder,
        message: Message,
        counter: int | None = None,
        origin: ClientChange | None = None,
    ) -> Message:
        self._remove(source, message)
        moved = self._put_copy(target, message, counter, origin)
        self._tell(StoreEvent(MOVED, target, moved, source, message))
        return moved

    def copy_messages(self, source: Folder, target: Folder, messages: Iterable[Message]) -> list[Message]:
        """Copy messages to another folder; returns the copies."""
        copies = []
        for original in messages:
            copies.append(self._put_copy(target, original))
            self._tell(StoreEvent(COPIED, target, copies[-1], source, original))
        self._tell_counts(target)
        return copies

    def _put_copy(
        self,
        target: Folder,
        original: Message,
        counter: int | None = None,
        origin: ClientChange | None = None,
    ) -> Message:
        copy = self.new_message(target, original.content, associated=original.associated, counter=counter)
        copy.flags, copy.status = original.flags, original.status
        copy.read_counter = self._new_change() if original.read_counter else 0
        copy.created, copy.delivered = original.created, original.delivered
        self._insert(target, copy, origin)
        return copy

    def _insert(self, folder: Folder, message: Message, origin: ClientChange | None) -> None:
        # Its number as a change is that of this moment, so a client that has seen all changes up to a number
        # lacks none of them, however long the message was a draft.
        self._stamp(message, origin)
        self.forget_reserved(message.counter, message.counter)
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

    def _stamp(self, changed: Message | Folder, origin: ClientChange | None = None) -> None:
        """Number a change; the server made it unless ``origin`` tells of a client."""
        changed.change_counter = self._new_change()
        if origin is not None:
            changed.modified = origin.modified
            changed.client_history = origin.history
            return
        changed.modified = self.clock()
        if changed.client_history is not None:
            own_key = self.identity.source_key(object_id(changed.change_counter))
            changed.client_history = ChangeHistory.of(own_key, changed.client_history.latest)

    def _tell_counts(self, folder: Folder) -> None:
        folder.modified = self.clock()
        folder.contents_counter = self._new_change()
        self._tell(StoreEvent(MODIFIED, folder, counts=(len(folder.messages), folder.unread)))

    def _tell(self, event: StoreEvent) -> None:
        for listener in tuple(event.folder.listeners):
            listener(event)
        if event.old_folder is not None and event.old_folder is not event.folder:
            for listener in tuple(event.old_folder.listeners):
                listener(event)
        for listener in tuple(self.listeners):
            listener(event)
