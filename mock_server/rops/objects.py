"""Logons, folders, and whatever has properties: what most documents share ([MS-OXCROPS] 3.2.1)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import (
    PidTagDisplayName,
    PidTagHierarchyServer,
    PidTagMailboxOwnerEntryId,
    PidTagMailboxOwnerName,
    PidTagMappingSignature,
    PidTagObjectType,
    PidTagRecordKey,
    PidTagStoreRecordKey,
    PidTagStoreSupportMask,
    PropertyTag,
    Value,
)
from mock_server.mailboxes.folder import FOLDER_COMPUTED, Folder, PidTagMessageSizeExtended
from mock_server.mailboxes.mailbox import Mailbox
from mock_server.mailboxes.object_store import ObjectStore
from mock_server.mailboxes.property_bag import stored_tag
from mock_server.mailboxes.public_store import PublicStore
from mock_server.mailboxes.session import ServerObject, Session
from mock_server.rops.call import ACCESS_DENIED, COMPUTED, NOT_FOUND, NOT_SUPPORTED, RopCall, RopError

PidTagUserEntryId: Final = 0x66190102
PidTagUserName: Final = 0x661A001F

_OBJECT_TYPE_STORE: Final = 1
_STORE_SUPPORT: Final = 0x3FFFF & ~0x2000
"""All that a store can do, without encrypted items ([MS-OXCSTOR] 2.2.2.1)."""


class PropertyHolder(ServerObject, ABC):
    """An object whose properties can be read, and perhaps set and streamed."""

    @abstractmethod
    def get(self, tag: PropertyTag) -> Value:
        """The value under exactly this tag, or None."""

    @abstractmethod
    def tags(self) -> Iterable[PropertyTag]:
        """The tags of all properties."""

    @abstractmethod
    def change(self, values: Mapping[PropertyTag, Value], deleted: Iterable[PropertyTag]) -> None:
        """Set and delete properties that may be; raises :class:`RopError` if none may."""

    @abstractmethod
    def refusal(self, tag: PropertyTag) -> int:
        """Why a client may not set or delete this property; 0 if it may."""


class Logon(PropertyHolder):
    """What RopLogon opened: the user's mailbox, or the public folders of this server."""

    def __init__(self, session: Session, store: Mailbox | PublicStore) -> None:
        super().__init__()
        self.session = session
        self.store: ObjectStore = store
        self.mailbox = store if isinstance(store, Mailbox) else None

    def folder(self, folder_id: int) -> Folder:
        """The folder with this id; raises :class:`RopError`."""
        folder = self.store.folders.get(folder_id)
        if folder is None:
            raise RopError(NOT_FOUND)
        return folder

    def get(self, tag: PropertyTag) -> Value:
        """Properties of the store object ([MS-OXCSTOR] 2.2.2.1); only its size looks at all messages."""
        if tag == PidTagMessageSizeExtended and self.mailbox is not None:
            return sum(folder.get(tag) for folder in self.mailbox.folders.values())
        return self._values().get(tag)

    def tags(self) -> Iterable[PropertyTag]:
        """Tags of the store object."""
        return self._values() if self.mailbox is None else (*self._values(), PidTagMessageSizeExtended)

    def change(self, _values: Mapping[PropertyTag, Value], _deleted: Iterable[PropertyTag]) -> None:
        """The store object is as it is."""
        raise RopError(ACCESS_DENIED)

    def refusal(self, _tag: PropertyTag) -> int:
        """Nothing may be set."""
        return ACCESS_DENIED

    def _values(self) -> dict[PropertyTag, Value]:
        store, user = self.store, self.session.user
        values: dict[PropertyTag, Value] = {
            PidTagObjectType: _OBJECT_TYPE_STORE,
            PidTagRecordKey: store.identity.provider,
            PidTagStoreRecordKey: store.identity.provider,
            PidTagMappingSignature: store.identity.replica_guid,
            PidTagStoreSupportMask: _STORE_SUPPORT,
            PidTagUserEntryId: AddressBookEntryId(user.dn).encode(),
            PidTagUserName: user.display_name,
        }
        if self.mailbox is None:
            values[PidTagDisplayName] = "Public Folders"
            values[PidTagHierarchyServer] = self.session.store.server.name
            return values
        owner = self.mailbox.owner
        values[PidTagDisplayName] = f"Mailbox - {owner.display_name}"
        values[PidTagMailboxOwnerEntryId] = AddressBookEntryId(owner.dn).encode()
        values[PidTagMailboxOwnerName] = owner.display_name
        return values


class FolderObject(PropertyHolder):
    """A folder that the client has opened."""

    def __init__(self, logon: Logon, folder: Folder) -> None:
        super().__init__()
        self.logon = logon
        self.folder = folder

    def get(self, tag: PropertyTag) -> Value:
        """A property of the folder."""
        return self.folder.get(tag)

    def tags(self) -> Iterable[PropertyTag]:
        """Tags of the folder."""
        return self.folder.tags()

    def change(self, values: Mapping[PropertyTag, Value], deleted: Iterable[PropertyTag]) -> None:
        """Takes effect at once ([MS-OXCPRPT] 3.2.5.4)."""
        stored = {stored_tag(tag): value for tag, value in values.items()}
        gone = [stored_tag(tag) for tag in deleted]
        if PidTagDisplayName in gone:
            raise RopError(ACCESS_DENIED)
        self.logon.store.set_folder_properties(self.folder, stored, gone)

    def refusal(self, tag: PropertyTag) -> int:
        """Counts, ids and the like follow from other things."""
        return COMPUTED if stored_tag(tag) in FOLDER_COMPUTED else 0


def find_logon(call: RopCall, handle_index: int) -> Logon:
    """The logon at an index at which a folder may stand as well; raises :class:`RopError`."""
    opened = call.find(handle_index, ServerObject)
    if isinstance(opened, FolderObject):
        return opened.logon
    if isinstance(opened, Logon):
        return opened
    raise RopError(NOT_SUPPORTED)


def find_mailbox(call: RopCall, handle_index: int) -> Mailbox:
    """The mailbox of a private logon; raises :class:`RopError`, also on a public one."""
    mailbox = call.find(handle_index, Logon).mailbox
    if mailbox is None:
        raise RopError(NOT_SUPPORTED)
    return mailbox


def find_holder(call: RopCall, handle_index: int) -> PropertyHolder:
    """Whatever at this index has properties; raises :class:`RopError`."""
    opened = call.find(handle_index, ServerObject)
    if isinstance(opened, PropertyHolder):
        return opened
    raise RopError(NOT_SUPPORTED)
