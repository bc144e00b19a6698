"""How a cached Outlook sends: one stream, as many calls as it takes, and nothing left open."""

from typing import Any

import pytest

from loadgen.client.content import Content
from loadgen.client.store_session import StoreSession
from loadgen.client.uploading import composed, fill, send, to_be_dropped, to_be_filed
from loadgen.errors import ConnectionLost, MapiError, WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire import emsmdb
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import value_of
from loadgen.wire.recipients import TO
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcmsg, oxcstor, oxomsg

from .scripted import make_account
from .scripted_mailbox import TRANSPORT, ScriptedMailbox, Upload, written
from .scripted_store import open_session

ACCESS_DENIED = 0x80070005


@pytest.fixture
def mailbox() -> ScriptedMailbox:
    return ScriptedMailbox()


@pytest.fixture
async def session(mailbox) -> StoreSession:
    return await open_session(mailbox, waits=False)


@pytest.fixture
async def logon(mailbox, session) -> ServerObjectHandle:
    batch = RopBatch()
    batch.add(oxcstor.RopLogonRequest(0, batch.reserve(), oxcstor.PRIVATE, 0, essdn="/o=x"))
    (handle,) = (await session.run(batch)).handles
    mailbox.calls.clear()
    return handle


def names(mailbox: ScriptedMailbox) -> list[list[str]]:
    return [call.names for call in mailbox.calls]


def assert_nothing_is_open(mailbox: ScriptedMailbox, logon: ServerObjectHandle) -> None:
    assert list(mailbox.objects) == [logon]


class TestComposing:
    def test_what_a_message_says(self):
        sender, others = make_account(1), (make_account(2), make_account(3))
        content = Content("1.2.3", 50_000)
        message = composed(sender, content, others, 0x01C7A68AEC175C00)
        said = {known.tag: known.value for known in message.properties}
        assert said[p.PidTagSubject] == said[p.PidTagNormalizedSubject] == "1.2.3 (50000 bytes)"
        assert said[p.PidTagHtml] == content.html
        assert said[p.PidTagClientSubmitTime] == 0x01C7A68AEC175C00
        assert said[p.PidTagSenderEmailAddress] == sender.legacy_dn
        assert [recipient.row_id for recipient in message.recipients] == [0, 1]
        for recipient, account in zip(message.recipients, others, strict=True):
            assert value_of(recipient.properties, p.PidTagRecipientType) == TO
            assert value_of(recipient.properties, p.PidTagEmailAddress) == account.legacy_dn
            assert value_of(recipient.properties, p.PidTagDisplayName) == account.display_name
        (attachment,) = message.attachments
        assert value_of(attachment.properties, p.PidTagAttachDataBinary) == content.attachment

    def test_what_becomes_of_it(self):
        message = written("1.2.3")
        filed, dropped = to_be_filed(message, b"entry id"), to_be_dropped(message)
        assert filed.properties == (*message.properties, Property(p.PidTagTargetEntryId, b"entry id"))
        assert dropped.properties == (*message.properties, Property(p.PidTagDeleteAfterSubmit, True))
        assert filed.attachments == dropped.attachments == message.attachments


class TestSending:
    async def test_calls_and_sizes(self, mailbox, session, logon):
        message = to_be_dropped(written("1.2.3", 50_000))
        await send(session, logon, TRANSPORT, message)
        assert names(mailbox) == [
            ["CreateMessage", "FastTransferDestinationConfigure"],
            ["FastTransferDestinationPutBuffer"],
            ["FastTransferDestinationPutBuffer"],
            ["Release", "TransportSend", "Release"],
        ]
        assert len(mailbox.calls[1].rops[0].data) == 31_488
        assert mailbox.outgoing == [message]
        assert_nothing_is_open(mailbox, logon)

    @pytest.mark.parametrize(
        ("refused", "last"),
        [
            (fx.RopFastTransferDestinationPutBufferRequest, ["Release", "Release"]),
            (oxomsg.RopTransportSendRequest, ["Release", "TransportSend", "Release"]),
        ],
    )
    async def test_a_refusal(self, mailbox, session, logon, refused, last):
        refuse(mailbox, refused)
        with pytest.raises(MapiError, match="0x80070005"):
            await send(session, logon, TRANSPORT, to_be_dropped(written("1.2.3")))
        assert names(mailbox)[-1] == last
        assert_nothing_is_open(mailbox, logon)

    async def test_a_server_that_takes_less(self, mailbox, session, logon):
        mailbox.alter(fx.RopFastTransferDestinationPutBufferRequest, buffer_used_size=7)
        with pytest.raises(WrongAnswer, match="took 7 of"):
            await send(session, logon, TRANSPORT, to_be_dropped(written("1.2.3")))
        assert_nothing_is_open(mailbox, logon)

    async def test_a_loss(self, mailbox, session, logon):
        mailbox.answers[emsmdb.EcDoRpcExt2Request] = lambda _: ConnectionLost("gone")
        with pytest.raises(ConnectionLost):
            await send(session, logon, TRANSPORT, written("1.2.3"))


class TestFilling:
    @pytest.fixture
    def upload(self, mailbox) -> tuple[Upload, ServerObjectHandle]:
        upload, table = Upload(TRANSPORT), [0]
        mailbox.open(upload, 0, table)
        return upload, ServerObjectHandle(table[0])

    async def test_it_is_saved(self, mailbox, session, logon, upload):
        message, handle = upload
        saved = []
        mailbox.rops[oxcmsg.RopSaveChangesMessageRequest] = lambda rop, _table: (
            saved.append(message.content)
            or oxcmsg.RopSaveChangesMessageResponse(rop.response_handle_index, 0, 7)
        )
        await fill(session, handle, written("1.2.3", 50_000))
        assert saved == [written("1.2.3", 50_000)]
        assert names(mailbox) == [
            ["FastTransferDestinationConfigure"],
            ["FastTransferDestinationPutBuffer"],
            ["FastTransferDestinationPutBuffer"],
            ["Release", "SaveChangesMessage"],
        ]
        assert list(mailbox.objects) == [logon, handle]

    async def test_a_refusal(self, mailbox, session, logon, upload):
        refuse(mailbox, fx.RopFastTransferDestinationPutBufferRequest)
        with pytest.raises(MapiError):
            await fill(session, upload[1], written("1.2.3"))
        assert names(mailbox)[-1] == ["Release"]
        assert list(mailbox.objects) == [logon, upload[1]]


def refuse(mailbox: ScriptedMailbox, kind: Any) -> None:
    if kind is fx.RopFastTransferDestinationPutBufferRequest:
        mailbox.alter(kind, return_value=ACCESS_DENIED, transfer_status=fx.TRANSFER_ERROR)
    else:
        mailbox.refuse(kind, ACCESS_DENIED)
