"""What a cached Outlook keeps from one connection to the next: folders, and changes to be uploaded."""

from typing import Final
from uuid import uuid4

import msgspec

from loadgen.client.local_folder import LocalFolder, LocalMessage
from loadgen.client.logon import PrivateLogon
from loadgen.client.message import OutgoingMessage
from loadgen.client.replica import Replica
from loadgen.errors import WrongAnswer
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.identifiers import object_id
from loadgen.wire.rop import oxcstor

RESERVED_IDS: Final = 0x10000
"""How many message ids a copy asks for at once, to give to messages that it makes."""

_FEW_IDS: Final = 0x1000
_FOLDERS: Final = (oxcstor.INBOX, oxcstor.SENT_ITEMS, oxcstor.DELETED_ITEMS)


class Move(msgspec.Struct, frozen=True, gc=False):
    """A message that was moved to Deleted Items here, and is still in the Inbox of the server."""

    old_id: int
    new_id: int
    predecessor_change_list: bytes
    change_key: bytes


class Filing(msgspec.Struct, frozen=True):
    """A sent message that is only in the Sent Items of the copy; ``sent_at`` is a FILETIME."""

    message_id: int
    message: OutgoingMessage
    sent_at: int
    change_key: bytes


class LocalCopy:
    """One user's copy, empty until the first :meth:`open`. It outlives the client that works on it.

    ``is_filled`` tells whether the first download is over: what comes later is news. ``reads`` are messages
    of the Inbox that were read here; these, ``moves`` and ``filings`` stay until the server has them.
    """

    __slots__ = (
        "_changes",
        "_guid",
        "_ids",
        "_mailbox_guid",
        "_replica",
        "filings",
        "folders",
        "hierarchy",
        "is_filled",
        "moves",
        "reads",
    )

    def __init__(self) -> None:
        self.folders: tuple[LocalFolder, ...] = ()
        self.hierarchy = State()
        self.is_filled = False
        self.reads: list[int] = []
        self.moves: list[Move] = []
        self.filings: list[Filing] = []
        self._mailbox_guid = b""
        self._replica: Replica
        self._ids = range(0)
        self._guid = uuid4().bytes_le
        self._changes = 0

    def open(self, logon: PrivateLogon) -> None:
        """Begins to work on a mailbox, the same each time; raises :class:`~loadgen.errors.WrongAnswer`."""
        if not self.folders:
            self._mailbox_guid, self._replica = logon.mailbox_guid, logon.replica
            self.folders = tuple(LocalFolder(logon.folder_ids[place], logon.replica) for place in _FOLDERS)
        elif (logon.mailbox_guid, logon.replica) != (self._mailbox_guid, self._replica):
            raise WrongAnswer("the mailbox is not the one that the copy is of")

    @property
    def inbox(self) -> LocalFolder:
        """Where mail arrives."""
        return self.folders[0]

    @property
    def sent_items(self) -> LocalFolder:
        """Where a copy of each message sent is kept."""
        return self.folders[1]

    @property
    def deleted_items(self) -> LocalFolder:
        """Where deleted messages go."""
        return self.folders[2]

    @property
    def needs_ids(self) -> bool:
        """Whether it is time for :meth:`take_ids`."""
        return len(self._ids) < _FEW_IDS

    def take_ids(self, first_counter: int) -> None:
        """RESERVED_IDS counters for messages that are made here."""
        self._ids = range(first_counter, first_counter + RESERVED_IDS)

    def new_id(self) -> int:
        """The id of a message that is made here."""
        counter, self._ids = self._ids[0], self._ids[1:]
        return object_id(self._replica.number, counter)

    def new_change_key(self) -> bytes:
        """The name of a change that is made here: the copy's own GUID, and a number (XID)."""
        self._changes += 1
        return self._guid + self._changes.to_bytes(4, "big")

    def delete(self, message: LocalMessage) -> None:
        """Moves a message from the Inbox to Deleted Items."""
        del self.inbox.messages[message.message_id]
        new_id = self.new_id()
        self.deleted_items.messages[new_id] = msgspec.structs.replace(message, message_id=new_id)
        self.moves.append(
            Move(message.message_id, new_id, message.predecessor_change_list, self.new_change_key())
        )
