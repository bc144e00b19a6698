"""Messages as the store keeps them ([MS-OXCMSG]): content that all copies share, and what each has alone.

A message to four people is five messages with one content: body, recipients and attachments are held once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from loadgen.wire.properties import (
    PidTagAccess,
    PidTagAssociated,
    PidTagAttachNumber,
    PidTagAttachSize,
    PidTagChangeKey,
    PidTagChangeNumber,
    PidTagCreationTime,
    PidTagEntryId,
    PidTagFolderId,
    PidTagHasAttachments,
    PidTagInstanceKey,
    PidTagInstanceNum,
    PidTagInstID,
    PidTagLastModificationTime,
    PidTagMessageClass,
    PidTagMessageDeliveryTime,
    PidTagMessageFlags,
    PidTagMessageSize,
    PidTagMid,
    PidTagObjectType,
    PidTagParentFolderId,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagReceivedByAddressType,
    PidTagReceivedByEmailAddress,
    PidTagReceivedByEntryId,
    PidTagReceivedByName,
    PidTagReceivedRepresentingEntryId,
    PidTagReceivedRepresentingName,
    PidTagRecordKey,
    PidTagSearchKey,
    PidTagSourceKey,
    PidTagStoreRecordKey,
    PropertyTag,
    Value,
)
from loadgen.wire.recipients import RecipientRow
from mock_server.mailboxes.change_history import ChangeHistory
from mock_server.mailboxes.property_bag import value_size
from mock_server.mailboxes.store_identity import StoreIdentity, object_id

PidTagParentEntryId: Final = 0x0E090102
PidTagAccessLevel: Final = 0x0FF70003

READ: Final = 0x01
UNMODIFIED: Final = 0x02
UNSENT: Final = 0x08
HAS_ATTACHMENTS: Final = 0x10
FROM_ME: Final = 0x20
FAI: Final = 0x40

FULL_ACCESS: Final = 0x3F
_OBJECT_TYPE_MESSAGE: Final = 5
_OBJECT_TYPE_ATTACHMENT: Final = 7
_CAN_MODIFY: Final = 1
_BASE_SIZE: Final = 200
"""What a message counts for beside its properties, recipients and attachments, in bytes."""


class Recipient(msgspec.Struct, frozen=True):
    """One row of the recipient table; ``recipient_type`` is 1 To, 2 Cc, 3 Bcc, plus flags for resending."""

    row_id: int
    recipient_type: int
    row: RecipientRow


class Attachment(msgspec.Struct, frozen=True):
    """A file in a message; its bytes are one of its properties."""

    number: int
    properties: Mapping[PropertyTag, Value]

    @property
    def counter(self) -> int:
        """Where it stands among the others."""
        return self.number

    @property
    def size(self) -> int:
        """Bytes of all its properties."""
        return sum(value_size(tag, value) for tag, value in self.properties.items())

    def get(self, tag: PropertyTag) -> Value:
        """The value of a property, or None."""
        computed = ATTACHMENT_COMPUTED.get(tag)
        return self.properties.get(tag) if computed is None else computed(self)

    def tags(self) -> Iterator[PropertyTag]:
        """Tags of what is stored, and of number and size."""
        yield from self.properties
        yield from ATTACHMENT_COMPUTED


class MessageContent(msgspec.Struct, frozen=True):
    """What the copies of one message share; ``size`` in bytes counts everything."""

    properties: Mapping[PropertyTag, Value]
    recipient_columns: tuple[PropertyTag, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    size: int = _BASE_SIZE

    @classmethod
    def of(
        cls,
        properties: Mapping[PropertyTag, Value],
        recipient_columns: tuple[PropertyTag, ...] = (),
        recipients: tuple[Recipient, ...] = (),
        attachments: tuple[Attachment, ...] = (),
    ) -> "MessageContent":
        """Content with its size counted."""
        size = _BASE_SIZE + sum(value_size(tag, value) for tag, value in properties.items())
        size += sum(_BASE_SIZE for _ in recipients) + sum(attachment.size for attachment in attachments)
        return cls(properties, recipient_columns, recipients, attachments, size)

    def with_properties(self, changes: Mapping[PropertyTag, Value]) -> "MessageContent":
        """The same, with other values for some properties; attachments and recipients stay shared."""
        grown = sum(value_size(tag, value) for tag, value in changes.items())
        shrunk = sum(value_size(tag, self.properties[tag]) for tag in changes if tag in self.properties)
        properties = {**self.properties, **changes}
        return MessageContent(
            properties, self.recipient_columns, self.recipients, self.attachments, self.size + grown - shrunk
        )

    def without_properties(self, *tags: PropertyTag) -> "MessageContent":
        """The same without some properties; attachments and recipients stay shared."""
        shrunk = sum(value_size(tag, self.properties[tag]) for tag in tags if tag in self.properties)
        properties = {tag: value for tag, value in self.properties.items() if tag not in tags}
        return MessageContent(
            properties, self.recipient_columns, self.recipients, self.attachments, self.size - shrunk
        )


class Message:
    """One message in one folder; times are FILETIMEs.

    ``flags`` are those of PidTagMessageFlags that are not computed. ``delivered`` is when the transport
    brought it, 0 if a client made it. ``deleted`` is what an open handle finds out when another client
    deletes the message. ``counter`` orders messages by age. ``change_counter`` numbers the last change but
    marking as read, which ``read_counter`` does; both are 0 before the first. ``client_history`` is set once
    a client changed a copy of its own and uploaded that.
    """

    __slots__ = (
        "associated",
        "change_counter",
        "client_history",
        "content",
        "counter",
        "created",
        "deleted",
        "delivered",
        "flags",
        "folder_id",
        "message_id",
        "modified",
        "read_counter",
        "status",
        "store",
    )

    def __init__(
        self, store: StoreIdentity, counter: int, folder_id: int, content: MessageContent, now: int
    ) -> None:
        self.store = store
        self.counter = counter
        self.message_id = object_id(counter)
        self.folder_id = folder_id
        self.content = content
        self.flags = 0
        self.associated = False
        self.created = self.modified = now
        self.delivered = 0
        self.change_counter = 0
        self.read_counter = 0
        self.client_history: ChangeHistory | None = None
        self.status = 0
        self.deleted = False

    @property
    def history(self) -> ChangeHistory:
        """The last change, and those before it."""
        own_key = self.store.source_key(object_id(self.change_counter))
        return self.client_history or ChangeHistory.of(own_key)

    @property
    def is_read(self) -> bool:
        """Whether it counts as read."""
        return bool(self.flags & READ)

    @property
    def message_class(self) -> str:
        """PidTagMessageClass, which every message has."""
        value: str = self.content.properties[PidTagMessageClass]
        return value

    def get(self, tag: PropertyTag) -> Value:
        """The value of a property, or None."""
        computed = MESSAGE_COMPUTED.get(tag)
        return self.content.properties.get(tag) if computed is None else computed(self)

    def tags(self) -> Iterable[PropertyTag]:
        """Tags of what is stored and of what is computed and has a value."""
        stored = [tag for tag in self.content.properties if tag not in MESSAGE_COMPUTED]
        return stored + [tag for tag, computed in MESSAGE_COMPUTED.items() if computed(self) is not None]


def _source_key(message: Message) -> bytes:
    return message.store.source_key(message.message_id)


def _entry_id(message: Message) -> bytes:
    return message.store.message_entry_id(message.folder_id, message.message_id)


def _instance_key(message: Message) -> bytes:
    return message.folder_id.to_bytes(8, "little") + message.message_id.to_bytes(8, "little") + bytes(4)


def _flags(message: Message) -> int:
    flags = message.flags
    if message.content.attachments:
        flags |= HAS_ATTACHMENTS
    return flags | FAI if message.associated else flags


def _received_by(tag: PropertyTag) -> Callable[[Message], Value]:
    """The owner's name, on messages that the transport brought."""
    return lambda message: message.store.owner_properties.get(tag) if message.delivered else None


MESSAGE_COMPUTED: Final[Mapping[PropertyTag, Callable[[Message], Value]]] = {
    PidTagMid: lambda message: message.message_id,
    PidTagInstID: lambda message: message.message_id,
    PidTagInstanceNum: lambda _message: 0,
    PidTagFolderId: lambda message: message.folder_id,
    PidTagParentFolderId: lambda message: message.folder_id,
    PidTagEntryId: _entry_id,
    PidTagParentEntryId: lambda message: message.store.folder_entry_id(message.folder_id),
    PidTagInstanceKey: _instance_key,
    PidTagRecordKey: _entry_id,
    PidTagStoreRecordKey: lambda message: message.store.provider,
    PidTagSearchKey: lambda message: message.content.properties.get(PidTagSearchKey) or _source_key(message),
    PidTagSourceKey: _source_key,
    PidTagParentSourceKey: lambda message: message.store.source_key(message.folder_id),
    PidTagChangeKey: lambda message: message.history.change_key,
    PidTagPredecessorChangeList: lambda message: message.history.predecessor_change_list,
    PidTagChangeNumber: lambda message: object_id(message.change_counter),
    PidTagAssociated: lambda message: message.associated,
    PidTagMessageSize: lambda message: message.content.size,
    PidTagMessageFlags: _flags,
    PidTagHasAttachments: lambda message: bool(message.content.attachments),
    PidTagMessageDeliveryTime: lambda message: message.delivered or message.created,
    PidTagCreationTime: lambda message: message.created,
    PidTagLastModificationTime: lambda message: message.modified,
    PidTagAccess: lambda _message: FULL_ACCESS,
    PidTagAccessLevel: lambda _message: _CAN_MODIFY,
    PidTagObjectType: lambda _message: _OBJECT_TYPE_MESSAGE,
    PidTagReceivedByEntryId: _received_by(PidTagReceivedByEntryId),
    PidTagReceivedByName: _received_by(PidTagReceivedByName),
    PidTagReceivedByAddressType: _received_by(PidTagReceivedByAddressType),
    PidTagReceivedByEmailAddress: _received_by(PidTagReceivedByEmailAddress),
    PidTagReceivedRepresentingEntryId: _received_by(PidTagReceivedRepresentingEntryId),
    PidTagReceivedRepresentingName: _received_by(PidTagReceivedRepresentingName),
}
"""What belongs to the copy and not to its content; clients cannot set these."""

ATTACHMENT_COMPUTED: Final[Mapping[PropertyTag, Callable[[Attachment], Value]]] = {
    PidTagAttachNumber: lambda attachment: attachment.number,
    PidTagAttachSize: lambda attachment: attachment.size,
    PidTagRecordKey: lambda attachment: attachment.number.to_bytes(4, "little"),
    PidTagObjectType: lambda _attachment: _OBJECT_TYPE_ATTACHMENT,
}
