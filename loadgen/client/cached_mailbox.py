"""What Outlook does in its user's mailbox in cached mode: it works on a copy, and synchronises."""

from collections.abc import Callable
from functools import partial
from hashlib import md5
from typing import Final

import msgspec

from loadgen.client.account import Account
from loadgen.client.client_type import CachedMode
from loadgen.client.content import Content
from loadgen.client.local_copy import LocalFolder, LocalMessage, digest_of
from loadgen.client.logon import PrivateLogon, log_on_mailbox
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.store_session import StoreSession
from loadgen.client.synchronisation import Synchroniser
from loadgen.client.uploading import composed, send, target_entry_id, upload
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import UNSET, RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import MessageContent
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as ics
from loadgen.wire.rop import oxcmsg, oxcnotif, oxcstor
from loadgen.wire.rop.oxomsg import RopGetTransportFolderRequest, RopGetTransportFolderResponse

_RESERVED_IDS: Final = 0x10000
"""How many message ids a copy asks for in advance, to give to messages that it makes."""
_STORE_EVENTS: Final = 0x00FE
_ATTEMPTS: Final = 3
"""How often a copy is brought up to date before a difference counts: mail may still be coming."""


class CachedMailbox:
    """One user's mailbox and the copy of it; all methods raise :class:`~loadgen.errors.PeerError`.

    ``store`` is the foreground session, which sends and hears of news; ``background`` synchronises, and may
    be the same.
    """

    __slots__ = (
        "_account",
        "_background",
        "_changes",
        "_deleted",
        "_guid",
        "_hierarchy",
        "_inbox",
        "_logon",
        "_mode",
        "_moves",
        "_next_counter",
        "_notify",
        "_reads",
        "_sent",
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
        mode: CachedMode,
        wall_clock: Callable[[], float],
    ) -> None:
        self.store = store
        self._account = account
        self._background = background
        self._mode = mode
        self._wall_clock = wall_clock
        self._guid = md5(account.legacy_dn.encode(), usedforsecurity=False).digest()
        self._logon: PrivateLogon
        self._synchroniser: Synchroniser
        self._notify: ServerObjectHandle = UNSET
        self._hierarchy = State()
        self._transport_folder = 0
        self._next_counter = 0
        self._changes = 0
        self._reads: list[ics.MessageReadState] = []
        self._moves: list[ics.RopSynchronizationImportMessageMoveRequest] = []

    async def log_on(self, *about: AuxiliaryBlock) -> None:
        """Opens the sessions and downloads what the mailbox holds."""
        await self.store.connect(*about)
        self._logon = logon = await log_on_mailbox(self.store, self._account)
        background = logon
        if self._background is not self.store:
            await self._background.connect(*about, link=self.store)
            background = await log_on_mailbox(self._background, self._account)
        self._synchroniser = Synchroniser(
            self._background, background.handle, chained=self._mode.server_files_sent
        )
        self._inbox = LocalFolder(logon.folder_ids[oxcstor.INBOX])
        self._sent = LocalFolder(logon.folder_ids[oxcstor.SENT_ITEMS])
        self._deleted = LocalFolder(logon.folder_ids[oxcstor.DELETED_ITEMS])
        await self._prepare()
        await self._synchronise_hierarchy()
        for folder in (self._inbox, self._sent, self._deleted):
            await self._synchroniser.contents(folder)

    async def send(self, message: OutgoingMessage) -> None:
        """Composes into the copy, uploads and has it sent."""
        content = Content(message.key, message.size)
        now = p.filetime_from_unix(self._wall_clock())
        item = composed(self._account, content, message.recipients, now)
        message_id = self._new_id()
        if self._mode.server_files_sent:
            target = target_entry_id(self._logon, self._sent.folder_id, message_id)
            directed = (*item.properties, Property(p.PidTagTargetEntryId, target))
            await send(
                self.store,
                self._logon,
                self._transport_folder,
                msgspec.structs.replace(item, properties=directed),
            )
        else:
            await send(self.store, self._logon, self._transport_folder, item)
            await self._upload_sent(message_id, item, now)
        self._sent.messages[message_id] = LocalMessage(
            message_id, self._logon.source_key(message_id), b"", message.key, True, True, digest_of(item)
        )

    async def fetch_news(self) -> list[NewMessage]:
        """Uploads what was done here and downloads what has come, if anything has; new messages in order."""
        news = any(
            isinstance(notification.event, oxcnotif.ObjectEvent)
            and notification.event.kind == oxcnotif.NEW_MAIL
            for notification in await self.store.take_notifications()
        )
        await self._upload_changes()
        if not news:
            return []
        await self._synchronise_hierarchy()
        return [
            NewMessage(message.message_id, message.key)
            for message in await self._synchroniser.contents(self._inbox)
        ]

    async def read(self, message_id: int, expected_key: str) -> None:
        """Reads from the copy, and keeps for the next upload that it was read."""
        message = self._inbox.messages.get(message_id)
        if message is None or message.key != expected_key or not message.true:
            raise WrongAnswer(f"the copy of message {expected_key} is not what its sender wrote")
        self._inbox.mark(message_id, read=True)
        self._reads.append(ics.MessageReadState(message.source_key, True))

    async def delete(self, message_id: int) -> None:
        """Moves a message of the copy to Deleted Items, and keeps that for the next upload."""
        message = self._inbox.messages.pop(message_id)
        moved_id = self._new_id()
        change_key = self._change_key()
        moved = msgspec.structs.replace(
            message, message_id=moved_id, source_key=self._logon.source_key(moved_id)
        )
        self._deleted.messages[moved_id] = moved
        self._moves.append(
            ics.RopSynchronizationImportMessageMoveRequest(
                0,
                0,
                self._logon.source_key(self._inbox.folder_id),
                message.source_key,
                message.predecessor_change_list,
                moved.source_key,
                change_key,
            )
        )

    async def log_off(self) -> None:
        """Synchronises for the last time, compares the copy with the mailbox, and ends the sessions."""
        await self._upload_changes()
        if self._mode.compare_copy:
            await self._check_copy()
        await self.store.release(self._notify)
        await self.store.disconnect()
        if self._background is not self.store:
            await self._background.disconnect()

    async def _prepare(self) -> None:
        batch = RopBatch()
        logon, notify = batch.use(self._logon.handle), batch.reserve()
        batch.add(ics.RopGetLocalReplicaIdsRequest(0, logon, _RESERVED_IDS))
        batch.add(RopGetTransportFolderRequest(0, logon))
        batch.add(oxcnotif.RopRegisterNotificationRequest(0, logon, notify, _STORE_EVENTS))
        results = await self.store.run(batch)
        ids = results.one(ics.RopGetLocalReplicaIdsResponse)
        if ids.replica_guid != self._logon.replica_guid:
            raise WrongAnswer("RopGetLocalReplicaIds gave ids of another replica")
        self._next_counter = int.from_bytes(ids.global_count, "big")
        self._transport_folder = results.one(RopGetTransportFolderResponse).folder_id
        self._notify = results.handles[notify]

    async def _synchronise_hierarchy(self) -> None:
        top = self._logon.folder_ids[oxcstor.IPM_SUBTREE]
        _, self._hierarchy = await self._synchroniser.hierarchy(top, self._hierarchy)

    async def _upload_changes(self) -> None:
        reads, self._reads = tuple(self._reads), []
        moves, self._moves = self._moves, []
        if reads:
            await self._synchroniser.collect(self._inbox, partial(_import_reads, reads))
        if moves:
            await self._synchroniser.collect(self._deleted, partial(_import_moves, moves))

    async def _upload_sent(self, message_id: int, item: MessageContent, now: int) -> None:
        """Files the sent copy as Outlook 2003 does: the whole message once more."""
        change_key = self._change_key()
        values = (
            PropertyValue(p.PidTagSourceKey, self._logon.source_key(message_id)),
            PropertyValue(p.PidTagLastModificationTime, now),
            PropertyValue(p.PidTagChangeKey, change_key),
            PropertyValue(p.PidTagPredecessorChangeList, bytes((len(change_key),)) + change_key),
        )
        await self._synchroniser.import_message(self._sent, values, partial(self._fill, item))

    async def _fill(self, item: MessageContent, message: ServerObjectHandle) -> None:
        batch = RopBatch()
        index, stream = batch.use(message), batch.reserve()
        batch.add(fx.RopFastTransferDestinationConfigureRequest(0, index, stream, fx.SOURCE_COPY_TO))
        results = await self._background.run(batch)
        await upload(self._background, results.handles[stream], item)
        batch = RopBatch()
        index = batch.use(message)
        batch.add(oxcmsg.RopSaveChangesMessageRequest(0, index, index, oxcmsg.KEEP_OPEN_READ_ONLY))
        await self._background.run(batch)

    async def _check_copy(self) -> None:
        """Downloads the mailbox anew and holds the copy against it."""
        for _ in range(_ATTEMPTS):
            await self._synchroniser.contents(self._inbox)
            problems = []
            for folder in (self._inbox, self._sent, self._deleted):
                fresh = LocalFolder(folder.folder_id)
                await self._synchroniser.contents(fresh)
                problems += folder.differences(fresh)
            if not problems:
                return
        raise WrongAnswer(f"the copy differs from the mailbox in {len(problems)} messages: {problems[0]}")

    def _new_id(self) -> int:
        counter, self._next_counter = self._next_counter, self._next_counter + 1
        return object_id(self._logon.replica_id, counter)

    def _change_key(self) -> bytes:
        self._changes += 1
        return self._guid + self._changes.to_bytes(4, "little")


def _import_reads(reads: tuple[ics.MessageReadState, ...], batch: RopBatch, collector: int) -> None:
    batch.add(ics.RopSynchronizationImportReadStateChangesRequest(0, collector, reads))


def _import_moves(
    moves: list[ics.RopSynchronizationImportMessageMoveRequest], batch: RopBatch, collector: int
) -> None:
    for move in moves:
        batch.add(msgspec.structs.replace(move, input_handle_index=collector))
