"""Fast transfer: whole objects as streams, mail sent by stream, and the reference's worked examples."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.wire.fasttransfer.elements import Element, Property, encode
from loadgen.wire.fasttransfer.markers import (
    MARKER_NAMES,
    EndAttach,
    EndEmbed,
    EndFolder,
    EndMessage,
    EndToRecip,
    MetaTagFXDelProp,
    NewAttach,
    StartEmbed,
    StartFAIMsg,
    StartMessage,
    StartRecip,
    StartSubFld,
    StartTopFld,
)
from loadgen.wire.fasttransfer.message import Attachment, MessageContent, Recipient, value_of
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagAddressType,
    PidTagAttachDataBinary,
    PidTagAttachLongFilename,
    PidTagAttachMethod,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagHtml,
    PidTagMessageAttachments,
    PidTagMessageClass,
    PidTagMessageFlags,
    PidTagMid,
    PidTagRecipientType,
    PidTagSentRepresentingEntryId,
    PidTagSmtpAddress,
    PidTagSubject,
    PidTagTargetEntryId,
    PropertyValue,
)
from loadgen.wire.property_names import PropertyName
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcmsg, oxcprpt, oxomsg
from loadgen.wire.rop.buffer import NO_HANDLE
from mock_server.mailboxes.mailbox import Mailbox
from tests.mock_server.cached_client import (
    UNICODE,
    Replica,
    fetch,
    get_buffer,
    open_folder,
    put_stream,
    reserve,
    truth,
)
from tests.mock_server.store_client import (
    INBOX,
    OUTBOX,
    SENT_ITEMS,
    StoreClient,
    Stores,
    compose,
    online,
    public_logon,
    send,
)

KEYWORDS = PropertyName(bytes(range(16)), name="Keywords")


def received(stores: Stores, client: StoreClient, subject: str = "report", size: int = 5000) -> int:
    """A message with an attachment in the client's Inbox; returns its id."""
    sender = online(stores, 1)
    send(sender, compose(sender, stores, subject, b"<p>text", b"x" * size, (0,)))
    inbox = stores.stores["MBX1"].mailbox(stores.directory.users[0]).inbox
    return list(inbox.messages)[-1]


def open_message(client: StoreClient, message_id: int, folder_id: int = INBOX) -> int:
    request = oxcmsg.RopOpenMessageRequest(0, 0, 1, 0xFFF, folder_id, oxcmsg.BEST_ACCESS, message_id)
    return client.open(request, client.logon)


def new_message(client: StoreClient, folder_id: int = OUTBOX) -> int:
    return client.open(
        oxcmsg.RopCreateMessageRequest(0, 0, 1, oxcmsg.LOGON_CODE_PAGE, folder_id), client.logon
    )


def elements_of(client: StoreClient, handle: int, size: int = 0) -> list[Element]:
    buffers, done = fetch(client, handle, size)
    assert done
    parser = FastTransferParser()
    found = parser.feed(b"".join(buffers))
    parser.finish()
    return found


def markers(elements: list[Element]) -> list[str]:
    return [MARKER_NAMES[element] for element in elements if isinstance(element, int)]


def copy_to(level: int = 0, *tags: int, flags: int = 0, options: int = UNICODE) -> Any:
    return fx.RopFastTransferSourceCopyToRequest(0, 0, 1, level, flags, options, tags)


def message_of(elements: list[Element]) -> MessageContent:
    return MessageContent.decode(encode(elements))


def test_a_message_is_copied_with_all_its_parts(stores: Stores, client: StoreClient) -> None:
    message = open_message(client, received(stores, client))
    content = message_of(elements_of(client, client.open(copy_to(), message), 500))
    assert value_of(content.properties, PidTagSubject) == "report"
    assert value_of(content.properties, PidTagMid) is None
    (recipient,), (file,) = content.recipients, content.attachments
    assert value_of(recipient.properties, PidTagRecipientType) == 1
    assert value_of(recipient.properties, PidTagAddressType) == "EX"
    assert value_of(recipient.properties, PidTagEmailAddress) == stores.directory.users[0].dn
    assert value_of(file.properties, PidTagAttachDataBinary) == b"x" * 5000
    shallow = message_of(elements_of(client, client.open(copy_to(1, PidTagHtml), message)))
    assert (shallow.recipients, shallow.attachments) == ((), ())
    assert value_of(shallow.properties, PidTagHtml) is None


def test_chosen_properties_are_copied(stores: Stores, client: StoreClient) -> None:
    message = open_message(client, received(stores, client))
    tags = (PidTagSubject, PidTagEntryId, PidTagMessageAttachments)
    request = fx.RopFastTransferSourceCopyPropertiesRequest(0, 0, 1, 0, 0, UNICODE, tags)
    content = message_of(elements_of(client, client.open(request, message)))
    assert {known.tag for known in content.properties} == {PidTagSubject, PidTagEntryId}
    assert (len(content.attachments), content.replaces_recipients) == (1, False)


def test_a_draft_is_copied_as_it_is_by_now(client: StoreClient) -> None:
    message = new_message(client)
    values = (PropertyValue(PidTagSubject, "draft"),)
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, values), message)
    content = message_of(elements_of(client, client.open(copy_to(), message)))
    assert value_of(content.properties, PidTagSubject) == "draft"


def test_an_attachment_is_copied(stores: Stores, client: StoreClient) -> None:
    message = open_message(client, received(stores, client))
    file = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 3, 0), message)
    found = elements_of(client, client.open(copy_to(), file))
    assert Property(PidTagAttachLongFilename, "report.bin") in found


def test_messages_are_copied_between_markers(stores: Stores, client: StoreClient, mailbox: Mailbox) -> None:
    first, second = received(stores, client), received(stores, client, "other")
    hidden = mailbox.new_message(mailbox.inbox, mailbox.inbox.messages[first].content, associated=True)
    mailbox.add_message(hidden)
    inbox = open_folder(client, INBOX)
    ids = (first, hidden.message_id, second)
    request = fx.RopFastTransferSourceCopyMessagesRequest(0, 0, 1, ids, 0, UNICODE)
    handle = client.open(request, inbox)
    mailbox.delete_messages(mailbox.inbox, [mailbox.inbox.messages[second]])
    found = elements_of(client, handle)
    starts = [element for element in found if element in (StartMessage, StartFAIMsg, EndMessage)]
    assert starts == [StartMessage, EndMessage, StartFAIMsg, EndMessage]
    missing = fx.RopFastTransferSourceCopyMessagesRequest(0, 0, 1, (second,), 0, UNICODE)
    (answer,), _ = client.rops([missing], [inbox, NO_HANDLE])
    assert answer.return_value == 0x8004010F


def test_folders_are_copied_with_what_is_in_them(
    stores: Stores, client: StoreClient, mailbox: Mailbox
) -> None:
    received(stores, client)
    mailbox.create_folder(mailbox.inbox, {PidTagDisplayName: "Projects"})
    inbox = open_folder(client, INBOX)

    def copied(request: Any) -> list[Element]:
        return elements_of(client, client.open(request, inbox))

    outline = (StartTopFld, StartSubFld, EndFolder)
    whole = copied(fx.RopFastTransferSourceCopyFolderRequest(0, 0, 1, 0x10, UNICODE))
    assert [e for e in whole if e in outline] == [StartTopFld, StartSubFld, EndFolder, EndFolder]
    assert Property(PidTagDisplayName, "Projects") in whole
    alone = copied(fx.RopFastTransferSourceCopyFolderRequest(0, 0, 1, 0, UNICODE))
    assert [e for e in alone if e in outline] == [StartTopFld, EndFolder]
    assert StartMessage in alone
    content = copied(copy_to())
    assert [e for e in content if e in outline] == [StartSubFld, EndFolder]
    assert Property(MetaTagFXDelProp, 0x360E000D) in content
    assert markers(copied(copy_to(1))) == []
    narrow = copied(fx.RopFastTransferSourceCopyFolderRequest(0, 0, 1, 0, 0))
    assert Property(0x3001001E, "Inbox") in narrow


def test_what_cannot_be_copied_is_refused(stores: Stores, client: StoreClient, mailbox: Mailbox) -> None:
    message_id = received(stores, client)
    message, inbox = open_message(client, message_id), open_folder(client, INBOX)

    def code(request: Any, handle: int) -> int:
        (answer,), _ = client.rops([request], [handle, NO_HANDLE])
        return int(answer.return_value)

    assert code(copy_to(flags=1), message) == 0x80040102
    assert code(copy_to(options=0x40), message) == 0x80070057
    assert code(copy_to(), client.logon) == 0x80040102
    assert code(fx.RopFastTransferSourceCopyFolderRequest(0, 0, 1, 0, UNICODE), message) == 0x80040102
    assert code(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 5), message) == 0x80070057
    assert code(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 3), inbox) == 0x80040102
    assert code(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 3), message) == 0x80040102
    mailbox.delete_messages(mailbox.inbox, [mailbox.inbox.messages[message_id]])
    assert code(copy_to(), message) == 0x8004010A
    assert code(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 1), message) == 0x8004010A


def test_a_version_is_told_to_streams_alone(client: StoreClient) -> None:
    message = new_message(client)
    source = client.open(copy_to(), message)
    target = client.open(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 1), message)
    told = fx.RopTellVersionRequest(0, 0, (8, 1, 240))
    assert [client.one(told, each).return_value for each in (source, target, message)] == [0, 0, 0x80040102]


def recipient(stores: Stores, index: int, row_id: int = 0) -> Recipient:
    user = stores.directory.users[index]
    return Recipient(
        row_id,
        (
            Property(PidTagRecipientType, 1),
            Property(PidTagDisplayName, user.display_name),
            Property(PidTagAddressType, "EX"),
            Property(PidTagEmailAddress, user.dn),
            Property(PidTagSmtpAddress, user.smtp),
        ),
    )


def outgoing(
    stores: Stores, *more: Property, to: tuple[int, ...] = (1,), size: int = 50_000
) -> MessageContent:
    file = Attachment(
        0,
        (
            Property(PidTagAttachMethod, 1),
            Property(PidTagAttachLongFilename, "report.bin"),
            Property(PidTagAttachDataBinary, bytes(range(256)) * (size // 256)),
        ),
    )
    return MessageContent(
        (
            Property(PidTagMessageClass, "IPM.Note"),
            Property(PidTagSubject, "RE: figures"),
            Property(PidTagHtml, b"<p>as a stream"),
            Property(0x80010003, 7, KEYWORDS),
            *more,
        ),
        tuple(recipient(stores, index, row) for row, index in enumerate(to)),
        (file,),
    )


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    stores = Stores(users=3)
    client = online(stores, 0)
    message = new_message(client)
    content = outgoing(stores, size=1024)
    stream = content.encode()
    target = client.open(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 1), message)
    edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        answer = client.one(fx.RopFastTransferDestinationPutBufferRequest(0, 0, stream[start:end]), target)
        assert answer.buffer_used_size == end - start
        assert (answer.in_progress_count, answer.total_step_count) == (0, 0)
    assert answer.transfer_status == fx.TRANSFER_DONE
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    found = {known.tag: known for known in back.properties if known.name is None}
    assert all(found[known.tag] == known for known in content.properties if known.name is None)
    assert [(k.name, k.value) for k in back.properties if k.name is not None] == [(KEYWORDS, 7)]
    assert set(content.recipients[0].properties) <= set(back.recipients[0].properties)
    assert set(content.attachments[0].properties) <= set(back.attachments[0].properties)


def test_an_unfinished_part_says_so_and_is_not_there(stores: Stores, client: StoreClient) -> None:
    message = new_message(client)
    target = client.open(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 1), message)
    start = encode([Property(PidTagSubject, "s"), StartRecip, Property(0x30000003, 0)])
    answer = client.one(fx.RopFastTransferDestinationPutBufferRequest(0, 0, start), target)
    assert answer.transfer_status == fx.TRANSFER_PARTIAL
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    assert (value_of(back.properties, PidTagSubject), back.recipients) == ("s", ())


def test_recipients_of_every_kind_and_columns(stores: Stores, client: StoreClient) -> None:
    outside = Recipient(
        4,
        (
            Property(PidTagRecipientType, 2),
            Property(0x3001001E, "Someone"),
            Property(PidTagAddressType, "SMTP"),
            Property(PidTagEmailAddress, "someone@elsewhere.test"),
            Property(0x39000003, 0),
        ),
    )
    strange = Recipient(5, (Property(PidTagAddressType, "EX"), Property(PidTagEmailAddress, "/o=\u20ac")))
    content = MessageContent((), (recipient(stores, 1), outside, strange))
    message = new_message(client)
    put_stream(client, message, content.encode())
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    first, second, third = ({p.tag: p.value for p in each.properties} for each in back.recipients)
    assert first[PidTagSmtpAddress] == stores.directory.users[1].smtp
    assert 0x39000003 not in first
    assert (second[PidTagDisplayName], second[0x39000003]) == ("Someone", 0)
    assert (second[PidTagAddressType], second[PidTagRecipientType]) == ("SMTP", 2)
    assert (third[PidTagAddressType], third[PidTagEmailAddress]) == ("SMTP", "/o=\u20ac")
    assert [each.row_id for each in back.recipients] == [0, 4, 5]


def test_parts_are_replaced_only_where_the_stream_says_so(stores: Stores, client: StoreClient) -> None:
    message = open_message(client, received(stores, client))
    added = MessageContent(
        (Property(PidTagMessageFlags, 1), Property(0x80010003, 1, KEYWORDS)),
        (recipient(stores, 2, 9),),
        (Attachment(0, (Property(PidTagAttachDataBinary, b"more"),)),),
        replaces_recipients=False,
        replaces_attachments=False,
    )
    put_stream(client, message, added.encode())
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    assert [each.row_id for each in back.recipients] == [0, 9]
    assert [each.number for each in back.attachments] == [0, 1]
    assert value_of(back.properties, PidTagMessageFlags) & 1 == 0
    put_stream(client, message, MessageContent(()).encode())
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    assert (back.recipients, back.attachments) == ((), ())


def test_text_is_kept_as_text(client: StoreClient) -> None:
    message = new_message(client)
    wide = encode([Property(PidTagSubject, "a\0b")]) + bytes.fromhex("b0840010 0600000041004200 0000")
    put_stream(client, message, wide)
    back = message_of(elements_of(client, client.open(copy_to(), message)))
    assert value_of(back.properties, PidTagSubject) == "a"
    assert value_of(back.properties, 0x1000001F) == "AB"


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (encode([EndMessage]), 0x80040600),
        (encode([StartRecip, StartRecip, EndToRecip]), 0x80040600),
        (encode([Property(MetaTagFXDelProp, 0x360F000D)]), 0x80040600),
        (bytes.fromhex("ff0f3700"), 0x80040600),
        (encode([NewAttach, Property(0x0E210003, 0), StartEmbed, EndEmbed, EndAttach]), 0x80040102),
    ],
)
def test_a_wrong_stream_fails_for_good(client: StoreClient, stream: bytes, code: int) -> None:
    target = client.open(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, 1), new_message(client))
    answer = client.one(fx.RopFastTransferDestinationPutBufferRequest(0, 0, stream), target)
    assert (answer.return_value, answer.transfer_status, answer.buffer_used_size) == (code, 0, 0)
    again = client.one(fx.RopFastTransferDestinationPutBufferRequest(0, 0, b""), target)
    assert again.return_value == 0x80004005
    assert client.one(get_buffer(0), target).return_value == 0x80040102


TRANSPORT_SEND = oxomsg.RopTransportSendRequest(0, 0)


def test_mail_is_sent_by_stream_and_the_copy_has_the_id_it_was_promised(
    stores: Stores, client: StoreClient, mailbox: Mailbox
) -> None:
    folder = client.one(oxomsg.RopGetTransportFolderRequest(0, 0), client.logon).folder_id
    promised = object_id(1, reserve(client, 10))
    target = Property(PidTagTargetEntryId, mailbox.identity.message_entry_id(SENT_ITEMS, promised))
    content = outgoing(stores, target, to=(1, 2))
    message = new_message(client, folder)
    put_stream(client, message, content.encode())
    answer = client.one(TRANSPORT_SEND, message)
    assert (answer.return_value, answer.no_properties_returned, answer.values) == (0, True, ())
    copy = mailbox.sent_items.messages[promised]
    assert (copy.is_read, copy.get(PidTagEntryId)) == (True, target.value)
    assert PidTagTargetEntryId not in copy.content.properties
    assert mailbox.outbox.messages == {}
    held = [copy]
    for index in (1, 2):
        reader = Replica(online(stores, index), INBOX)
        reader.download()
        there = stores.stores["MBX1"].mailbox(stores.directory.users[index])
        assert reader.messages == truth(there, INBOX)
        held += there.inbox.messages.values()
        assert not any(PidTagTargetEntryId in each.content.properties for each in held)
    assert len({id(each.content.attachments[0].properties[PidTagAttachDataBinary]) for each in held}) == 1
    assert client.one(TRANSPORT_SEND, message).return_value == 0x8004010A
    replica = Replica(client, SENT_ITEMS)
    replica.download()
    assert list(replica.messages) == [promised]


def test_without_a_target_nothing_stays(stores: Stores, client: StoreClient, mailbox: Mailbox) -> None:
    message = new_message(client)
    put_stream(client, message, outgoing(stores).encode())
    assert client.one(TRANSPORT_SEND, message).return_value == 0
    saved = new_message(client)
    put_stream(client, saved, outgoing(stores).encode())
    client.one(oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, oxcmsg.KEEP_OPEN_READ_WRITE), saved)
    assert len(mailbox.outbox.messages) == 1
    assert client.one(TRANSPORT_SEND, saved).return_value == 0
    assert (mailbox.outbox.messages, mailbox.sent_items.messages) == ({}, {})
    reader = stores.stores["MBX1"].mailbox(stores.directory.users[1])
    assert len(reader.inbox.messages) == 2


def test_mail_that_cannot_be_sent(stores: Stores, client: StoreClient, mailbox: Mailbox) -> None:
    def code(content: MessageContent) -> int:
        message = new_message(client)
        put_stream(client, message, content.encode())
        return int(client.one(TRANSPORT_SEND, message).return_value)

    assert code(outgoing(stores, to=())) == 0x80040607
    entry_id = (
        b"\0\0\0\0" + bytes.fromhex("dca740c8c042101ab4b908002b2fe182") + b"\1\0\0\0" + bytes(4) + b"/cn=x\0"
    )
    assert code(outgoing(stores, Property(PidTagSentRepresentingEntryId, entry_id))) == 0x4DC
    reserved = object_id(1, reserve(client, 1))
    identity = mailbox.identity
    other = stores.stores["MBX1"].mailbox(stores.directory.users[1]).identity
    for wrong in (
        b"nothing",
        identity.message_entry_id(SENT_ITEMS, object_id(1, 5)),
        identity.message_entry_id(object_id(1, 0x999), reserved),
        other.message_entry_id(SENT_ITEMS, reserved),
        identity.message_entry_id(SENT_ITEMS, object_id(1, 0)),
    ):
        assert code(outgoing(stores, Property(PidTagTargetEntryId, wrong))) == 0x80040107
    public = stores.client(0, "PF1")
    public.connect()
    _, (logon,) = public.rops([public_logon()], [NO_HANDLE])
    created = public.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0xFFF, object_id(1, 2)), logon)
    assert public.one(TRANSPORT_SEND, created).return_value == 0x80040102
