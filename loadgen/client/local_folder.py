"""The copy of a folder: who each message is, and a digest of all that it says.

Thousands of users' mail would not fit into memory, and a digest is enough to tell whether a copy is true.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from loadgen.client.content import Content
from loadgen.client.replica import Replica
from loadgen.errors import RemoteProtocolError
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.changes import (
    Deletions,
    MessageChange,
    MessageChangeHeader,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.message import MessageContent, value_of
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.idset import IdSetByReplGuid
from loadgen.wire.properties import Value

_READ = 0x1
_DIGEST_SIZE = 16
_COMPARED: Final = (
    p.PidTagMessageClass,
    p.PidTagNormalizedSubject,
    p.PidTagHtml,
    p.PidTagSenderName,
    p.PidTagSenderEmailAddress,
    p.PidTagClientSubmitTime,
    p.PidTagImportance,
)
"""What a message says; the rest tells of its place and its history, or follows from its recipients."""


class LocalMessage(msgspec.Struct, frozen=True, gc=False):
    """One message. ``digest`` stands for all that it says.

    ``key`` is that of our own content, "" for other mail; ``intact`` tells whether it is what its sender
    wrote.
    """

    message_id: int
    predecessor_change_list: bytes
    key: str
    intact: bool
    read: bool
    digest: bytes

    @classmethod
    def of(cls, message_id: int, header: MessageChangeHeader, content: MessageContent) -> "LocalMessage":
        """The copy of a message that came in a synchronisation."""
        announced = Content.from_subject(value_of(content.properties, p.PidTagNormalizedSubject, ""))
        return cls(
            message_id=message_id,
            predecessor_change_list=header.predecessor_change_list,
            key=announced.key if announced else "",
            intact=announced is not None and _is_intact(announced, content),
            read=bool(value_of(content.properties, p.PidTagMessageFlags, 0) & _READ),
            digest=digest_of(content),
        )


class LocalFolder:
    """The copy of one folder by message id, and the state that tells a server what is in it.

    The state takes note of each change as it comes, so a download that was interrupted goes on from there.
    ``unconfirmed`` are messages that are here, but whose version the state does not know yet. Hidden messages
    are in the state alone.
    """

    __slots__ = ("_arrived", "_replica", "folder_id", "messages", "state", "unconfirmed")

    def __init__(self, folder_id: int, replica: Replica) -> None:
        self.folder_id = folder_id
        self.messages: dict[int, LocalMessage] = {}
        self.unconfirmed: set[int] = set()
        self.state = State(cnset_seen_fai=IdSetByReplGuid(), cnset_read=IdSetByReplGuid())
        self._replica = replica
        self._arrived: list[int] = []

    def take_change(self, change: MessageChange) -> None:
        """Keeps a message that is new or changed."""
        message_id = self._note(change.header)
        if not change.header.associated:
            if message_id not in self.messages:
                self._arrived.append(message_id)
            self.messages[message_id] = LocalMessage.of(message_id, change.header, change.content)

    def confirm(self, header: MessageChangeHeader) -> bool:
        """Takes note of the server's version of an unconfirmed message; False if it is none of those."""
        if header.associated or header.message_id not in self.unconfirmed:
            return False
        message_id = self._note(header)
        history = header.predecessor_change_list
        self.messages[message_id] = msgspec.structs.replace(
            self.messages[message_id], predecessor_change_list=history
        )
        return True

    def take_deletions(self, deletions: Deletions) -> None:
        """Forgets messages that are gone."""
        for gone in (deletions.deleted, deletions.no_longer_in_scope, deletions.expired):
            given = self.state.idset_given - self._replica.globally(gone)
            self.state = msgspec.structs.replace(self.state, idset_given=given)
            for message_id in [known for known in self.messages if known in gone]:
                del self.messages[message_id]
                self.unconfirmed.discard(message_id)

    def take_read_states(self, changes: ReadStateChanges) -> None:
        """Takes note of messages that were marked read or unread elsewhere."""
        for ids, read in ((changes.read_ids, True), (changes.unread_ids, False)):
            for message_id in [known for known in self.messages if known in ids]:
                self.mark(message_id, read=read)

    def mark(self, message_id: int, *, read: bool) -> None:
        """Marks a message that is here."""
        self.messages[message_id] = msgspec.structs.replace(self.messages[message_id], read=read)

    def forget(self, message_id: int) -> None:
        """Takes note that the server, too, has a message no more in this folder."""
        gone = IdSetByReplGuid.of((self._replica.source_key(message_id),))
        self.state = msgspec.structs.replace(self.state, idset_given=self.state.idset_given - gone)

    @property
    def has_arrived(self) -> bool:
        """Whether :meth:`take_arrived` has something to give, perhaps."""
        return bool(self._arrived)

    def take_arrived(self) -> list[LocalMessage]:
        """The messages that have come since the last call and are still here, in their order."""
        arrived, self._arrived = self._arrived, []
        return [self.messages[message_id] for message_id in arrived if message_id in self.messages]

    def differences(self, mailbox: "LocalFolder") -> list[str]:
        """Where this copy and the mailbox disagree, a line for each message."""
        problems = []
        for message_id in sorted(self.messages.keys() | mailbox.messages.keys()):
            mine, theirs = self.messages.get(message_id), mailbox.messages.get(message_id)
            if mine is None or theirs is None:
                where, known = ("the mailbox", theirs) if mine is None else ("the copy", mine)
                problems.append(f"message {known.key if known else ''} is only in {where}")
            elif (mine.digest, mine.read) != (theirs.digest, theirs.read):
                problems.append(f"message {mine.key} differs")
        return problems

    def _note(self, header: MessageChangeHeader) -> int:
        if header.message_id is None or header.change_number is None:
            raise RemoteProtocolError("a change that lacks the message's id or the change's number")
        with_id, replace = self._replica.with_id, msgspec.structs.replace
        self.unconfirmed.discard(header.message_id)
        state = replace(self.state, idset_given=with_id(self.state.idset_given, header.message_id))
        if header.associated:
            seen = with_id(state.cnset_seen_fai or IdSetByReplGuid(), header.change_number)
            self.state = replace(state, cnset_seen_fai=seen)
        else:
            self.state = replace(state, cnset_seen=with_id(state.cnset_seen, header.change_number))
        return header.message_id


def digest_of(content: MessageContent) -> bytes:
    """One value for all that a message says: its properties, recipients and attachments."""
    total = blake2b(digest_size=_DIGEST_SIZE)

    def add(value: Value) -> None:
        data = value if isinstance(value, bytes) else repr(value).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)

    for tag in _COMPARED:
        add(value_of(content.properties, tag))
    add(len(content.recipients))
    for recipient in content.recipients:
        add(value_of(recipient.properties, p.PidTagRecipientType))
        add(value_of(recipient.properties, p.PidTagEmailAddress))
        add(value_of(recipient.properties, p.PidTagDisplayName))
    for attachment in content.attachments:
        add(value_of(attachment.properties, p.PidTagAttachLongFilename))
        add(value_of(attachment.properties, p.PidTagAttachDataBinary))
    return total.digest()


def _is_intact(announced: Content, content: MessageContent) -> bool:
    data = [value_of(attachment.properties, p.PidTagAttachDataBinary) for attachment in content.attachments]
    return bool(
        value_of(content.properties, p.PidTagHtml) == announced.html and data == [announced.attachment]
    )
