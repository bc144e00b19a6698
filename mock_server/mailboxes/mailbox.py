"""Mailboxes, and the store of one server that holds them ([MS-OXCSTOR] 2.2.1.1)."""

import time
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import (
    PidTagIpmAppointmentEntryId,
    PidTagIpmContactEntryId,
    PidTagIpmDraftsEntryId,
    PidTagIpmJournalEntryId,
    PidTagIpmNoteEntryId,
    PidTagIpmTaskEntryId,
    PidTagReceivedByAddressType,
    PidTagReceivedByEmailAddress,
    PidTagReceivedByEntryId,
    PidTagReceivedByName,
    PidTagReceivedRepresentingEntryId,
    PidTagReceivedRepresentingName,
    filetime_from_unix,
)
from mock_server.dialect import StoreManners
from mock_server.directory import Directory, Entry
from mock_server.mailboxes.folder import Folder, folder_properties
from mock_server.mailboxes.message import MessageContent
from mock_server.mailboxes.named_properties import NamedProperties
from mock_server.mailboxes.object_store import Clock, ObjectStore
from mock_server.mailboxes.public_store import PublicStore
from mock_server.mailboxes.store_identity import StoreIdentity, object_id

_ROOT: Final = 0x101
_IPM_SUBTREE: Final = 0x104
_INBOX: Final = 0x105
_OUTBOX: Final = 0x106
_SENT_ITEMS: Final = 0x107
_DELETED_ITEMS: Final = 0x108

# counter, counter of the parent, name, container class
_MAILBOX_FOLDERS: Final = (
    (_ROOT, 0, "Root Container", ""),
    (0x102, _ROOT, "Deferred Action", ""),
    (0x103, _ROOT, "Spooler Queue", ""),
    (_IPM_SUBTREE, _ROOT, "Top of Information Store", ""),
    (_INBOX, _IPM_SUBTREE, "Inbox", "IPF.Note"),
    (_OUTBOX, _IPM_SUBTREE, "Outbox", "IPF.Note"),
    (_SENT_ITEMS, _IPM_SUBTREE, "Sent Items", "IPF.Note"),
    (_DELETED_ITEMS, _IPM_SUBTREE, "Deleted Items", "IPF.Note"),
    (0x109, _ROOT, "Common Views", ""),
    (0x10A, _ROOT, "Schedule", ""),
    (0x10B, _ROOT, "Finder", ""),
    (0x10C, _ROOT, "Views", ""),
    (0x10D, _ROOT, "Shortcuts", ""),
    (0x10E, _IPM_SUBTREE, "Calendar", "IPF.Appointment"),
    (0x10F, _IPM_SUBTREE, "Contacts", "IPF.Contact"),
    (0x110, _IPM_SUBTREE, "Drafts", "IPF.Note"),
    (0x111, _IPM_SUBTREE, "Journal", "IPF.Journal"),
    (0x112, _IPM_SUBTREE, "Notes", "IPF.StickyNote"),
    (0x113, _IPM_SUBTREE, "Tasks", "IPF.Task"),
)
_SPECIAL_FOLDERS: Final = {
    PidTagIpmAppointmentEntryId: 0x10E,
    PidTagIpmContactEntryId: 0x10F,
    PidTagIpmDraftsEntryId: 0x110,
    PidTagIpmJournalEntryId: 0x111,
    PidTagIpmNoteEntryId: 0x112,
    PidTagIpmTaskEntryId: 0x113,
}
_LOGON_FOLDERS: Final = 13
_PROPERTIES: Final = {
    counter: folder_properties(name, container_class)
    for counter, _, name, container_class in _MAILBOX_FOLDERS
}


class Mailbox(ObjectStore):
    """One user's folders. ``logon_folder_ids`` are the 13 that RopLogon returns, in its order."""

    def __init__(self, owner: Entry, clock: Clock) -> None:
        super().__init__(_mailbox_identity(owner), clock)
        self.owner = owner
        for counter, parent, *_ in _MAILBOX_FOLDERS:
            above = self.folders[object_id(parent)] if parent else None
            self._add_folder(counter, above, _PROPERTIES[counter])
        self.logon_folder_ids = tuple(object_id(counter) for counter, *_ in _MAILBOX_FOLDERS[:_LOGON_FOLDERS])
        self.root = self.folders[object_id(_ROOT)]
        self.inbox = self.folders[object_id(_INBOX)]
        self.outbox = self.folders[object_id(_OUTBOX)]
        self.sent_items = self.folders[object_id(_SENT_ITEMS)]
        self.deleted_items = self.folders[object_id(_DELETED_ITEMS)]
        special = {
            tag: self.identity.folder_entry_id(object_id(counter))
            for tag, counter in _SPECIAL_FOLDERS.items()
        }
        for folder in (self.root, self.inbox):
            folder.properties = {**folder.properties, **special}

    def receive_folder(self, message_class: str) -> tuple[str, Folder]:
        """Where messages of a class arrive, and the class for which that was set ([MS-OXCSTOR] 3.2.5.2)."""
        explicit = max(
            (prefix for prefix in self.receive_folders if _is_class_or_below(message_class, prefix)), key=len
        )
        return explicit, self.receive_folders[explicit]

    @property
    def receive_folders(self) -> dict[str, Folder]:
        """The receive folder of each message class that has one."""
        inbox = self.inbox
        return {"": inbox, "IPM": inbox, "REPORT.IPM": inbox, "IPC": self.root}

    def deliver(self, content: MessageContent) -> None:
        """New mail arrives in the Inbox."""
        message = self.new_message(self.inbox, content)
        message.delivered = message.created
        self.add_message(message, new_mail=True)


def filetime_now() -> int:
    """The machine's time as a FILETIME."""
    return filetime_from_unix(time.time())


class MailboxStore:
    """What one server holds: the mailboxes of the users whose home it is, and perhaps public folders.

    Mailboxes are made when they are first used. ``public`` is None on a server without public folders. With
    ``open_to_all`` each user may open everybody's. ``manners`` are the dialect's.
    """

    def __init__(
        self,
        server_name: str,
        directory: Directory,
        *,
        public_folders: bool = False,
        open_to_all: bool = False,
        clock: Clock = filetime_now,
        manners: StoreManners = StoreManners(),  # noqa: B008 - frozen
    ) -> None:
        self.manners = manners
        server = directory.server_by_host(server_name)
        if server is None:
            raise ValueError(f"the directory lists no server {server_name}")
        self.server = server
        self.directory = directory
        self.open_to_all = open_to_all
        self.clock = clock
        self.created = clock()
        self.names = NamedProperties()
        self.public = PublicStore(server.dn, directory.organisation, clock) if public_folders else None
        self._mailboxes: dict[int, Mailbox] = {}

    @property
    def dn_prefix(self) -> str:
        """With what the distinguished names of all users begin; shortens recipients."""
        return f"{self.directory.organisation.dn}/cn=Recipients/cn="

    def is_home_of(self, user: Entry) -> bool:
        """Whether the user's mailbox is here."""
        return user.home_server.lower() == self.server.name.lower()

    def mailbox(self, user: Entry) -> Mailbox:
        """The mailbox of a user whose home this is."""
        mailbox = self._mailboxes.get(user.index)
        if mailbox is None:
            if not self.is_home_of(user):
                raise ValueError(f"{user.alias} has no mailbox on {self.server.name}")
            mailbox = self._mailboxes[user.index] = Mailbox(user, self.clock)
        return mailbox


def _is_class_or_below(message_class: str, prefix: str) -> bool:
    name, above = message_class.upper(), prefix.upper()
    return not above or name == above or name.startswith(above + ".")


def _mailbox_identity(owner: Entry) -> StoreIdentity:
    mailbox_guid = uuid5(NAMESPACE_OID, owner.dn.lower())
    entry_id = AddressBookEntryId(owner.dn).encode()
    received_by = {
        PidTagReceivedByEntryId: entry_id,
        PidTagReceivedByName: owner.display_name,
        PidTagReceivedByAddressType: "EX",
        PidTagReceivedByEmailAddress: owner.dn,
        PidTagReceivedRepresentingEntryId: entry_id,
        PidTagReceivedRepresentingName: owner.display_name,
    }
    return StoreIdentity(_replica_guid(mailbox_guid), mailbox_guid.bytes_le, received_by)


def _replica_guid(mailbox_guid: UUID) -> bytes:
    return uuid5(mailbox_guid, "replica").bytes_le
