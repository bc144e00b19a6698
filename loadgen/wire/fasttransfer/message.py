"""Messages as streams carry them ([MS-OXCFXICS] 2.2.4.2); each class names its element there."""

from collections.abc import Iterator
from typing import Final, Self

import msgspec

from loadgen.wire.fasttransfer.elements import Element, Property, encode
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    EndAttach,
    EndEmbed,
    EndToRecip,
    MetaTagFXDelProp,
    NewAttach,
    StartEmbed,
    StartRecip,
)
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.properties import (
    PidTagAttachNumber,
    PidTagMessageAttachments,
    PidTagMessageRecipients,
    PidTagRowId,
    PropertyTag,
    Value,
)

_MAX_DEPTH: Final = 64
"""Deeper nesting of messages is refused, so that hostile bytes cannot exhaust the interpreter's stack."""

_DELETES_RECIPIENTS = Property(MetaTagFXDelProp, PidTagMessageRecipients)
_DELETES_ATTACHMENTS = Property(MetaTagFXDelProp, PidTagMessageAttachments)


def value_of(properties: tuple[Property, ...], tag: PropertyTag, default: Value = None) -> Value:
    """What the property ``tag`` holds; ``default`` if it is not there."""
    return next((known.value for known in properties if known.tag == tag), default)


class Recipient(msgspec.Struct, frozen=True):
    """One recipient (recipient)."""

    row_id: int
    properties: tuple[Property, ...]

    @classmethod
    def read(cls, reader: ElementReader) -> Self:
        """From StartRecip to EndToRecip; raises :class:`WireError`."""
        reader.take_marker(StartRecip)
        recipient = cls(reader.take_value(PidTagRowId), reader.take_properties())
        reader.take_marker(EndToRecip)
        return recipient

    def elements(self) -> Iterator[Element]:
        """From StartRecip to EndToRecip."""
        yield StartRecip
        yield Property(PidTagRowId, self.row_id)
        yield from self.properties
        yield EndToRecip


class Attachment(msgspec.Struct, frozen=True):
    """One attachment, perhaps a message itself (attachment)."""

    number: int
    properties: tuple[Property, ...]
    embedded_message: "MessageContent | None" = None

    @classmethod
    def read(cls, reader: ElementReader, depth: int = 0) -> Self:
        """From NewAttach to EndAttach; raises :class:`WireError`."""
        reader.take_marker(NewAttach)
        number, properties = reader.take_value(PidTagAttachNumber), reader.take_properties()
        embedded_message = None
        if reader.next_marker == StartEmbed:
            reader.take_marker(StartEmbed)
            embedded_message = MessageContent.read(reader, depth + 1)
            reader.take_marker(EndEmbed)
        reader.take_marker(EndAttach)
        return cls(number, properties, embedded_message)

    def elements(self) -> Iterator[Element]:
        """From NewAttach to EndAttach."""
        yield NewAttach
        yield Property(PidTagAttachNumber, self.number)
        yield from self.properties
        if self.embedded_message is not None:
            yield StartEmbed
            yield from self.embedded_message.elements()
            yield EndEmbed
        yield EndAttach


class MessageContent(msgspec.Struct, frozen=True):
    """All that is in a message (messageContent).

    Recipients and attachments that the other side has are deleted first, unless ``replaces_recipients`` or
    ``replaces_attachments`` is False.
    """

    properties: tuple[Property, ...]
    recipients: tuple[Recipient, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    replaces_recipients: bool = True
    replaces_attachments: bool = True

    @classmethod
    def decode(cls, stream: bytes) -> Self:
        """A whole stream of RopFastTransferSourceCopyTo; raises :class:`WireError`."""
        parser = FastTransferParser()
        reader = ElementReader(parser.feed(stream))
        parser.finish()
        content = cls.read(reader)
        reader.expect_end()
        return content

    def encode(self) -> bytes:
        """A whole stream."""
        return encode(self.elements())

    @classmethod
    def read(cls, reader: ElementReader, depth: int = 0) -> Self:
        """Up to an element that does not belong to it; raises :class:`WireError`."""
        if depth > _MAX_DEPTH:
            raise reader.error("StartEmbed", f"nested deeper than {_MAX_DEPTH}")
        properties = reader.take_properties()
        recipients: list[Recipient] = []
        attachments: list[Attachment] = []
        deleted: set[PropertyTag] = set()
        while True:
            if reader.next_marker == StartRecip:
                recipients.append(Recipient.read(reader))
            elif reader.next_marker == NewAttach:
                attachments.append(Attachment.read(reader, depth))
            elif deletion := reader.take_if(MetaTagFXDelProp):
                if deletion.value not in (PidTagMessageRecipients, PidTagMessageAttachments):
                    raise reader.error("MetaTagFXDelProp", f"0x{deletion.value:08X} is nothing of a message")
                deleted.add(deletion.value)
            else:
                break
        return cls(
            properties,
            tuple(recipients),
            tuple(attachments),
            PidTagMessageRecipients in deleted,
            PidTagMessageAttachments in deleted,
        )

    def elements(self) -> Iterator[Element]:
        """Properties, recipients, attachments."""
        yield from self.properties
        if self.replaces_recipients:
            yield _DELETES_RECIPIENTS
        for recipient in self.recipients:
            yield from recipient.elements()
        if self.replaces_attachments:
            yield _DELETES_ATTACHMENTS
        for attachment in self.attachments:
            yield from attachment.elements()
