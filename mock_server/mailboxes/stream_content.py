"""Messages and folders of the store as FastTransfer streams carry them ([MS-OXCFXICS] 2.2.4.2)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Self

import msgspec

from loadgen.wire.fasttransfer import message as wire
from loadgen.wire.fasttransfer.elements import FIRST_NAMED_ID, Element, Property, value_form
from loadgen.wire.fasttransfer.markers import (
    EndFolder,
    EndMessage,
    Marker,
    MetaTagFXDelProp,
    StartFAIMsg,
    StartMessage,
    StartSubFld,
)
from loadgen.wire.properties import (
    PidTagAddressType,
    PidTagAttachSize,
    PidTagBody,
    PidTagCreationTime,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagHasAttachments,
    PidTagHtml,
    PidTagLastModificationTime,
    PidTagMessageAttachments,
    PidTagMessageDeliveryTime,
    PidTagMessageFlags,
    PidTagMessageRecipients,
    PidTagReceivedByAddressType,
    PidTagReceivedByEmailAddress,
    PidTagReceivedByEntryId,
    PidTagReceivedByName,
    PidTagReceivedRepresentingEntryId,
    PidTagReceivedRepresentingName,
    PidTagRecipientType,
    PidTagRtfCompressed,
    PidTagSearchKey,
    PropertyError,
    PropertyTag,
    PtypString,
    PtypString8,
    Value,
)
from mock_server.mailboxes.folder import FOLDER_COMPUTED, Folder
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.message import MESSAGE_COMPUTED, Attachment, Message, MessageContent, Recipient

_FOLDER_MESSAGES: Final = 0x360F000D
_FOLDER_ASSOCIATED: Final = 0x3610000D
_FOLDER_SUBFOLDERS: Final = 0x360E000D
"""Kinds of what is in a folder, for MetaTagFXDelProp."""

_BODIES: Final = (PidTagHtml, PidTagRtfCompressed, PidTagBody)
"""Forms of a body, the best one first."""

_COMPUTED: Final = (
    PidTagMessageFlags,
    PidTagMessageDeliveryTime,
    PidTagCreationTime,
    PidTagLastModificationTime,
    PidTagHasAttachments,
    PidTagSearchKey,
    PidTagReceivedByEntryId,
    PidTagReceivedByName,
    PidTagReceivedByAddressType,
    PidTagReceivedByEmailAddress,
    PidTagReceivedRepresentingEntryId,
    PidTagReceivedRepresentingName,
)
"""What a copy has beside its content and another store cannot make up; ids it gives itself."""

_X500_DN: Final = 1
_ADDRESS_KIND: Final = 0x0007
_SMTP: Final = 3


class Selection(msgspec.Struct, frozen=True):
    """Which properties a stream carries: all but those with ``ids`` or, with ``only``, no others.

    ``best_body`` leaves one form of the body.
    """

    ids: frozenset[int] = frozenset()
    only: bool = False
    best_body: bool = False

    @classmethod
    def of(cls, tags: Iterable[PropertyTag], *, only: bool = False, best_body: bool = False) -> Self:
        """By tags, whose types do not matter."""
        return cls(frozenset(tag >> 16 for tag in tags), only, best_body)

    def without(self, *tags: PropertyTag) -> "Selection":
        """The same, and not these."""
        ids = frozenset(tag >> 16 for tag in tags)
        return Selection(self.ids - ids if self.only else self.ids | ids, self.only, self.best_body)

    def takes(self, tag: PropertyTag) -> bool:
        """Whether a property, or the recipients or attachments, are carried."""
        return (tag >> 16 in self.ids) == self.only


class StreamContent:
    """Makes what ``selection`` takes of objects into the parts of a stream; large values are not copied."""

    def __init__(self, store: MailboxStore, selection: Selection) -> None:
        self._names = store.names
        self._dn_prefix = store.dn_prefix
        self._selection = selection

    def message(self, message: Message, content: MessageContent) -> wire.MessageContent:
        """A message; ``content`` may be that of a draft."""
        takes = self._selection.takes
        has_recipients, has_attachments = takes(PidTagMessageRecipients), takes(PidTagMessageAttachments)
        return wire.MessageContent(
            tuple(self._message_properties(message, content.properties)),
            tuple(map(self._recipient, content.recipients)) if has_recipients else (),
            tuple(map(self._attachment, content.attachments)) if has_attachments else (),
            has_recipients,
            has_attachments,
        )

    def _message_properties(
        self, message: Message, stored: Mapping[PropertyTag, Value]
    ) -> Iterator[Property]:
        left_out: tuple[PropertyTag, ...] = ()
        if self._selection.best_body:
            left_out = tuple(tag for tag in _BODIES if tag in stored)[1:]
        computed = MESSAGE_COMPUTED if self._selection.only else _COMPUTED
        yield from self._properties((tag, MESSAGE_COMPUTED[tag](message)) for tag in computed)
        yield from self._properties(
            (tag, value)
            for tag, value in stored.items()
            if tag not in MESSAGE_COMPUTED and tag not in left_out
        )

    def _properties(self, values: Iterable[tuple[PropertyTag, Value]]) -> Iterator[Property]:
        takes = self._selection.takes
        for tag, value in values:
            if takes(tag):
                yield from self._property(tag, value)

    def _property(self, tag: PropertyTag, value: Value) -> Iterator[Property]:
        """None for what cannot stand in a stream."""
        if value is None or isinstance(value, PropertyError) or value_form(tag) is None:
            return
        name = self._names.name_of(tag >> 16)
        if name is not None or tag >> 16 < FIRST_NAMED_ID:
            yield Property(tag, value, name)

    def _recipient(self, recipient: Recipient) -> wire.Recipient:
        row = recipient.row
        address_type, address = row.address_type, row.email_address
        if row.flags & _ADDRESS_KIND == _X500_DN:
            address_type, address = "EX", row.legacy_dn(self._dn_prefix)
        elif row.flags & _ADDRESS_KIND == _SMTP:
            address_type = "SMTP"
        values = dict(zip(row.row.columns, row.row.values, strict=True)) | {
            PidTagRecipientType: recipient.recipient_type,
            PidTagDisplayName: row.display_name,
            PidTagAddressType: address_type,
            PidTagEmailAddress: address,
        }
        properties = (each for tag, value in values.items() for each in self._property(tag, value))
        return wire.Recipient(recipient.row_id, tuple(properties))

    def _attachment(self, attachment: Attachment) -> wire.Attachment:
        values = {**attachment.properties, PidTagAttachSize: attachment.size}
        properties = (each for tag, value in values.items() for each in self._property(tag, value))
        return wire.Attachment(attachment.number, tuple(properties))

    def attachment_properties(self, attachment: Attachment) -> Iterator[Property]:
        """An attachment by itself."""
        yield from self._properties((tag, attachment.get(tag)) for tag in attachment.tags())

    def folder_properties(self, folder: Folder) -> Iterator[Property]:
        """What a folder says of itself."""
        yield from self._properties((tag, folder.get(tag)) for tag in (*folder.properties, *FOLDER_COMPUTED))

    def messages(self, messages: Iterable[Message]) -> Iterator[Element]:
        """Each message between its markers; those deleted in the meantime are passed over."""
        for message in messages:
            if not message.deleted:
                yield StartFAIMsg if message.associated else StartMessage
                yield from self.message(message, message.content).elements()
                yield EndMessage

    def folder_content(self, folder: Folder, *, subfolders: bool) -> Iterator[Element]:
        """A folder with its messages and perhaps all below it (folderContent)."""
        yield from self.folder_properties(folder)
        yield Property(MetaTagFXDelProp, _FOLDER_ASSOCIATED)
        yield from self.messages(tuple(folder.associated.values()))
        yield Property(MetaTagFXDelProp, _FOLDER_MESSAGES)
        yield from self.messages(tuple(folder.messages.values()))
        if subfolders:
            yield Property(MetaTagFXDelProp, _FOLDER_SUBFOLDERS)
            for child in tuple(folder.subfolders.values()):
                yield from self.folder(child, StartSubFld, subfolders=True)

    def folder(self, folder: Folder, start: Marker, *, subfolders: bool) -> Iterator[Element]:
        """The same between its markers."""
        yield start
        yield from self.folder_content(folder, subfolders=subfolders)
        yield EndFolder


def narrowed(elements: Iterable[Element]) -> Iterator[Element]:
    """The same for a client that wants 8-bit strings; what they cannot hold becomes question marks."""
    for element in elements:
        if isinstance(element, Property) and element.tag & 0x0FFF == PtypString:
            tag = element.tag & ~0x0FFF | PtypString8
            yield Property(tag, _narrow(element.value), element.name)
        else:
            yield element


def _narrow(value: Value) -> Any:  # noqa: ANN401 - text or a tuple of texts, as it came
    if isinstance(value, tuple):
        return tuple(map(_narrow, value))
    return value.encode("latin-1", "replace").decode("latin-1")
