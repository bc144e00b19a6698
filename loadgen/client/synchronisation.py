"""Incremental change synchronisation as a cached Outlook does it ([MS-OXCFXICS] 3.3)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from loadgen.client.local_copy import LocalFolder, LocalMessage
from loadgen.client.store_session import StoreSession
from loadgen.errors import MapiError, RemoteProtocolError
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire.fasttransfer.changes import Deletions, FailedItem, MessageChange, ReadStateChanges
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsItem, ContentsReader, HierarchyItem, HierarchyReader
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as upload
from loadgen.wire.rop.oxcfold import RopOpenFolderRequest

_CONTENTS_FLAGS: Final = (
    ics.SYNC_UNICODE
    | ics.SYNC_READ_STATE
    | ics.SYNC_FAI
    | ics.SYNC_NORMAL
    | ics.SYNC_NO_FOREIGN_IDENTIFIERS
    | ics.SYNC_BEST_BODY
)
_CONTENTS_EXTRAS: Final = ics.EXTRA_EID | ics.EXTRA_MESSAGE_SIZE | ics.EXTRA_CHANGE_NUMBER
_HIERARCHY_FLAGS: Final = ics.SYNC_UNICODE | ics.SYNC_NO_FOREIGN_IDENTIFIERS
_SEND_OPTIONS: Final = fx.SEND_UNICODE | fx.SEND_FORCE_UNICODE
_BUFFER: Final = 0x7B00
"""What one RopFastTransferSourceGetBuffer may bring: a payload of 32 KB less what stands around it."""

ItemT = TypeVar("ItemT")


class Synchroniser:
    """Downloads and uploads over one session; all methods raise :class:`~loadgen.errors.PeerError`.

    ``chained`` lets one answer go on over several payloads, as Outlook 2007 does.
    """

    __slots__ = ("_chained", "_logon", "_store")

    def __init__(self, store: StoreSession, logon: ServerObjectHandle, *, chained: bool) -> None:
        self._store = store
        self._logon = logon
        self._chained = chained

    async def contents(self, folder: LocalFolder) -> list[LocalMessage]:
        """Brings ``folder`` up to date; returns the messages that are new in it, in their order."""
        arrived: list[LocalMessage] = []

        def take(item: ContentsItem) -> None:
            match item:
                case MessageChange():
                    message = folder.take_change(item)
                    if message is not None:
                        arrived.append(message)
                case Deletions():
                    folder.take_deletions(item)
                case ReadStateChanges():
                    folder.take_read_states(item)
                case State():
                    folder.state = item
                case FailedItem():
                    raise RemoteProtocolError("a message that the server could not read")
                case _:
                    pass  # progress, and partial changes, which are not asked for

        await self._download(ics.CONTENTS, folder.folder_id, folder.state, ContentsReader().feed, take)
        return arrived

    async def hierarchy(self, top_folder_id: int, state: State) -> tuple[list[HierarchyItem], State]:
        """The folders below one that are new or changed or gone, and the state that knows of them."""
        items: list[HierarchyItem] = []
        reader = HierarchyReader()
        await self._download(ics.HIERARCHY, top_folder_id, state, reader.feed, items.append)
        *changes, last = items
        if not isinstance(last, State):
            raise RemoteProtocolError("a hierarchy that ends without its state")
        return changes, last

    async def collect(self, folder: LocalFolder, *imports: Callable[[RopBatch, int], None]) -> None:
        """Uploads changes of ``folder``: each of ``imports`` adds its ROPs on the collector at an index."""
        opened, collector = await self._open_collector(folder)
        async with self._store.lent(opened), self._store.lent(collector):
            batch = RopBatch()
            index = batch.use(collector)
            for add in imports:
                add(batch, index)
            await self._store.run(batch)
            await self._take_state(folder, collector)

    async def import_message(
        self,
        folder: LocalFolder,
        values: tuple[PropertyValue, ...],
        fill: Callable[[ServerObjectHandle], Awaitable[None]],
    ) -> None:
        """Uploads a message that was made here: ``values`` name it, ``fill`` writes and saves it."""
        opened, collector = await self._open_collector(folder)
        async with self._store.lent(opened), self._store.lent(collector):
            batch = RopBatch()
            index, message = batch.use(collector), batch.reserve()
            batch.add(upload.RopSynchronizationImportMessageChangeRequest(0, index, message, 0, values))
            handle = (await self._store.run(batch)).handles[message]
            async with self._store.lent(handle):
                await fill(handle)
            await self._take_state(folder, collector)

    async def _open_collector(self, folder: LocalFolder) -> tuple[ServerObjectHandle, ServerObjectHandle]:
        batch = RopBatch()
        logon, opened, collector = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, opened, folder.folder_id))
        batch.add(upload.RopSynchronizationOpenCollectorRequest(0, opened, collector, True))
        _upload_state(batch, collector, folder.state)
        handles = (await self._store.run(batch)).handles
        return handles[opened], handles[collector]

    async def _take_state(self, folder: LocalFolder, collector: ServerObjectHandle) -> None:
        batch = RopBatch()
        index, stream = batch.use(collector), batch.reserve()
        batch.add(ics.RopSynchronizationGetTransferStateRequest(0, index, stream))
        batch.add(fx.RopFastTransferSourceGetBufferRequest(0, stream, _BUFFER))
        batch.release(stream)
        results = await self._store.run(batch)
        buffer = results.one(fx.RopFastTransferSourceGetBufferResponse)
        if buffer.transfer_status != fx.TRANSFER_DONE:
            raise RemoteProtocolError("a state that does not fit into one buffer")
        folder.state = State.decode(buffer.data)

    async def _download(
        self,
        kind: int,
        folder_id: int,
        state: State,
        feed: Callable[[bytes], Sequence[ItemT]],
        take: Callable[[ItemT], None],
    ) -> None:
        batch = RopBatch()
        logon, opened, source = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, opened, folder_id))
        contents = kind == ics.CONTENTS
        batch.add(
            ics.RopSynchronizationConfigureRequest(
                0,
                opened,
                source,
                kind,
                _SEND_OPTIONS,
                _CONTENTS_FLAGS if contents else _HIERARCHY_FLAGS,
                synchronization_extra_flags=_CONTENTS_EXTRAS if contents else ics.EXTRA_EID,
            )
        )
        _upload_state(batch, source, state)
        results = await self._store.run(batch)
        source_handle, opened_handle = results.handles[source], results.handles[opened]
        async with self._store.lent(opened_handle), self._store.lent(source_handle):
            await self._fetch(source_handle, feed, take)

    async def _fetch(
        self,
        source: ServerObjectHandle,
        feed: Callable[[bytes], Sequence[ItemT]],
        take: Callable[[ItemT], None],
    ) -> None:
        while True:
            batch = RopBatch()
            index = batch.use(source)
            batch.add(
                fx.RopFastTransferSourceGetBufferRequest(0, index, fx.MAXIMUM_BUFFER_SIZE_FOLLOWS, _BUFFER)
                if self._chained
                else fx.RopFastTransferSourceGetBufferRequest(0, index, _BUFFER)
            )
            results = await self._store.run(batch, chain=self._chained)
            for buffer in results.all_of(fx.RopFastTransferSourceGetBufferResponse):
                for item in feed(buffer.data):
                    take(item)
                if buffer.transfer_status == fx.TRANSFER_DONE:
                    return
                if buffer.transfer_status != fx.TRANSFER_PARTIAL:
                    raise MapiError("RopFastTransferSourceGetBuffer", buffer.transfer_status)


def _upload_state(batch: RopBatch, index: int, state: State) -> None:
    for tag, data in state.values():
        batch.add(ics.RopSynchronizationUploadStateStreamBeginRequest(0, index, tag, len(data)))
        if data:
            batch.add(ics.RopSynchronizationUploadStateStreamContinueRequest(0, index, data))
        batch.add(ics.RopSynchronizationUploadStateStreamEndRequest(0, index))
