"""What a cached Outlook keeps of its mailbox: who each message is and a digest of all that it says.

Thousands of users' mail would not fit into memory, and a digest is enough to tell whether a copy is true.
"""

from hashlib import sha256
from typing import Final

import msgspec

from loadgen.client.content import Content
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.changes import Deletions, MessageChange, ReadStateChanges
from loadgen.wire.fasttransfer.message import MessageContent, value_of
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.idset import IdSetByReplGuid
from loadgen.wire.properties import Value

SOURCE_KEY_SIZE: Final = 22
"""A replica's GUID and a counter of six bytes."""

_READ = 0x1
_COMPARED = (
    p.PidTagMessageClass,
    p.PidTagNormalizedSubject,
    p.PidTagHtml,
    p.PidTagSenderName,
    p.PidTagSenderEmailAddress,
    p.PidTagDisplayTo,
    p.PidTagClientSubmitTime,
    p.PidTagImportance,
)
"""What a message says; the rest tells of its place and its history."""


class LocalMessage(msgspec.Struct, frozen=True, gc=False):
    """One message. ``digest`` stands for all that it says.

    ``key`` is that of our own content, "" for other mail; ``true`` tells whether it is what its sender wrote.
    """

    message_id: int
    source_key: bytes
    predecessor_change_list: bytes
    key: str
    true: bool
    read: bool
    digest: bytes

    @classmethod
    def of(cls, change: MessageChange) -> "LocalMessage":
        """The copy of a message that came in a synchronisation."""
        header, content = change.header, change.content
        announced = Content.from_subject(value_of(content.properties, p.PidTagNormalizedSubject, ""))
        return cls(
            message_id=header.message_id or 0,
            source_key=header.source_key,
            predecessor_change_list=header.predecessor_change_list,
            key=announced.key if announced else "",
            true=announced is not None and _is_true(announced, content),
            read=bool(value_of(content.properties, p.PidTagMessageFlags, 0) & _READ),
            digest=digest_of(content),
        )


class LocalFolder:
    """The copy of one folder by message id, and the state that tells a server what is in it."""

    __slots__ = ("folder_id", "messages", "state")

    def __init__(self, folder_id: int) -> None:
        self.folder_id = folder_id
        self.messages: dict[int, LocalMessage] = {}
        self.state = State(cnset_seen_fai=IdSetByReplGuid(), cnset_read=IdSetByReplGuid())

    def take_change(self, change: MessageChange) -> LocalMessage | None:
        """Keeps a message that is new or changed; returns it if it is new and no hidden one.

        The state takes note at once, so a download that is interrupted goes on from here.
        """
        header = change.header
        message = LocalMessage.of(change)
        is_new = message.message_id not in self.messages
        given = self.state.idset_given | IdSetByReplGuid.of((header.source_key,))
        seen = self.state.cnset_seen_fai if header.associated else self.state.cnset_seen
        if len(header.change_key) == SOURCE_KEY_SIZE:
            seen = (seen or IdSetByReplGuid()) | IdSetByReplGuid.of((header.change_key,))
        if header.associated:
            self.state = msgspec.structs.replace(self.state, idset_given=given, cnset_seen_fai=seen)
            return None
        self.state = msgspec.structs.replace(self.state, idset_given=given, cnset_seen=seen)
        self.messages[message.message_id] = message
        return message if is_new else None

    def take_deletions(self, deletions: Deletions) -> None:
        """Forgets messages that are gone."""
        for gone in (deletions.deleted, deletions.no_longer_in_scope, deletions.expired):
            for message_id in [known for known in self.messages if known in gone]:
                del self.messages[message_id]

    def take_read_states(self, changes: ReadStateChanges) -> None:
        """Takes note of messages that were marked read or unread elsewhere."""
        for ids, read in ((changes.read_ids, True), (changes.unread_ids, False)):
            for message_id in [known for known in self.messages if known in ids]:
                self.mark(message_id, read=read)

    def mark(self, message_id: int, *, read: bool) -> None:
        """Marks a message that is here."""
        self.messages[message_id] = msgspec.structs.replace(self.messages[message_id], read=read)

    def differences(self, other: "LocalFolder") -> list[str]:
        """Where two copies of the same folder disagree, a line for each message."""
        problems = []
        for message_id in self.messages.keys() | other.messages.keys():
            mine, theirs = self.messages.get(message_id), other.messages.get(message_id)
            if mine is None or theirs is None:
                known = mine or theirs
                key = known.key if known else ""
                problems.append(f"message {key} is only in {'the mailbox' if mine is None else 'the copy'}")
            elif (mine.digest, mine.read) != (theirs.digest, theirs.read):
                problems.append(f"message {mine.key} differs")
        return problems


def digest_of(content: MessageContent) -> bytes:
    """One value for all that a message says: its properties, recipients and attachments."""
    total = sha256()

    def add(value: Value) -> None:
        data = value if isinstance(value, bytes) else repr(value).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)

    for tag in _COMPARED:
        add(value_of(content.properties, tag))
    for recipient in content.recipients:
        add(value_of(recipient.properties, p.PidTagEmailAddress))
        add(value_of(recipient.properties, p.PidTagDisplayName))
    for attachment in content.attachments:
        add(value_of(attachment.properties, p.PidTagAttachLongFilename))
        add(value_of(attachment.properties, p.PidTagAttachDataBinary))
    return total.digest()


def _is_true(announced: Content, content: MessageContent) -> bool:
    data = [value_of(attachment.properties, p.PidTagAttachDataBinary) for attachment in content.attachments]
    return bool(
        value_of(content.properties, p.PidTagHtml) == announced.html and data == [announced.attachment]
    )
