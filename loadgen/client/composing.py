"""The ROPs by which Outlook composes and submits a message in online mode ([MS-OXOMSG] 3.2.4)."""

from collections.abc import Sequence

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
from loadgen.protocol.emsmdb_session import RopBatch, RopResults, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.identifiers import AddressBookEntryId
from loadgen.wire.properties import PropertyRow, PropertyValue
from loadgen.wire.recipients import TO, RecipientRow, exchange_recipient
from loadgen.wire.rop.oxcmsg import (
    KEEP_OPEN_READ_WRITE,
    LOGON_CODE_PAGE,
    ModifyRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateMessageRequest,
    RopModifyRecipientsRequest,
    RopRemoveAllRecipientsRequest,
    RopSaveChangesAttachmentRequest,
)
from loadgen.wire.rop.oxcprpt import (
    STREAM_CREATE,
    RopCommitStreamRequest,
    RopGetPropertiesSpecificRequest,
    RopOpenStreamRequest,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from loadgen.wire.rop.oxomsg import RopSubmitMessageRequest

STREAM_CHUNK = 28 * 1024
"""Bytes per RopWriteStream: what fits into one payload of 32 KB beside the ROPs that go with it."""

_MAIL_USER = 6
_COMPUTED = 0x8004011A
"""The store works a property out by itself, which loses nothing."""
_SAVE_FLAGS = KEEP_OPEN_READ_WRITE | 0x08
"""Outlook sets a bit that no specification names."""

_ATTACHMENT_PROPERTIES = tuple(
    PropertyValue(tag, value)
    for tag, value in (
        (p.PidTagAttachMethod, ATTACHED_BY_VALUE),
        (p.PidTagRenderingPosition, 0xFFFFFFFF),
        (p.PidTagAttachLongFilename, ATTACHMENT_NAME),
        (p.PidTagAttachExtension, ".bin"),
        (p.PidTagDisplayName, ATTACHMENT_NAME),
        (p.PidTagAttachMimeTag, "application/octet-stream"),
    )
)

RECIPIENT_COLUMNS = (
    p.PidTagObjectType,
    p.PidTagDisplayType,
    p.PidTagAddressBookDisplayNamePrintable,
    p.PidTagSmtpAddress,
    p.PidTagSendInternetEncoding,
    p.PidTagAccount,
    p.PidTagRecipientTrackStatus,
    p.PidTagRecipientResourceState,
    p.PidTagRecipientFlags,
    p.PidTagRecipientDisplayName,
    p.PidTagRecipientEntryId,
    p.PidTagRecipientOrder,
)
"""The columns that Outlook 2007 sends with RopModifyRecipients."""


class Composer:
    """Sends messages from one mailbox.

    ``outbox`` is its folder id, ``sent_items`` the entry id of the folder for copies, ``dn_prefix`` what
    EcDoConnectEx returned to shorten the names of recipients with.
    """

    __slots__ = ("_dn_prefix", "_logon", "_outbox", "_sent_items", "_store")

    def __init__(
        self, store: StoreSession, logon: ServerObjectHandle, outbox: int, sent_items: bytes, dn_prefix: str
    ) -> None:
        self._store = store
        self._logon = logon
        self._outbox = outbox
        self._sent_items = sent_items
        self._dn_prefix = dn_prefix

    async def send(self, content: Content, recipients: Sequence[Account], submit_time: int) -> None:
        """Composes and submits; ``submit_time`` is a FILETIME. Raises :class:`~loadgen.errors.PeerError`."""
        message = await self._create(content, submit_time)
        async with self._store.lent(message):
            await self._attach(message, content.attachment)
            await self._submit(message, content, recipients)

    async def _create(self, content: Content, submit_time: int) -> ServerObjectHandle:
        batch = RopBatch()
        logon, message, stream = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopCreateMessageRequest(0, logon, message, LOGON_CODE_PAGE, self._outbox))
        batch.add(RopSetPropertiesRequest(0, message, self._message_properties(content, submit_time)))
        batch.add(RopOpenStreamRequest(0, message, stream, p.PidTagHtml, STREAM_CREATE))
        batch.add(RopWriteStreamRequest(0, stream, content.html))
        batch.add(RopCommitStreamRequest(0, stream))
        batch.release(stream)
        results = await self._store.run(batch)
        check_written(results, len(content.html))
        check_properties(results)
        return results.handles[message]

    def _message_properties(self, content: Content, submit_time: int) -> tuple[PropertyValue, ...]:
        values = (
            (p.PidTagMessageClass, "IPM.Note"),
            (p.PidTagImportance, 1),
            (p.PidTagPriority, 0),
            (p.PidTagSensitivity, 0),
            (p.PidTagDeleteAfterSubmit, False),
            (p.PidTagReadReceiptRequested, False),
            (p.PidTagOriginatorDeliveryReportRequested, False),
            (p.PidTagMessageFlags, UNSENT_AND_READ),
            (p.PidTagMessageCodepage, CODE_PAGE),
            (p.PidTagInternetCodepage, CODE_PAGE),
            (p.PidTagMessageLocaleId, LOCALE),
            (p.PidTagNativeBodyInfo, HTML_IS_BEST),
            (p.PidTagClientSubmitTime, submit_time),
            (p.PidTagSentMailEntryId, self._sent_items),
            (p.PidTagConversationTopic, content.subject),
            (p.PidTagIconIndex, 0xFFFFFFFF),
        )
        return tuple(PropertyValue(tag, value) for tag, value in values)

    async def _attach(self, message: ServerObjectHandle, data: bytes) -> None:
        batch = RopBatch()
        parent, attachment, stream = batch.use(message), batch.reserve(), batch.reserve()
        batch.add(RopCreateAttachmentRequest(0, parent, attachment))
        batch.add(RopSetPropertiesRequest(0, attachment, _ATTACHMENT_PROPERTIES))
        batch.add(RopOpenStreamRequest(0, attachment, stream, p.PidTagAttachDataBinary, STREAM_CREATE))
        handles: tuple[ServerObjectHandle, ...] = ()
        for start in range(0, len(data), STREAM_CHUNK):
            if start:
                batch = RopBatch()
                parent, attachment, stream = (batch.use(handle) for handle in handles[:3])
            chunk = data[start : start + STREAM_CHUNK]
            batch.add(RopWriteStreamRequest(0, stream, chunk))
            if start + len(chunk) == len(data):
                batch.add(RopCommitStreamRequest(0, stream))
                batch.release(stream)
                batch.add(RopSaveChangesAttachmentRequest(0, parent, attachment, _SAVE_FLAGS))
                batch.release(attachment)
            results = await self._store.run(batch)
            check_written(results, len(chunk))
            check_properties(results)
            handles = results.handles

    async def _submit(
        self, message: ServerObjectHandle, content: Content, recipients: Sequence[Account]
    ) -> None:
        batch = RopBatch()
        index = batch.use(message)
        rows = tuple(
            ModifyRecipientRow(row_id, TO, self._recipient_row(account, row_id))
            for row_id, account in enumerate(recipients)
        )
        batch.add(RopRemoveAllRecipientsRequest(0, index))
        batch.add(RopModifyRecipientsRequest(0, index, RECIPIENT_COLUMNS, rows))
        subject = (
            PropertyValue(p.PidTagSubjectPrefix, ""),
            PropertyValue(p.PidTagNormalizedSubject, content.subject),
        )
        batch.add(RopSetPropertiesRequest(0, index, subject))
        batch.add(RopSubmitMessageRequest(0, index))
        batch.add(RopGetPropertiesSpecificRequest(0, index, 0, 0, (p.PidTagChangeKey,)))
        check_properties(await self._store.run(batch))

    def _recipient_row(self, account: Account, row_id: int) -> RecipientRow:
        values = (
            _MAIL_USER,
            0,
            account.alias,
            account.smtp,
            0,
            account.alias,
            0,
            0,
            1,
            account.display_name,
            AddressBookEntryId(account.legacy_dn).encode(),
            row_id,
        )
        row = PropertyRow.of(RECIPIENT_COLUMNS, values)
        return exchange_recipient(account.legacy_dn, account.display_name, self._dn_prefix, row)


def check_written(results: RopResults, size: int) -> None:
    """Raises :class:`WrongAnswer` unless the only RopWriteStream of a batch took all of ``size`` bytes."""
    written = results.one(RopWriteStreamResponse).written_size
    if written != size:
        raise WrongAnswer(f"RopWriteStream took {written} of {size} bytes")


def check_properties(results: RopResults) -> None:
    """Raises :class:`WrongAnswer` if a property was refused that the store does not work out by itself."""
    for response in results.all_of(RopSetPropertiesResponse):
        for problem in response.problems:
            if problem.error_code != _COMPUTED:
                raise WrongAnswer(
                    f"property 0x{problem.tag:08X} of a message was refused: 0x{problem.error_code:08X}"
                )
