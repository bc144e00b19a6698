"""How a cached Outlook sends: the message goes up as one stream ([MS-OXCFXICS] 3.3, [MS-OXOMSG] 3.2.4)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from loadgen.client.account import Account
from loadgen.client.content import (
    ATTACHED_BY_VALUE,
    ATTACHMENT_NAME,
    CODE_PAGE,
    HTML_IS_BEST,
    LOCALE,
    UNSENT_AND_READ,
    Content,
)
from loadgen.client.store_session import StoreSession
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import Attachment, MessageContent, Recipient
from loadgen.wire.fasttransfer.source import FastTransferSource
from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.recipients import TO
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop.oxcmsg import (
    KEEP_OPEN_READ_ONLY,
    LOGON_CODE_PAGE,
    RopCreateMessageRequest,
    RopSaveChangesMessageRequest,
)
from loadgen.wire.rop.oxomsg import RopTransportSendRequest

_CHUNK: Final = 0x7B00
"""Bytes per RopFastTransferDestinationPutBuffer, beside which the other ROPs of a call find room."""


def composed(
    sender: Account, content: Content, recipients: Sequence[Account], submit_time: int
) -> MessageContent:
    """The message as Outlook keeps it in its own Outbox; ``submit_time`` is a FILETIME."""
    values = (
        (p.PidTagMessageClass, "IPM.Note"),
        (p.PidTagImportance, 1),
        (p.PidTagPriority, 0),
        (p.PidTagSensitivity, 0),
        (p.PidTagSubject, content.subject),
        (p.PidTagSubjectPrefix, ""),
        (p.PidTagNormalizedSubject, content.subject),
        (p.PidTagConversationTopic, content.subject),
        (p.PidTagClientSubmitTime, submit_time),
        (p.PidTagMessageFlags, UNSENT_AND_READ),
        (p.PidTagMessageCodepage, CODE_PAGE),
        (p.PidTagInternetCodepage, CODE_PAGE),
        (p.PidTagMessageLocaleId, LOCALE),
        (p.PidTagNativeBodyInfo, HTML_IS_BEST),
        (p.PidTagSenderName, sender.display_name),
        (p.PidTagSenderAddressType, "EX"),
        (p.PidTagSenderEmailAddress, sender.legacy_dn),
        (p.PidTagSentRepresentingName, sender.display_name),
        (p.PidTagSentRepresentingAddressType, "EX"),
        (p.PidTagSentRepresentingEmailAddress, sender.legacy_dn),
        (p.PidTagHtml, content.html),
    )
    return MessageContent(
        tuple(Property(tag, value) for tag, value in values),
        tuple(_recipient(row_id, account) for row_id, account in enumerate(recipients)),
        (_attachment(content),),
    )


def to_be_filed(message: MessageContent, entry_id: bytes) -> MessageContent:
    """The message as it is sent if the server is to file it under ``entry_id`` afterwards."""
    return _with(message, Property(p.PidTagTargetEntryId, entry_id))


def to_be_dropped(message: MessageContent) -> MessageContent:
    """The message as it is sent if the server is not to keep it."""
    return _with(message, Property(p.PidTagDeleteAfterSubmit, True))


def _with(message: MessageContent, known: Property) -> MessageContent:
    return msgspec.structs.replace(message, properties=(*message.properties, known))


async def send(
    store: StoreSession, logon: ServerObjectHandle, transport_folder: int, message: MessageContent
) -> None:
    """Uploads ``message`` into the transport folder and has it sent; raises ``PeerError``."""
    batch = RopBatch()
    parent, created, stream = batch.use(logon), batch.reserve(), batch.reserve()
    batch.add(RopCreateMessageRequest(0, parent, created, LOGON_CODE_PAGE, transport_folder))
    batch.add(fx.RopFastTransferDestinationConfigureRequest(0, created, stream, fx.SOURCE_COPY_TO))
    handles = (await store.run(batch)).handles
    async with store.lent(handles[created]) as held:
        held.append(handles[stream])
        await _put(store, handles[stream], message)
        batch = RopBatch()
        stream, created = (batch.use(held.pop()) for _ in range(2))
        batch.release(stream)
        batch.add(RopTransportSendRequest(0, created))
        batch.release(created)
        await store.run(batch)


async def fill(store: StoreSession, message: ServerObjectHandle, content: MessageContent) -> None:
    """Uploads all that an open message is to hold, and saves it; raises ``PeerError``."""
    batch = RopBatch()
    index, stream = batch.use(message), batch.reserve()
    batch.add(fx.RopFastTransferDestinationConfigureRequest(0, index, stream, fx.SOURCE_COPY_TO))
    handle = (await store.run(batch)).handles[stream]
    async with store.lent(handle) as held:
        await _put(store, handle, content)
        batch = RopBatch()
        index, stream = batch.use(message), batch.use(held.pop())
        batch.release(stream)
        batch.add(RopSaveChangesMessageRequest(0, index, index, KEEP_OPEN_READ_ONLY))
        await store.run(batch)


async def _put(store: StoreSession, stream: ServerObjectHandle, message: MessageContent) -> None:
    source = FastTransferSource(message.elements())
    while data := source.read(_CHUNK):
        batch = RopBatch()
        batch.add(fx.RopFastTransferDestinationPutBufferRequest(0, batch.use(stream), data))
        taken = (await store.run(batch)).one(fx.RopFastTransferDestinationPutBufferResponse).buffer_used_size
        if taken != len(data):
            raise WrongAnswer(f"RopFastTransferDestinationPutBuffer took {taken} of {len(data)} bytes")


def _recipient(row_id: int, account: Account) -> Recipient:
    values = (
        (p.PidTagRecipientType, TO),
        (p.PidTagDisplayName, account.display_name),
        (p.PidTagAddressType, "EX"),
        (p.PidTagEmailAddress, account.legacy_dn),
        (p.PidTagSmtpAddress, account.smtp),
        (p.PidTagEntryId, AddressBookEntryId(account.legacy_dn).encode()),
    )
    return Recipient(row_id, tuple(Property(tag, value) for tag, value in values))


def _attachment(content: Content) -> Attachment:
    values = (
        (p.PidTagAttachMethod, ATTACHED_BY_VALUE),
        (p.PidTagRenderingPosition, 0xFFFFFFFF),
        (p.PidTagAttachLongFilename, ATTACHMENT_NAME),
        (p.PidTagAttachDataBinary, content.attachment),
    )
    return Attachment(0, tuple(Property(tag, value) for tag, value in values))
