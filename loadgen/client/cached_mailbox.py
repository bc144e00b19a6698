"""What Outlook does in its user's mailbox in cached mode: it works on a copy, and synchronises."""

from collections.abc import Callable
from typing import Final

from loadgen.client.account import Account
from loadgen.client.cleaning import remove_mail
from loadgen.client.client_type import CachedMode
from loadgen.client.content import Content
from loadgen.client.local_copy import RESERVED_IDS, Filing, LocalCopy, Move
from loadgen.client.local_folder import LocalFolder, LocalMessage, digest_of
from loadgen.client.logon import PrivateLogon, log_on_mailbox
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.store_session import StoreSession
from loadgen.client.synchronisation import Synchroniser
from loadgen.client.uploading import composed, fill, send, to_be_dropped, to_be_filed
from loadgen.errors import MapiError, WrongAnswer
from loadgen.protocol.emsmdb_session import UNSET, RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.fasttransfer.changes import Deletions, FolderChange
from loadgen.wire.fasttransfer.message import MessageContent
from loadgen.wire.identifiers import PRIVATE_MESSAGE, MessageEntryId, long_term_id
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rop import oxcfxics_upload as ics
from loadgen.wire.rop import oxcnotif, oxcstor
from loadgen.wire.rop.oxomsg import RopGetTransportFolderRequest, RopGetTransportFolderResponse

_ROUNDS: Final = 3
"""How often a copy is brought up to date before a difference counts: mail may still be coming."""

_NOT_FOUND: Final = 0x8004010F
_OBJECT_DELETED: Final = 0x80040800
_IGNORED: Final = 0x80040801
"""The server has this version of a message already ([MS-OXCDATA] 2.4)."""


class CachedMailbox:
    """One user's mailbox and the copy of it; all methods raise :class:`~loadgen.errors.PeerError`.

    ``store`` is the foreground session, which sends and hears of news; ``background`` synchronises, and may
    be the same. Whatever fails, the copy stays as true as it was, and keeps what the server does not have.
    """

    __slots__ = (
        "_account",
        "_background",
        "_copy",
        "_has_news",
        "_logon",
        "_logons",
        "_mode",
        "_notify",
        "_synchroniser",
        "_transport_folder",
        "_wall_clock",
        "store",
    )

    def __init__(
        self,
        account: Account,
        store: StoreSession,
        background: StoreSession,
        copy: LocalCopy,
        mode: CachedMode,
        wall_clock: Callable[[], float],
    ) -> None:
        self.store = store
        self._account = account
        self._background = background
        self._copy = copy
        self._mode = mode
        self._wall_clock = wall_clock
        self._logon: PrivateLogon
        self._logons: dict[StoreSession, ServerObjectHandle] = {}
        self._synchroniser: Synchroniser
        self._notify: ServerObjectHandle = UNSET
        self._transport_folder = 0
        self._has_news = False

    async def log_on(self, *about: AuxiliaryBlock) -> None:
        """Opens the sessions, which are linked if there are two, and the mailbox in each."""
        await self.store.connect(*about)
        self._logon = await log_on_mailbox(self.store, self._account)
        self._logons[self.store] = self._logon.handle
        if self._background is not self.store:
            await self._background.connect(*about, link=self.store)
            self._logons[self._background] = (await log_on_mailbox(self._background, self._account)).handle
        self._copy.open(self._logon)
        self._synchroniser = Synchroniser(
            self._background, self._logons[self._background], chained=self._mode.chained
        )
        await self._prepare()

    async def start(self) -> None:
        """Uploads what the last session has left, and downloads what has come meanwhile.

        That is news, unless it is the first download of all.
        """
        copy = self._copy
        await self._upload()
        await self._synchronise_hierarchy()
        for folder in copy.folders:
            await self._synchroniser.contents(folder)
        if copy.is_filled and copy.inbox.has_arrived and self.store.on_news is not None:
            self.store.on_news()
        if not copy.is_filled:
            copy.inbox.take_arrived()
        copy.is_filled = True

    async def send(self, message: OutgoingMessage) -> None:
        """Composes, uploads and has it sent; the copy in Sent Items is made here."""
        copy = self._copy
        message_id, now = copy.new_id(), p.filetime_from_unix(self._wall_clock())
        item = self._compose(message, now)
        if self._mode.server_files_sent:
            directed = to_be_filed(item, self._entry_id(copy.sent_items, message_id))
        else:
            directed = to_be_dropped(item)
        await send(self.store, self._logon.handle, self._transport_folder, directed)
        copy.sent_items.messages[message_id] = LocalMessage(
            message_id, b"", message.key, intact=True, read=True, digest=digest_of(item)
        )
        if self._mode.server_files_sent:
            copy.sent_items.unconfirmed.add(message_id)
        else:
            copy.filings.append(Filing(message_id, message, now, copy.new_change_key()))

    async def fetch_news(self) -> list[NewMessage]:
        """Uploads what was done here and downloads what has come, if anything has; new messages in order."""
        for notification in await self.store.take_notifications():
            event = notification.event
            if isinstance(event, oxcnotif.ObjectEvent) and event.kind == oxcnotif.NEW_MAIL:
                self._has_news = True
        await self._upload()
        if self._has_news:
            await self._synchroniser.contents(self._copy.inbox)
            await self._synchronise_hierarchy()
            self._has_news = False
        arrived = self._copy.inbox.take_arrived()
        return [NewMessage(message.message_id, message.key) for message in arrived]

    async def read(self, message_id: int, expected_key: str) -> None:
        """Reads from the copy, and keeps for the next upload that it was read."""
        message = self._find(message_id, expected_key)
        if message.key != expected_key or not message.intact:
            raise WrongAnswer(f"the copy of message {expected_key} is not what its sender wrote")
        if not message.read:
            self._copy.inbox.mark(message_id, read=True)
            self._copy.reads.append(message_id)

    async def delete(self, message_id: int) -> None:
        """Moves a message of the copy to Deleted Items, and keeps that for the next upload."""
        self._copy.delete(self._find(message_id))

    async def log_off(self, removing: str = "") -> None:
        """Synchronises for the last time, compares the copy with the mailbox, and ends the sessions.

        Mail whose subject begins with ``removing`` is removed from the mailbox before.
        """
        await self._upload()
        if self._mode.compare_copy:
            await self._check_copy()
        if removing:
            await self.remove_mail(removing)
        await self.store.release(self._notify, self._logon.handle)
        if self._background is not self.store:
            await self._background.release(self._logons[self._background])
            await self._background.disconnect()
        await self.store.disconnect()

    async def remove_mail(self, begins_with: str) -> None:
        """Removes mail whose subject begins so, wherever a run leaves it."""
        await remove_mail(self.store, self._logon.handle, self._logon.folder_ids, begins_with)

    def _find(self, message_id: int, key: str = "") -> LocalMessage:
        message = self._copy.inbox.messages.get(message_id)
        if message is None:
            raise WrongAnswer(f"message {key or hex(message_id)} is not in the copy")
        return message

    async def _prepare(self) -> None:
        batch = RopBatch()
        logon, notify = batch.use(self._logon.handle), batch.reserve()
        batch.add(RopGetTransportFolderRequest(0, logon))
        batch.add(oxcnotif.RopRegisterNotificationRequest(0, logon, notify, oxcnotif.STORE_EVENTS))
        results = await self.store.run(batch)
        self._transport_folder = results.one(RopGetTransportFolderResponse).folder_id
        self._notify = results.handles[notify]

    async def _synchronise_hierarchy(self) -> None:
        """Folders come and go; those that this copy is of have to be there."""
        copy = self._copy
        top = self._logon.folder_ids[oxcstor.IPM_SUBTREE]
        changes, copy.hierarchy = await self._synchroniser.hierarchy(top, copy.hierarchy)
        known = {change.folder_id for change in changes if isinstance(change, FolderChange)}
        gone = [change.deleted for change in changes if isinstance(change, Deletions)]
        for folder in copy.folders:
            missing = not copy.is_filled and folder.folder_id not in known
            if missing or any(folder.folder_id in deleted for deleted in gone):
                raise WrongAnswer(f"folder 0x{folder.folder_id:016X} is not in the mailbox")

    async def _upload(self) -> None:
        """Uploads come before downloads, so that nothing done here is taken back by what was there before."""
        copy = self._copy
        if copy.needs_ids:
            await self._reserve_ids()
        if copy.reads:
            await self._upload_reads()
        if copy.moves:
            await self._upload_moves()
        while copy.filings:
            await self._file(copy.filings[0])
            del copy.filings[0]
        if copy.sent_items.unconfirmed:
            await self._synchroniser.confirm(copy.sent_items)

    async def _reserve_ids(self) -> None:
        batch = RopBatch()
        batch.add(ics.RopGetLocalReplicaIdsRequest(0, batch.use(self._logon.handle), RESERVED_IDS))
        ids = (await self.store.run(batch)).one(ics.RopGetLocalReplicaIdsResponse)
        if ids.replica_guid != self._logon.replica.guid:
            raise WrongAnswer("RopGetLocalReplicaIds gave ids of another replica")
        self._copy.take_ids(int.from_bytes(ids.global_count, "big"))

    async def _upload_reads(self) -> None:
        copy, source_key = self._copy, self._logon.replica.source_key
        reads = tuple(ics.MessageReadState(source_key(message_id), True) for message_id in copy.reads)
        async with self._synchroniser.collector(copy.inbox) as collector:
            batch = RopBatch()
            index = batch.use(collector)
            batch.add(ics.RopSynchronizationImportReadStateChangesRequest(0, index, reads))
            await self._background.run(batch)
            del copy.reads[: len(reads)]

    async def _upload_moves(self) -> None:
        copy = self._copy
        async with self._synchroniser.collector(copy.deleted_items) as collector:
            while copy.moves:
                await self._upload_move(copy.moves[0], collector)
                copy.inbox.forget(copy.moves[0].old_id)
                del copy.moves[0]

    async def _upload_move(self, move: Move, collector: ServerObjectHandle) -> None:
        """A message that is not there was moved by somebody else, or by us, though we were never told.

        What became of it, the next download of Deleted Items tells.
        """
        copy, source_key = self._copy, self._logon.replica.source_key
        batch = RopBatch()
        batch.add(
            ics.RopSynchronizationImportMessageMoveRequest(
                0,
                batch.use(collector),
                source_key(copy.inbox.folder_id),
                source_key(move.old_id),
                move.predecessor_change_list,
                source_key(move.new_id),
                move.change_key,
            )
        )
        try:
            await self._background.run(batch)
        except MapiError as error:
            if error.code not in (_NOT_FOUND, _OBJECT_DELETED):
                raise
            copy.deleted_items.messages.pop(move.new_id, None)

    async def _file(self, filing: Filing) -> None:
        """Files a sent message as Outlook 2003 does: the whole of it once more.

        The server may have it already, since the last time we were not told, and it may be deleted by now.
        """
        try:
            await self._import(filing)
        except MapiError as error:
            if error.code == _OBJECT_DELETED:
                self._copy.sent_items.messages.pop(filing.message_id, None)
            elif error.code != _IGNORED:
                raise

    async def _import(self, filing: Filing) -> None:
        values = (
            PropertyValue(p.PidTagSourceKey, self._logon.replica.source_key(filing.message_id)),
            PropertyValue(p.PidTagLastModificationTime, filing.sent_at),
            PropertyValue(p.PidTagChangeKey, filing.change_key),
            PropertyValue(
                p.PidTagPredecessorChangeList, bytes((len(filing.change_key),)) + filing.change_key
            ),
        )
        async with self._synchroniser.collector(self._copy.sent_items) as collector:
            batch = RopBatch()
            index, message = batch.use(collector), batch.reserve()
            batch.add(ics.RopSynchronizationImportMessageChangeRequest(0, index, message, 0, values))
            handle = (await self._background.run(batch)).handles[message]
            async with self._background.lent(handle):
                await fill(self._background, handle, self._compose(filing.message, filing.sent_at))

    def _compose(self, message: OutgoingMessage, sent_at: int) -> MessageContent:
        content = Content(message.key, message.size)
        return composed(self._account, content, message.recipients, sent_at)

    def _entry_id(self, folder: LocalFolder, message_id: int) -> bytes:
        guid = self._logon.replica.guid
        return MessageEntryId(
            self._logon.mailbox_guid,
            PRIVATE_MESSAGE,
            long_term_id(guid, folder.folder_id),
            long_term_id(guid, message_id),
        ).encode()

    async def _check_copy(self) -> None:
        """Downloads the mailbox anew and holds the copy against it."""
        copy = self._copy
        mailbox = tuple(LocalFolder(folder.folder_id, self._logon.replica) for folder in copy.folders)
        problems: list[str] = []
        for _ in range(_ROUNDS):
            for folder in (*copy.folders, *mailbox):
                await self._synchroniser.contents(folder)
            pairs = zip(copy.folders, mailbox, strict=True)
            problems = [problem for mine, theirs in pairs for problem in mine.differences(theirs)]
            if not problems:
                return
        raise WrongAnswer(f"the copy differs from the mailbox in {len(problems)} messages: {problems[0]}")
