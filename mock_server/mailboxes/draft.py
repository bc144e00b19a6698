"""A message while a client changes it: others see nothing of it until it is saved ([MS-OXCMSG] 3.2.5)."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from loadgen.wire.properties import (
    PidTagDisplayBcc,
    PidTagDisplayCc,
    PidTagDisplayTo,
    PidTagMessageClass,
    PidTagNormalizedSubject,
    PidTagSubject,
    PidTagSubjectPrefix,
    PropertyError,
    PropertyRow,
    PropertyTag,
    Value,
)
from loadgen.wire.recipients import BCC, CC, TO
from mock_server.mailboxes.message import MessageContent, Recipient
from mock_server.mailboxes.property_bag import stored_tag

LONGEST_PREFIX: Final = 3
"""Letters before the colon that still make a prefix of a subject ([MS-OXCMSG] 2.2.1.9)."""

_NOT_FOUND: Final = 0x8004010F
_TYPE_OF_RECIPIENT: Final = 0x0F
_SUMMARIES: Final[Mapping[PropertyTag, int]] = {
    PidTagDisplayTo: TO,
    PidTagDisplayCc: CC,
    PidTagDisplayBcc: BCC,
}


class Draft:
    """Properties, recipients by row id and attachments by number, as they will be saved."""

    def __init__(self, content: MessageContent) -> None:
        self.properties = dict(content.properties)
        self.recipient_columns = content.recipient_columns
        self.recipients = {recipient.row_id: recipient for recipient in content.recipients}
        self.attachments = {attachment.number: attachment for attachment in content.attachments}
        self._next_attachment = max(self.attachments, default=-1) + 1

    def set(self, tag: PropertyTag, value: Value) -> None:
        """Set a property; the three properties of the subject follow each other."""
        tag = stored_tag(tag)
        self.properties[tag] = value
        if tag == PidTagSubject:
            prefix, rest = split_subject(value)
            self.properties[PidTagSubjectPrefix] = prefix
            self.properties[PidTagNormalizedSubject] = rest
        elif tag in (PidTagSubjectPrefix, PidTagNormalizedSubject):
            parts = (self.properties.get(PidTagSubjectPrefix), self.properties.get(PidTagNormalizedSubject))
            self.properties[PidTagSubject] = "".join(part or "" for part in parts)

    def delete(self, tag: PropertyTag) -> None:
        """Delete a property, if it is there."""
        self.properties.pop(stored_tag(tag), None)

    def set_recipients(self, columns: tuple[PropertyTag, ...], recipients: Sequence[Recipient]) -> None:
        """Add recipients, or put them in the place of those with the same row ids; all get ``columns``."""
        if columns != self.recipient_columns:
            for row_id, recipient in self.recipients.items():
                self.recipients[row_id] = _over(columns, recipient)
            self.recipient_columns = columns
        self.recipients.update((recipient.row_id, recipient) for recipient in recipients)

    def new_attachment_number(self) -> int:
        """A number that no attachment of this message has had."""
        number = self._next_attachment
        self._next_attachment += 1
        return number

    def freeze(self) -> MessageContent:
        """What is to be saved."""
        recipients = tuple(self.recipients[row_id] for row_id in sorted(self.recipients))
        properties = {PidTagMessageClass: "IPM.Note", **self.properties}
        for tag, kind in _SUMMARIES.items():
            properties[tag] = "; ".join(
                recipient.row.display_name
                for recipient in recipients
                if recipient.recipient_type & _TYPE_OF_RECIPIENT == kind
            )
        attachments = tuple(self.attachments[number] for number in sorted(self.attachments))
        return MessageContent.of(properties, self.recipient_columns, recipients, attachments)


def _over(columns: tuple[PropertyTag, ...], recipient: Recipient) -> Recipient:
    """The same recipient with other columns."""
    values = [recipient.row.row.get(tag, PropertyError(_NOT_FOUND)) for tag in columns]
    row = replace(recipient.row, row=PropertyRow.of(columns, values))
    return Recipient(recipient.row_id, recipient.recipient_type, row)


def split_subject(subject: str) -> tuple[str, str]:
    """Prefix ("RE: ") and what follows it; the prefix is empty unless it is short and has no digits."""
    word, colon, rest = subject.partition(": ")
    if colon and 0 < len(word) <= LONGEST_PREFIX and word.isalpha():
        return word + colon, rest
    return "", subject
