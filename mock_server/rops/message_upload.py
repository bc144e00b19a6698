"""A message that comes as a FastTransfer stream, put into its draft part by part ([MS-OXCFXICS] 3.2.5.8)."""

from typing import Final

from loadgen.errors import WireError
from loadgen.wire.fasttransfer import message as wire
from loadgen.wire.fasttransfer.elements import CODE_PAGE, Element, Property
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    EndAttach,
    EndToRecip,
    Marker,
    MetaTagFXDelProp,
    NewAttach,
    StartEmbed,
    StartRecip,
)
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.properties import (
    PidTagAddressType,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagMessageAttachments,
    PidTagMessageRecipients,
    PidTagRecipientType,
    PropertyError,
    PropertyRow,
    PropertyTag,
    PtypString,
    Value,
)
from loadgen.wire.recipients import TO, exchange_recipient, smtp_recipient
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.message import ATTACHMENT_COMPUTED, Attachment, Recipient
from mock_server.mailboxes.property_bag import stored_tag
from mock_server.rops.messages import MessageObject

_NOT_FOUND: Final = 0x8004010F
_RECIPIENT_TYPE: Final = 0xFF
_PARTS: Final = {StartRecip: EndToRecip, NewAttach: EndAttach}
_IN_ROW_ITSELF: Final = (PidTagRecipientType, PidTagDisplayName, PidTagAddressType, PidTagEmailAddress)


class EmbeddedMessageError(Exception):
    """An attachment is a message itself, which this store does not keep."""


class MessageUpload:
    """Takes the buffers of a stream, cut anywhere, and changes ``opened`` as soon as a part is complete."""

    def __init__(self, store: MailboxStore, opened: MessageObject) -> None:
        self._names = store.names
        self._dn_prefix = store.dn_prefix
        self._opened = opened
        self._parser = FastTransferParser()
        self._received = 0
        self._part: list[Element] = []
        self._part_end: Marker | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the stream may end here."""
        return not self._part and self._parser.offset == self._received

    def take(self, data: bytes) -> None:
        """The next buffer; raises :class:`WireError` or :class:`EmbeddedMessageError`, after which no more
        may come.
        """
        self._received += len(data)
        for element in self._parser.elements(data):
            if self._part:
                self._go_on(element)
            elif isinstance(element, Property):
                self._take_property(element)
            elif isinstance(element, int) and element in _PARTS:
                self._part, self._part_end = [element], _PARTS[element]
            else:
                raise WireError("Element", self._parser.offset, f"{element} does not belong here")

    def _go_on(self, element: Element) -> None:
        self._part.append(element)
        if element == StartEmbed:
            raise EmbeddedMessageError
        if element != self._part_end:
            return
        reader = ElementReader(self._part)
        if self._part[0] == StartRecip:
            self._take_recipient(wire.Recipient.read(reader))
        else:
            self._take_attachment(wire.Attachment.read(reader))
        self._part = []

    def _take_property(self, known: Property) -> None:
        draft = self._opened.edit()
        if known.tag != MetaTagFXDelProp:
            tag = self._tag(known)
            if tag and not self._opened.refusal(tag):
                self._opened.change({tag: _value(known)}, ())
        elif known.value == PidTagMessageRecipients:
            draft.recipients.clear()
        elif known.value == PidTagMessageAttachments:
            draft.attachments.clear()
        else:
            raise WireError("MetaTagFXDelProp", 0, f"0x{known.value:08X} is nothing of a message")

    def _take_recipient(self, recipient: wire.Recipient) -> None:
        values = self._values(recipient.properties)
        name, address = values.get(PidTagDisplayName, ""), values.get(PidTagEmailAddress, "")
        others = {tag: value for tag, value in values.items() if tag not in _IN_ROW_ITSELF}
        draft = self._opened.edit()
        columns = tuple(dict.fromkeys((*draft.recipient_columns, *others)))
        row = PropertyRow.of(columns, [others.get(tag, PropertyError(_NOT_FOUND)) for tag in columns])
        if values.get(PidTagAddressType) == "EX" and address.isascii():
            addressed = exchange_recipient(address, name, self._dn_prefix, row)
        else:
            addressed = smtp_recipient(address, name, row)
        kind = values.get(PidTagRecipientType, TO) & _RECIPIENT_TYPE
        draft.set_recipients(columns, [Recipient(recipient.row_id, kind, addressed)])

    def _take_attachment(self, attachment: wire.Attachment) -> None:
        values = self._values(attachment.properties)
        stored = {tag: value for tag, value in values.items() if tag not in ATTACHMENT_COMPUTED}
        draft = self._opened.edit()
        number = draft.new_attachment_number()
        draft.attachments[number] = Attachment(number, stored)

    def _values(self, properties: tuple[Property, ...]) -> dict[PropertyTag, Value]:
        return {tag: _value(known) for known in properties if (tag := self._tag(known))}

    def _tag(self, known: Property) -> PropertyTag:
        """The tag under which this store keeps it; 0 if it has no more names to give."""
        tag = known.tag
        if tag & CODE_PAGE:
            tag = tag & ~0xFFFF | PtypString
        if known.name is not None:
            tag = self._names.id_of(known.name, create=True) << 16 | tag & 0xFFFF
        return stored_tag(tag) if tag >> 16 else 0


def _value(known: Property) -> Value:
    """Text ends at the first NUL, as it would in a property row."""
    return known.value.partition("\0")[0] if isinstance(known.value, str) else known.value
