"""What a message is composed of, ROP by ROP, and what a sender does not put up with."""

import pytest

from loadgen.client.composing import RECIPIENT_COLUMNS, STREAM_CHUNK, Composer
from loadgen.client.content import Content
from loadgen.errors import MapiError, RemoteProtocolError, WrongAnswer
from loadgen.wire import properties as p
from loadgen.wire.extended_buffer import LARGEST_PAYLOAD
from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import PropertyProblem
from loadgen.wire.recipients import TO
from loadgen.wire.rop import oxcmsg, oxcprpt, oxcstor, oxomsg

from .scripted import make_account
from .scripted_store import DN_PREFIX, FOLDER_IDS, Item, ScriptedStore, open_session

pytestmark = pytest.mark.usefixtures("no_complaints")

LOGON = 0x10
OUTBOX = FOLDER_IDS[oxcstor.OUTBOX]
SENT_ITEMS = b"entry id of Sent Items"
SUBMIT_TIME = 0x01C72D3E00000000
RECIPIENTS = tuple(make_account(index) for index in (3, 1, 4, 15))


class Sending:
    """A store, and what one user has sent through it."""

    def __init__(self, size: int, recipients=RECIPIENTS, dn_prefix: str = DN_PREFIX) -> None:
        self.content = Content("1.2.3", size)
        self.recipients = recipients
        self.dn_prefix = dn_prefix
        self.store = ScriptedStore()
        self.store.objects[LOGON] = self.store.root

    async def send(self) -> None:
        session = await open_session(self.store)
        composer = Composer(session, LOGON, OUTBOX, SENT_ITEMS, self.dn_prefix)
        await composer.send(self.content, self.recipients, SUBMIT_TIME)

    def names(self) -> list[list[str]]:
        return [call.names for call in self.store.calls]

    def rop(self, kind):
        (found,) = (rop for call in self.store.calls for rop in call.rops if isinstance(rop, kind))
        return found


CREATE = ["CreateMessage", "SetProperties", "OpenStream", "WriteStream", "CommitStream", "Release"]
BEGIN_ATTACHMENT = ["CreateAttachment", "SetProperties", "OpenStream", "WriteStream"]
END_ATTACHMENT = ["CommitStream", "Release", "SaveChangesAttachment", "Release"]
SUBMIT = [f"{what}Recipients" for what in ("RemoveAll", "Modify")]
SUBMIT += ["SetProperties", "SubmitMessage", "GetPropertiesSpecific"]
BODY = 1_997
SIZES = [1_000, 50_000, STREAM_CHUNK + BODY, STREAM_CHUNK + BODY + 1, 300_000, 1_000_000]


@pytest.mark.parametrize("size", SIZES)
async def test_the_calls_of_a_message(size):
    sending = Sending(size)
    await sending.send()
    chunks = -(-sending.content.attachment_size // STREAM_CHUNK)
    attach = [["WriteStream"] for _ in range(chunks)]
    attach[0] = list(BEGIN_ATTACHMENT)
    attach[-1] += END_ATTACHMENT
    assert sending.names() == [CREATE, *attach, SUBMIT, ["Release"]]
    assert max(call.payload_size for call in sending.store.calls) <= LARGEST_PAYLOAD
    assert list(sending.store.objects) == [LOGON]


@pytest.mark.parametrize("size", [1_000, 50_000, 300_000])
async def test_the_store_holds_what_was_composed(size):
    sending = Sending(size)
    await sending.send()
    (message,) = sending.store.submitted
    (attachment,) = message.items
    values = message.values
    sending.content.check(values[p.PidTagHtml], attachment.values[p.PidTagAttachDataBinary])
    assert values[p.PidTagSubjectPrefix] + values[p.PidTagNormalizedSubject] == sending.content.subject
    assert values[p.PidTagConversationTopic] == sending.content.subject
    assert values[p.PidTagFolderId] == OUTBOX
    assert values[p.PidTagSentMailEntryId] == SENT_ITEMS
    assert values[p.PidTagClientSubmitTime] == SUBMIT_TIME
    assert values[p.PidTagMessageClass] == "IPM.Note"
    assert values[p.PidTagMessageFlags] == 0x9  # read, not sent
    assert values[p.PidTagNativeBodyInfo] == 3  # HTML
    assert attachment.values[p.PidTagAttachMethod] == 1  # by value
    assert attachment.values[p.PidTagAttachLongFilename] == "figures.bin"


async def test_recipients():
    sending = Sending(1_000)
    await sending.send()
    modify = sending.rop(oxcmsg.RopModifyRecipientsRequest)
    assert modify.recipient_columns == RECIPIENT_COLUMNS
    for number, (row, account) in enumerate(zip(modify.rows, RECIPIENTS, strict=True)):
        recipient = row.recipient
        assert (row.row_id, row.recipient_type) == (number, TO)
        assert recipient.address_prefix_used == len(DN_PREFIX)
        assert recipient.x500_dn == account.alias
        assert recipient.legacy_dn(DN_PREFIX) == account.legacy_dn
        assert recipient.display_name == account.display_name
        assert recipient.simple_display_name == account.alias
        told = {tag: recipient.row.get(tag) for tag in RECIPIENT_COLUMNS}
        assert told == {
            p.PidTagObjectType: 6,
            p.PidTagDisplayType: 0,
            p.PidTagAddressBookDisplayNamePrintable: account.alias,
            p.PidTagSmtpAddress: account.smtp,
            p.PidTagSendInternetEncoding: 0,
            p.PidTagAccount: account.alias,
            p.PidTagRecipientTrackStatus: 0,
            p.PidTagRecipientResourceState: 0,
            p.PidTagRecipientFlags: 1,
            p.PidTagRecipientDisplayName: account.display_name,
            p.PidTagRecipientEntryId: AddressBookEntryId(account.legacy_dn).encode(),
            p.PidTagRecipientOrder: number,
        }


@pytest.mark.parametrize("prefix", ["", "/o=Elsewhere/ou=Somewhere/cn=Recipients/cn="])
async def test_names_that_the_prefix_does_not_shorten(prefix):
    sending = Sending(1_000, dn_prefix=prefix)
    await sending.send()
    for row, account in zip(sending.rop(oxcmsg.RopModifyRecipientsRequest).rows, RECIPIENTS, strict=True):
        assert (row.recipient.address_prefix_used, row.recipient.x500_dn) == (0, account.legacy_dn)


async def test_many_recipients_fit_one_call():
    sending = Sending(1_000, recipients=tuple(map(make_account, range(40))))
    await sending.send()
    assert len(sending.store.recipients) == 40
    assert max(call.payload_size for call in sending.store.calls) <= LARGEST_PAYLOAD


@pytest.mark.parametrize("call", range(4))
async def test_bytes_that_were_not_written(call):
    """In the body, and in the first, a middle and the last part of an attachment."""
    sending = Sending(80_000)
    write = sending.store.rops[oxcprpt.RopWriteStreamRequest]
    written = iter([0] * call + [1])

    def lose_one(rop, table):
        response = write(rop, table)
        short = response.written_size - next(written, 0)
        return oxcprpt.RopWriteStreamResponse(response.handle_index, short)

    sending.store.rops[oxcprpt.RopWriteStreamRequest] = lose_one
    with pytest.raises(WrongAnswer, match=r"RopWriteStream took \d+ of \d+ bytes"):
        await sending.send()
    assert sending.store.submitted == []


def object_to(sending: Sending, place: int, error_code: int) -> None:
    """The store objects to one property in its ``place``-th RopSetProperties."""
    set_properties = sending.store.rops[oxcprpt.RopSetPropertiesRequest]
    problem = PropertyProblem(0, p.PidTagNormalizedSubject, error_code)
    problems = iter([()] * place + [(problem,)])

    def object_once(rop, table):
        response = set_properties(rop, table)
        return oxcprpt.RopSetPropertiesResponse(response.handle_index, next(problems, ()))

    sending.store.rops[oxcprpt.RopSetPropertiesRequest] = object_once


@pytest.mark.parametrize("place", [0, 1, 2], ids=["message", "attachment", "subject"])
async def test_properties_that_were_refused(place):
    sending = Sending(1_000)
    object_to(sending, place, 0x80070005)
    with pytest.raises(WrongAnswer, match="property 0x0E1D001F of a message was refused: 0x80070005"):
        await sending.send()


@pytest.mark.parametrize("place", [0, 1, 2], ids=["message", "attachment", "subject"])
async def test_properties_that_the_store_works_out_itself(place):
    sending = Sending(1_000)
    object_to(sending, place, 0x8004011A)
    await sending.send()
    assert len(sending.store.submitted) == 1


@pytest.mark.parametrize(
    "kind",
    [
        oxcmsg.RopCreateMessageRequest,
        oxcprpt.RopSetPropertiesRequest,
        oxcprpt.RopOpenStreamRequest,
        oxcprpt.RopWriteStreamRequest,
        oxcprpt.RopCommitStreamRequest,
        oxcmsg.RopCreateAttachmentRequest,
        oxcmsg.RopSaveChangesAttachmentRequest,
        oxcmsg.RopRemoveAllRecipientsRequest,
        oxcmsg.RopModifyRecipientsRequest,
        oxomsg.RopSubmitMessageRequest,
        oxcprpt.RopGetPropertiesSpecificRequest,
    ],
)
async def test_refusals(kind):
    sending = Sending(50_000)
    sending.store.refuse(kind, 0x80040600)
    with pytest.raises(MapiError) as refusal:
        await sending.send()
    assert (refusal.value.call, refusal.value.code) == (f"ROP 0x{kind.rop_id:02X}", 0x80040600)


async def test_a_write_that_is_not_answered():
    sending = Sending(1_000)
    sending.store.rops[oxcprpt.RopWriteStreamRequest] = lambda rop, _: None
    sending.store.rops[oxcprpt.RopCommitStreamRequest] = lambda rop, _: None
    with pytest.raises(RemoteProtocolError, match="0 answers of kind RopWriteStreamResponse"):
        await sending.send()


async def test_a_store_that_refuses_the_message_gets_it_back():
    sending = Sending(50_000)
    sending.store.refuse(oxomsg.RopSubmitMessageRequest, 0x000004DD)
    with pytest.raises(MapiError, match="ROP 0x32 returned 0x000004DD"):
        await sending.send()
    assert sending.names()[-1] == ["Release"]
    assert list(sending.store.objects) == [LOGON]
    assert isinstance(sending.store.objects[LOGON], Item)
