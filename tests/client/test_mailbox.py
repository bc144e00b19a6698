"""A day in a mailbox: logging on, reading, deleting, logging off, and every wrong answer on the way."""

import pytest

from loadgen.client.content import Content
from loadgen.client.identity import about_client
from loadgen.client.mailbox import Mailbox
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.streams import StreamReader
from loadgen.errors import ConnectionLost, MapiError, WrongAnswer
from loadgen.wire import auxiliary, emsmdb
from loadgen.wire import properties as p
from loadgen.wire.extended_buffer import LARGEST_PAYLOAD, read_payloads
from loadgen.wire.identifiers import PRIVATE_FOLDER, FolderEntryId, long_term_id, object_id
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl

from .scripted import make_account
from .scripted_store import FOLDER_IDS, INBOX, Item, ScriptedStore, new_session, settle

pytestmark = pytest.mark.usefixtures("no_complaints")

ACCOUNT = make_account(0)
NOW = 1_167_609_600.0  # 2007-01-01
CONTENT = Content("1.2.3", 50_000)
OTHER = Content("1.2.4", 50_000)


class Person:
    """Somebody with a mailbox on a scripted store."""

    def __init__(self, *, chained: bool = True) -> None:
        self.store = ScriptedStore(ACCOUNT.display_name)
        self.session = new_session(self.store)
        self.mailbox = Mailbox(ACCOUNT, self.session, StreamReader(chained=chained), lambda: NOW)

    async def log_on(self) -> Mailbox:
        await self.mailbox.log_on(*about_client(ACCOUNT))
        return self.mailbox

    def receive(self, content: Content = CONTENT, **otherwise) -> int:
        """A message comes as it was sent, or with a part ``otherwise``."""
        parts = {"subject": content.subject, "html": content.html, "attachment": content.attachment}
        return self.store.deliver(**(parts | otherwise))


@pytest.fixture
def person() -> Person:
    return Person()


async def test_logging_on(person):
    for _ in range(3):
        person.receive(tell=False)
    await person.log_on()
    connect, *rest = person.store.connection.requests
    assert connect.user_dn == ACCOUNT.legacy_dn
    (blocks,) = read_payloads(connect.aux_in)
    assert auxiliary.read_blocks(blocks) == about_client(ACCOUNT)
    assert all(isinstance(request, emsmdb.EcDoRpcExt2Request) for request in rest)
    assert [call.names for call in person.store.calls] == [
        ["Logon"],
        ["GetReceiveFolder", "GetPropertiesSpecific"],
        ["OpenFolder", "GetPropertiesSpecific", "OpenFolder", "RegisterNotification"],
        ["OpenFolder", "GetHierarchyTable", "SetColumns", "QueryRows", "Release", "Release"],
        ["GetContentsTable", "SetColumns", "SortTable", "QueryRows"],
    ]
    logon = person.store.calls[0].rops[0]
    assert (logon.logon_flags, logon.essdn) == (oxcstor.PRIVATE, ACCOUNT.legacy_dn)
    assert person.store.calls[2].rops[-1].notification_types == 0xFE
    opened = list(person.store.objects.values())
    assert opened[:3] == [person.store.root, person.store.inbox, person.store.folders[oxcstor.DELETED_ITEMS]]
    assert len(opened) == 5  # and the subscription and the view


WRONG_FIRST_ANSWERS = {
    "mail arrives elsewhere": (
        oxcstor.RopGetReceiveFolderRequest,
        {"folder_id": FOLDER_IDS[oxcstor.OUTBOX]},
        "mail arrives in folder 0x0601000000000001, which is not the Inbox",
    ),
    "folders are missing": (
        oxctabl.RopQueryRowsRequest,
        {"rows": ()},
        "the folder list lacks the Inbox, Sent Items or Deleted Items",
    ),
    "rows are missing": (
        oxcfold.RopGetContentsTableRequest,
        {"row_count": 2},
        "the Inbox holds 2 messages but its view shows 0 rows",
    ),
}


@pytest.mark.parametrize("case", WRONG_FIRST_ANSWERS)
async def test_wrong_answers_when_logging_on(person, case):
    kind, changes, problem = WRONG_FIRST_ANSWERS[case]
    person.store.alter(kind, **changes)
    with pytest.raises(WrongAnswer, match=problem):
        await person.log_on()


@pytest.mark.parametrize("owner", ["User 00001", None])
async def test_somebody_elses_mailbox(person, owner):
    person.store.root.values[p.PidTagMailboxOwnerName] = owner
    with pytest.raises(WrongAnswer, match=f"the mailbox of User 00000 belongs to {owner}"):
        await person.log_on()


async def test_a_logon_that_is_refused(person):
    person.store.refuse(oxcstor.RopLogonRequest, 0x80040111)
    with pytest.raises(MapiError) as refusal:
        await person.log_on()
    assert (refusal.value.call, refusal.value.code) == (f"RopLogon to {ACCOUNT.legacy_dn}", 0x80040111)


async def test_a_mailbox_on_another_server(person):
    redirect = oxcstor.RopLogonRedirectResponse(
        0, oxcstor.PRIVATE, "/o=Contoso/cn=MBX2", return_value=oxcstor.WRONG_SERVER
    )
    person.store.rops[oxcstor.RopLogonRequest] = lambda _rop, _table: redirect
    with pytest.raises(MapiError) as refusal:
        await person.log_on()
    assert (refusal.value.call, refusal.value.code) == (f"RopLogon to {ACCOUNT.legacy_dn}", 0x478)


async def test_sending(person):
    mailbox = await person.log_on()
    recipients = (make_account(1), make_account(2))
    await mailbox.send(OutgoingMessage("1.2.3", recipients, 50_000))
    (message,) = person.store.submitted
    CONTENT.check(message.values[p.PidTagHtml], message.items[0].values[p.PidTagAttachDataBinary])
    assert message.values[p.PidTagFolderId] == FOLDER_IDS[oxcstor.OUTBOX]
    assert message.values[p.PidTagClientSubmitTime] == 128_120_832_000_000_000
    sent_items = FolderEntryId.decode(message.values[p.PidTagSentMailEntryId])
    expected = long_term_id(b"R" * 16, FOLDER_IDS[oxcstor.SENT_ITEMS])
    assert sent_items == FolderEntryId(b"M" * 16, PRIVATE_FOLDER, expected)
    names = [row.recipient.display_name for row in person.store.recipients]
    assert names == ["User 00001", "User 00002"]
    assert max(call.payload_size for call in person.store.calls) <= LARGEST_PAYLOAD


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("size", [1_000, 50_000, 300_000])
async def test_reading(chained, size):
    person = Person(chained=chained)
    mailbox = await person.log_on()
    message_id = person.receive(Content("9.8.7", size))
    before = set(person.store.objects)
    person.store.calls.clear()
    await mailbox.read(message_id, "9.8.7")
    assert set(person.store.objects) == before
    rops = [name for call in person.store.calls for name in call.names]
    assert rops[:4] == ["OpenMessage", "GetPropertiesSpecific", "OpenStream", "ReadStream"]
    assert rops[-2:] == ["SetReadFlags", "Release"]
    assert "GetAttachmentTable" in rops
    flags = person.store.calls[-2].rops[0]
    assert (flags.message_ids, flags.read_flags) == ((message_id,), oxcmsg.SUPPRESS_RECEIPT)
    opened = person.store.calls[0].rops[0]
    assert (opened.folder_id, opened.message_id, opened.open_mode_flags) == (INBOX, message_id, 0)
    chained_calls = [call for call in person.store.calls if call.flags & emsmdb.CHAIN]
    assert bool(chained_calls) == chained


FOREIGN = {
    "another message": ({"subject": "1.2.4 (50000 bytes)"}, "message 1.2.3 has become 1.2.4"),
    "foreign mail": ({"subject": "Meeting 10"}, "message 1.2.3 has become another"),
    "no subject": ({"subject": ""}, "message 1.2.3 has become another"),
    "another size": ({"subject": "1.2.3 (50001 bytes)"}, "body of message 1.2.3"),
    "another body": ({"html": OTHER.html}, "body of message 1.2.3"),
    "another attachment": ({"attachment": OTHER.attachment}, "attachment of message 1.2.3"),
    "half an attachment": ({"attachment": CONTENT.attachment[:24_000]}, "1.2.3: 24000 bytes are not the"),
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_reading_something_else(person, case):
    otherwise, problem = FOREIGN[case]
    mailbox = await person.log_on()
    message_id = person.receive(**otherwise)
    before = set(person.store.objects)
    with pytest.raises(WrongAnswer, match=problem):
        await mailbox.read(message_id, "1.2.3")
    assert set(person.store.objects) == before
    assert "SetReadFlags" not in person.store.calls[-2].names


@pytest.mark.parametrize("count", [0, 2])
async def test_a_message_without_exactly_one_attachment(person, count):
    mailbox = await person.log_on()
    message_id = person.receive()
    message = person.store.message(message_id)
    message.items[:] = [Item({p.PidTagAttachNumber: number}) for number in range(count)]
    with pytest.raises(WrongAnswer, match=f"a message has {count} attachments instead of one"):
        await mailbox.read(message_id, "1.2.3")


async def test_the_attachment_is_opened_by_its_number(person):
    mailbox = await person.log_on()
    message_id = person.receive()
    message = person.store.message(message_id)
    (attachment,) = message.items
    attachment.values[p.PidTagAttachNumber] = 2
    message.items[:] = [attachment]
    opened = []

    def open_attachment(rop, table):
        opened.append(rop.attachment_id)
        person.store.open(attachment, rop.output_handle_index, table)
        return oxcmsg.RopOpenAttachmentResponse(rop.output_handle_index)

    person.store.rops[oxcmsg.RopOpenAttachmentRequest] = open_attachment
    await mailbox.read(message_id, "1.2.3")
    assert opened == [2]


async def test_deleting(person):
    mailbox = await person.log_on()
    first, second = person.receive(), person.receive()
    await mailbox.delete(first)
    assert [item.values[p.PidTagMid] for item in person.store.inbox.items] == [second]
    move = person.store.calls[-1].rops[0]
    assert (move.message_ids, move.want_copy, move.want_asynchronous) == ((first,), False, False)


PARTIAL = {
    "MoveCopyMessages": oxcfold.RopMoveCopyMessagesRequest,
    "SetReadFlags": oxcmsg.RopSetReadFlagsRequest,
}


@pytest.mark.parametrize("name", PARTIAL)
@pytest.mark.parametrize("return_value", [0, 0x80070005])
async def test_partial_completion(person, name, return_value):
    mailbox = await person.log_on()
    message_id = person.receive()
    work = mailbox.delete(message_id) if name == "MoveCopyMessages" else mailbox.read(message_id, "1.2.3")
    kind = PARTIAL[name]
    person.store.alter(kind, partial_completion=True, return_value=return_value)
    if return_value:
        with pytest.raises(MapiError, match=f"ROP 0x{kind.rop_id:02X} returned 0x80070005"):
            await work
    else:
        with pytest.raises(WrongAnswer, match=f"Rop{name} left something undone"):
            await work


class TestLoggingOff:
    async def test_everything_is_given_back(self, person):
        mailbox = await person.log_on()
        first = person.receive()
        person.receive()
        await mailbox.delete(first)
        person.store.calls.clear()
        await mailbox.log_off()
        assert person.store.objects == {}
        assert [call.names for call in person.store.calls] == [[], ["GetPropertiesSpecific"], ["Release"] * 5]
        assert isinstance(person.store.connection.requests[-1], emsmdb.EcDoDisconnectRequest)

    @pytest.mark.parametrize("numbers", [(0, 0, 0), (3, 0, 0), (60, 2, 1), (1, 120, 70)])
    async def test_the_inbox_holds_what_was_told(self, person, numbers):
        already_there, come, gone = numbers
        for _ in range(already_there):
            person.receive(tell=False)
        mailbox = await person.log_on()
        arrived = [person.receive() for _ in range(come)]
        for message_id in arrived[:gone]:
            person.store.remove(message_id)
        await mailbox.log_off()
        assert isinstance(person.store.connection.requests[-1], emsmdb.EcDoDisconnectRequest)

    @pytest.mark.parametrize("untold", ["come", "gone"])
    async def test_the_inbox_holds_something_else(self, person, untold):
        person.receive(tell=False)
        mailbox = await person.log_on()
        second = person.receive()
        if untold == "come":
            person.receive(tell=False)
        else:
            person.store.remove(second, tell=False)
        held = len(person.store.inbox.items)
        with pytest.raises(WrongAnswer, match=f"the Inbox holds {held} messages, not 2"):
            await mailbox.log_off()

    @pytest.mark.parametrize(("in_between", "is_believed"), [(1, True), (2, True), (3, False)])
    async def test_mail_comes_between_news_and_count(self, person, in_between, is_believed):
        mailbox = await person.log_on()
        count = person.store.rops[oxcprpt.RopGetPropertiesSpecificRequest]
        more = iter(range(in_between))

        def receive_and_count(rop, table):
            if next(more, None) is not None:
                person.receive()
            return count(rop, table)

        person.store.rops[oxcprpt.RopGetPropertiesSpecificRequest] = receive_and_count
        if is_believed:
            await mailbox.log_off()
        else:
            with pytest.raises(WrongAnswer, match="the Inbox holds 3 messages, not 2"):
                await mailbox.log_off()

    async def test_a_lost_connection(self, person):
        mailbox = await person.log_on()
        person.store.connection.lose(ConnectionLost("gone"))
        with pytest.raises(ConnectionLost):
            await mailbox.log_off()


async def test_news_is_fetched_by_polling(person):
    mailbox = await person.log_on()
    assert await mailbox.fetch_news() == []
    message_id = person.receive()
    assert await mailbox.fetch_news() == [NewMessage(message_id, "1.2.3")]
    assert await mailbox.fetch_news() == []


async def test_news_is_waited_for(person):
    mailbox = await person.log_on()
    heard = []
    mailbox.store.on_news = lambda: heard.append("news")
    await mailbox.store.wait_for_news()
    message_id = person.receive()
    await settle()
    assert heard == ["news"]
    assert await mailbox.fetch_news() == [NewMessage(message_id, "1.2.3")]
    assert person.store.is_waited_for


async def test_other_events_of_a_new_message(person):
    """A store tells of a message in several ways; the row in the view is the one that counts."""
    mailbox = await person.log_on()
    message_id = person.receive()
    event = oxcnotif.ObjectEvent(oxcnotif.NEW_MAIL, INBOX, message_id, message_class="IPM.Note")
    counts = oxcnotif.ObjectEvent(oxcnotif.OBJECT_MODIFIED, INBOX, total_count=1, unread_count=1)
    for other in (event, counts):
        person.store.tell(oxcnotif.RopNotifyResponse(0x13, 0, other))
    elsewhere = oxcnotif.TableEvent(
        oxcnotif.TABLE_ROW_ADDED, True, oxcnotif.TableRowId(INBOX, object_id(1, 7)), row_data=b"?"
    )
    person.store.tell(oxcnotif.RopNotifyResponse(0x99, 0, elsewhere))
    assert await mailbox.fetch_news() == [NewMessage(message_id, "1.2.3")]
