"""What Outlook does in its user's mailbox in online mode."""

from collections.abc import Callable

from loadgen.client.account import Account
from loadgen.client.cleaning import remove_mail
from loadgen.client.composing import Composer
from loadgen.client.content import Content
from loadgen.client.inbox_view import SCREEN, InboxView
from loadgen.client.logon import log_on_mailbox
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.store_session import StoreSession
from loadgen.client.streams import StreamReader
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import UNSET, RopBatch, RopResults, ServerObjectHandle
from loadgen.wire import identifiers
from loadgen.wire import properties as p
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl

_HIERARCHY_COLUMNS = (p.PidTagFolderId, p.PidTagDisplayName, p.PidTagContentCount, p.PidTagSubfolders)
_INBOX_PROPERTIES = (
    p.PidTagContentCount,
    p.PidTagContentUnreadCount,
    p.PidTagDisplayName,
    p.PidTagIpmAppointmentEntryId,
    p.PidTagIpmContactEntryId,
    p.PidTagIpmDraftsEntryId,
    p.PidTagIpmJournalEntryId,
    p.PidTagIpmNoteEntryId,
    p.PidTagIpmTaskEntryId,
)
_MESSAGE_PROPERTIES = (
    p.PidTagMessageClass,
    p.PidTagMessageFlags,
    p.PidTagMessageSize,
    p.PidTagMessageDeliveryTime,
    p.PidTagClientSubmitTime,
    p.PidTagSubject,
    p.PidTagSubjectPrefix,
    p.PidTagNormalizedSubject,
    p.PidTagConversationTopic,
    p.PidTagImportance,
    p.PidTagPriority,
    p.PidTagSensitivity,
    p.PidTagSenderName,
    p.PidTagSenderEmailAddress,
    p.PidTagSenderAddressType,
    p.PidTagSentRepresentingName,
    p.PidTagSentRepresentingEmailAddress,
    p.PidTagReceivedByName,
    p.PidTagReceivedByEmailAddress,
    p.PidTagDisplayTo,
    p.PidTagDisplayCc,
    p.PidTagHasAttachments,
    p.PidTagNativeBodyInfo,
    p.PidTagInternetMessageId,
    p.PidTagMessageCodepage,
    p.PidTagIconIndex,
)
_ATTACHMENT_COLUMNS = (
    p.PidTagAttachNumber,
    p.PidTagAttachSize,
    p.PidTagAttachLongFilename,
    p.PidTagAttachMethod,
    p.PidTagAccess,
)
_COUNTS = 3
"""Mail may come between news and count, hardly ever this often."""


class Mailbox:
    """One user's mailbox; all methods raise :class:`~loadgen.errors.PeerError`."""

    __slots__ = (
        "_account",
        "_composer",
        "_deleted_items",
        "_folders",
        "_inbox",
        "_logon",
        "_notify",
        "_streams",
        "_view",
        "_wall_clock",
        "store",
    )

    def __init__(
        self, account: Account, store: StoreSession, streams: StreamReader, wall_clock: Callable[[], float]
    ) -> None:
        self.store = store
        self._account = account
        self._streams = streams
        self._wall_clock = wall_clock
        self._view = InboxView(store)
        self._logon = self._inbox = self._deleted_items = self._notify = UNSET
        self._folders: tuple[int, ...] = ()
        self._composer: Composer

    async def log_on(self, *about: AuxiliaryBlock) -> None:
        """Opens the session and the mailbox, and shows the Inbox, as Outlook does when it starts."""
        dn_prefix = await self.store.connect(*about)
        logon = await log_on_mailbox(self.store, self._account)
        self._logon = logon.handle
        self._folders = logon.folder_ids
        sent_items = identifiers.FolderEntryId(
            logon.mailbox_guid,
            identifiers.PRIVATE_FOLDER,
            identifiers.long_term_id(logon.replica.guid, self._folders[oxcstor.SENT_ITEMS]),
        )
        outbox = self._folders[oxcstor.OUTBOX]
        self._composer = Composer(self.store, self._logon, outbox, sent_items.encode(), dn_prefix)
        await self._open_folders()
        await self._list_folders()
        await self._view.open(self._inbox)

    async def send(self, message: OutgoingMessage) -> None:
        """Composes and submits ``message``."""
        now = p.filetime_from_unix(self._wall_clock())
        await self._composer.send(Content(message.key, message.size), message.recipients, now)

    async def fetch_news(self) -> list[NewMessage]:
        """The messages that have come into the Inbox since the last call, in the order of their arrival."""
        return await self._view.fetch_news()

    async def read(self, message_id: int, expected_key: str) -> None:
        """Opens a message, reads all of it, checks it against what its sender wrote, and marks it read."""
        content, message = await self._open(message_id)
        async with self.store.lent(message):
            if content is None or content.key != expected_key:
                raise WrongAnswer(
                    f"message {expected_key} has become {content.key if content else 'another'}"
                )
            html = await self._streams.read(self.store, message, p.PidTagHtml)
            attachment = await self._read_attachment(message)
            content.check(html, attachment)
            batch = RopBatch()
            folder = batch.use(self._inbox)
            batch.add(oxcmsg.RopSetReadFlagsRequest(0, folder, False, oxcmsg.SUPPRESS_RECEIPT, (message_id,)))
            _require_complete(await self.store.run(batch), oxcmsg.RopSetReadFlagsResponse)

    async def delete(self, message_id: int) -> None:
        """Moves a message to Deleted Items."""
        batch = RopBatch()
        source, destination = batch.use(self._inbox), batch.use(self._deleted_items)
        batch.add(oxcfold.RopMoveCopyMessagesRequest(0, source, destination, (message_id,)))
        _require_complete(await self.store.run(batch), oxcfold.RopMoveCopyMessagesResponse)

    async def log_off(self, removing: str = "") -> None:
        """Checks that the Inbox holds what notifications told, gives everything back and ends the session.

        Mail whose subject begins with ``removing`` is removed before.
        """
        for _ in range(_COUNTS):
            await self.fetch_news()
            held = await self._count_messages()
            if held == self._view.count:
                break
        else:
            raise WrongAnswer(f"the Inbox holds {held} messages, not {self._view.count}")
        if removing:
            await self.remove_mail(removing)
        await self.store.release(
            self._notify, self._view.table, self._deleted_items, self._inbox, self._logon
        )
        await self.store.disconnect()

    async def remove_mail(self, begins_with: str) -> None:
        """Removes mail whose subject begins so, wherever a run leaves it."""
        await remove_mail(self.store, self._logon, self._folders, begins_with)

    async def _count_messages(self) -> int | None:
        batch = RopBatch()
        inbox = batch.use(self._inbox)
        batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, inbox, 0, 1, (p.PidTagContentCount,)))
        row = (await self.store.run(batch)).one(oxcprpt.RopGetPropertiesSpecificResponse).row
        count: int | None = row.get(p.PidTagContentCount)
        return count

    async def _open_folders(self) -> None:
        batch = RopBatch()
        logon, inbox, deleted_items = batch.use(self._logon), batch.reserve(), batch.reserve()
        notify = batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, inbox, self._folders[oxcstor.INBOX]))
        batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, inbox, 0, 1, _INBOX_PROPERTIES))
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, deleted_items, self._folders[oxcstor.DELETED_ITEMS]))
        batch.add(oxcnotif.RopRegisterNotificationRequest(0, logon, notify, oxcnotif.STORE_EVENTS))
        handles = (await self.store.run(batch)).handles
        self._inbox, self._deleted_items, self._notify = (
            handles[inbox],
            handles[deleted_items],
            handles[notify],
        )

    async def _list_folders(self) -> None:
        batch = RopBatch()
        logon, subtree, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, subtree, self._folders[oxcstor.IPM_SUBTREE]))
        batch.add(oxcfold.RopGetHierarchyTableRequest(0, subtree, table, oxcfold.NO_NOTIFICATIONS))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _HIERARCHY_COLUMNS))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, SCREEN))
        batch.release(table)
        batch.release(subtree)
        results = await self.store.run(batch)
        listed = {row.get(p.PidTagFolderId) for row in results.one(oxctabl.RopQueryRowsResponse).rows}
        expected = {self._folders[at] for at in (oxcstor.INBOX, oxcstor.SENT_ITEMS, oxcstor.DELETED_ITEMS)}
        if not expected <= listed:
            raise WrongAnswer("the folder list lacks the Inbox, Sent Items or Deleted Items")

    async def _open(self, message_id: int) -> tuple[Content | None, ServerObjectHandle]:
        batch = RopBatch()
        logon, message = batch.use(self._logon), batch.reserve()
        batch.add(
            oxcmsg.RopOpenMessageRequest(
                0,
                logon,
                message,
                oxcmsg.LOGON_CODE_PAGE,
                self._folders[oxcstor.INBOX],
                oxcmsg.READ_ONLY,
                message_id,
            )
        )
        batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, message, 0, 1, _MESSAGE_PROPERTIES))
        results = await self.store.run(batch)
        row = results.one(oxcprpt.RopGetPropertiesSpecificResponse).row
        return Content.from_subject(row.get(p.PidTagNormalizedSubject, "")), results.handles[message]

    async def _read_attachment(self, message: ServerObjectHandle) -> bytes:
        batch = RopBatch()
        parent, table = batch.use(message), batch.reserve()
        batch.add(oxcmsg.RopGetAttachmentTableRequest(0, parent, table))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _ATTACHMENT_COLUMNS))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, SCREEN))
        batch.release(table)
        rows = (await self.store.run(batch)).one(oxctabl.RopQueryRowsResponse).rows
        if len(rows) != 1:
            raise WrongAnswer(f"a message has {len(rows)} attachments instead of one")
        batch = RopBatch()
        parent, attachment = batch.use(message), batch.reserve()
        number = rows[0].get(p.PidTagAttachNumber, 0)
        batch.add(oxcmsg.RopOpenAttachmentRequest(0, parent, attachment, oxcmsg.READ_ONLY, number))
        return await self._streams.read_from(self.store, batch, attachment, p.PidTagAttachDataBinary)


def _require_complete(results: RopResults, kind: type[oxcfold.PartialCompletionResponse]) -> None:
    if results.one(kind).partial_completion:
        raise WrongAnswer(f"{kind.__name__.removesuffix('Response')} left something undone")
