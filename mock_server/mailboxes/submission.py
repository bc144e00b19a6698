"""What becomes of a message that is sent ([MS-OXOMSG] 3.2.4.1): who gets it, where the sender's copy goes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from loadgen.errors import WireError
from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import (
    PidTagBody,
    PidTagClientSubmitTime,
    PidTagConversationTopic,
    PidTagDeleteAfterSubmit,
    PidTagInternetMessageId,
    PidTagMessageClass,
    PidTagNormalizedSubject,
    PidTagRecipientEntryId,
    PidTagSenderAddressType,
    PidTagSenderEmailAddress,
    PidTagSenderEntryId,
    PidTagSenderName,
    PidTagSenderSearchKey,
    PidTagSentMailEntryId,
    PidTagSentRepresentingAddressType,
    PidTagSentRepresentingEmailAddress,
    PidTagSentRepresentingEntryId,
    PidTagSentRepresentingName,
    PidTagSentRepresentingSearchKey,
    PidTagSubject,
    PidTagSubjectPrefix,
    PropertyTag,
    Value,
)
from loadgen.wire.property_names import PropertyName
from loadgen.wire.recipients import BCC, RecipientRow
from mock_server.directory import Entry
from mock_server.mailboxes.folder import Folder
from mock_server.mailboxes.mail import Envelope, MailTransport
from mock_server.mailboxes.mailbox import Mailbox, MailboxStore
from mock_server.mailboxes.message import FROM_ME, READ, Message, MessageContent
from mock_server.mailboxes.named_properties import FIRST_ID
from mock_server.mailboxes.store_identity import search_key

_ADDRESS_KIND: Final = 0x0007
_X500_DN: Final = 1
_RECIPIENT_TYPE: Final = 0x0F
_PLACE_OF_THE_SENDER: Final = (
    PidTagSenderEntryId,
    PidTagSenderName,
    PidTagSenderAddressType,
    PidTagSenderEmailAddress,
    PidTagSenderSearchKey,
)
_PLACE_OF_THE_REPRESENTED: Final = (
    PidTagSentRepresentingEntryId,
    PidTagSentRepresentingName,
    PidTagSentRepresentingAddressType,
    PidTagSentRepresentingEmailAddress,
    PidTagSentRepresentingSearchKey,
)


class SentPlace(msgspec.Struct, frozen=True):
    """Where the copy of a sent message goes, and the number that the client has reserved for it."""

    folder: Folder
    counter: int


def speaks_for(sender: Entry, content: MessageContent) -> bool:
    """Whether the message is in the sender's own name: nobody here may send for others."""
    entry_id = content.properties.get(PidTagSentRepresentingEntryId)
    return entry_id is None or _dn_of(entry_id).lower() == sender.dn.lower()


def send(store: MailboxStore, transport: MailTransport, sender: Mailbox, message: Message) -> None:
    """Deliver a message of ``sender``'s by ``transport``; the sender's copy leaves the Outbox."""
    content = _stamped(store, sender, message, message.content)
    sender.replace_content(message, content)
    _leave_outbox(sender, message)
    _deliver(store, transport, sender, content)


def transport_send(
    store: MailboxStore,
    transport: MailTransport,
    sender: Mailbox,
    message: Message,
    content: MessageContent,
    place: SentPlace | None,
) -> None:
    """Deliver a message that a client in cached mode uploaded; nothing stays but a copy at ``place``."""
    content = _stamped(store, sender, message, content)
    if place is not None:
        copy = sender.new_message(place.folder, content, counter=place.counter)
        copy.flags = READ | FROM_ME
        sender.add_message(copy)
    _deliver(store, transport, sender, content)


def _stamped(
    store: MailboxStore, sender: Mailbox, message: Message, content: MessageContent
) -> MessageContent:
    return content.with_properties(_sending_properties(store, sender, message, content.properties))


def _deliver(store: MailboxStore, transport: MailTransport, sender: Mailbox, content: MessageContent) -> None:
    delivered = _without_blind_copies(content)
    by_server: defaultdict[str, list[str]] = defaultdict(list)
    unknown = []
    for recipient in content.recipients:
        user = _user_of(store, recipient.row)
        if user is None:
            unknown.append(recipient.row.display_name or recipient.row.email_address)
        else:
            by_server[user.home_server].append(user.dn)
    for server, names in by_server.items():
        transport.send(server, Envelope(tuple(dict.fromkeys(names)), delivered, _names_in(store, delivered)))
    if unknown:
        sender.deliver(_non_delivery_report(store, content, unknown))


def _sending_properties(
    store: MailboxStore, sender: Mailbox, message: Message, present: Mapping[PropertyTag, Value]
) -> dict[PropertyTag, Value]:
    """What the server sets on a message that it sends ([MS-OXOMSG] 3.2.4.1)."""
    user = sender.owner
    identity = _names(user)
    defaults = {
        PidTagClientSubmitTime: store.clock(),
        PidTagConversationTopic: present.get(PidTagNormalizedSubject, ""),
        PidTagInternetMessageId: f"<{message.counter:x}.{user.alias}@{store.server.fqdn}>",
        **dict(zip(_PLACE_OF_THE_REPRESENTED, identity, strict=True)),
    }
    missing = {tag: value for tag, value in defaults.items() if tag not in present}
    return {**missing, **dict(zip(_PLACE_OF_THE_SENDER, identity, strict=True))}


def _names(user: Entry) -> tuple[Value, ...]:
    return (
        AddressBookEntryId(user.dn).encode(),
        user.display_name,
        "EX",
        user.dn,
        search_key(user.dn),
    )


def _leave_outbox(sender: Mailbox, message: Message) -> None:
    message.flags = READ | FROM_ME
    folder = sender.folders[message.folder_id]
    properties = message.content.properties
    if properties.get(PidTagDeleteAfterSubmit):
        sender.delete_messages(folder, [message])
        return
    wanted = sender.identity.folder_id(properties.get(PidTagSentMailEntryId, b""))
    target = sender.sent_items if wanted is None else sender.folders.get(wanted, sender.sent_items)
    sender.move_messages(folder, target, [message])


def _without_blind_copies(content: MessageContent) -> MessageContent:
    shown = tuple(r for r in content.recipients if r.recipient_type & _RECIPIENT_TYPE != BCC)
    if len(shown) == len(content.recipients):
        return content
    return MessageContent.of(content.properties, content.recipient_columns, shown, content.attachments)


def _user_of(store: MailboxStore, row: RecipientRow) -> Entry | None:
    """The user whom a recipient row names: by its DN, its entry id, or its mail address."""
    if row.flags & _ADDRESS_KIND == _X500_DN:
        return store.directory.by_dn(row.legacy_dn(store.dn_prefix))
    entry_id = row.row.get(PidTagRecipientEntryId)
    user = store.directory.by_dn(_dn_of(entry_id)) if entry_id else None
    return user or store.directory.by_smtp(row.email_address)


def _dn_of(entry_id: bytes) -> str:
    try:
        return AddressBookEntryId.decode(entry_id).legacy_dn
    except WireError:
        return ""


def _names_in(store: MailboxStore, content: MessageContent) -> dict[int, PropertyName]:
    """The names behind the ids that mean something on this server alone."""
    bags = (content.properties, *(file.properties for file in content.attachments))
    ids = {tag >> 16 for bag in bags for tag in bag if tag >> 16 >= FIRST_ID}
    return {number: name for number in ids if (name := store.names.name_of(number)) is not None}


def _non_delivery_report(
    store: MailboxStore, content: MessageContent, names: Iterable[str]
) -> MessageContent:
    subject = content.properties.get(PidTagSubject, "")
    return MessageContent.of(
        {
            PidTagMessageClass: "REPORT.IPM.Note.NDR",
            PidTagSubject: f"Undeliverable: {subject}",
            PidTagSubjectPrefix: "Undeliverable: ",
            PidTagNormalizedSubject: subject,
            PidTagBody: f"No such recipient: {'; '.join(names)}",
            PidTagSenderName: "System Administrator",
            PidTagSentRepresentingName: "System Administrator",
            PidTagClientSubmitTime: store.clock(),
        }
    )
