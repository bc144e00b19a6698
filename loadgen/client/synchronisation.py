"""Incremental change synchronisation as a cached Outlook does it ([MS-OXCFXICS] 3.3)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from loadgen.client.local_folder import LocalFolder
from loadgen.client.store_session import StoreSession
from loadgen.errors import MapiError, RemoteProtocolError
from loadgen.protocol.emsmdb_session import RopBatch, RopResults, ServerObjectHandle
from loadgen.wire.fasttransfer.changes import Deletions, FailedItem, MessageChange, ReadStateChanges
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsItem, ContentsReader, HierarchyItem, HierarchyReader
from loadgen.wire.properties import (
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagLocalCommitTimeMax,
    PidTagMessageFlags,
    PropertyTag,
)
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop.oxcfold import RopOpenFolderRequest
from loadgen.wire.rop.oxcfxics_upload import RopSynchronizationOpenCollectorRequest
from loadgen.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest

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
_FOLDER_PROPERTIES: Final = (PidTagContentCount, PidTagContentUnreadCount, PidTagLocalCommitTimeMax)
_HEADERS_ONLY: Final = (PidTagMessageFlags,)
_BUFFER: Final = 0x7BC0
"""What one RopFastTransferSourceGetBuffer may bring: a payload of 32 KB less what stands around it."""
_PATIENCE: Final = 10
"""How many times in a row a server may ask to come back later."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Reader(Protocol[T_co]):
    def feed(self, data: bytes) -> Sequence[T_co]:
        """The items that are complete now."""

    def finish(self) -> None:
        """Raises an error if the stream is not complete."""


class Synchroniser:
    """Downloads and uploads over one session; all methods raise :class:`~loadgen.errors.PeerError`.

    ``chained`` lets one answer go on over several payloads, as Outlook 2007 does. What a method has taken in
    before an error is in the folder's state, and the next call goes on from there.
    """

    __slots__ = ("_chained", "_logon", "_sleep", "_store")

    def __init__(
        self,
        store: StoreSession,
        logon: ServerObjectHandle,
        *,
        chained: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._logon = logon
        self._chained = chained
        self._sleep = sleep

    async def contents(self, folder: LocalFolder) -> None:
        """Brings ``folder`` up to date."""

        def take(item: ContentsItem) -> None:
            if isinstance(item, MessageChange):
                folder.take_change(item)
            elif isinstance(item, State):
                folder.state = item
            else:
                _take_other(folder, item)

        await self._contents(folder, take, _CONTENTS_FLAGS)

    async def confirm(self, folder: LocalFolder) -> None:
        """Asks for the versions of unconfirmed messages, not for all that they say; then as ``contents``."""
        others = False

        def take(item: ContentsItem) -> None:
            nonlocal others
            if isinstance(item, MessageChange):
                others = not folder.confirm(item.header) or others
            elif not isinstance(item, State):
                _take_other(folder, item)
            elif not others:
                folder.state = item

        await self._contents(
            folder, take, _CONTENTS_FLAGS | ics.SYNC_ONLY_SPECIFIED_PROPERTIES, _HEADERS_ONLY
        )
        if others:
            await self.contents(folder)

    async def hierarchy(self, top_folder_id: int, state: State) -> tuple[list[HierarchyItem], State]:
        """The folders below one that are new or changed or gone, and the state that knows of them."""
        batch = RopBatch()
        logon, top = batch.use(self._logon), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, top, top_folder_id))
        source = batch.reserve()
        batch.add(
            ics.RopSynchronizationConfigureRequest(
                0,
                top,
                source,
                ics.HIERARCHY,
                _SEND_OPTIONS,
                _HIERARCHY_FLAGS,
                synchronization_extra_flags=ics.EXTRA_EID,
            )
        )
        _upload_state(batch, source, state)
        handles = (await self._store.run(batch)).handles
        items: list[HierarchyItem] = []
        async with self._store.lent(handles[top]) as held:
            held.append(handles[source])
            await self._fetch(handles[source], HierarchyReader(), items.append)
        *changes, last = items
        if not isinstance(last, State) or any(isinstance(item, FailedItem) for item in changes):
            raise RemoteProtocolError("a hierarchy with a folder that the server could not read")
        return changes, last

    @asynccontextmanager
    async def collector(self, folder: LocalFolder) -> AsyncIterator[ServerObjectHandle]:
        """Takes changes made to ``folder`` here, whose state knows of them in the end."""
        batch = RopBatch()
        logon, opened, collector = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, opened, folder.folder_id))
        batch.add(RopSynchronizationOpenCollectorRequest(0, opened, collector, True))
        _upload_state(batch, collector, folder.state)
        handles = (await self._store.run(batch)).handles
        async with self._store.lent(handles[opened]) as held:
            held.append(handles[collector])
            yield handles[collector]
            folder.state = await self._state_of(handles[collector])

    async def _state_of(self, context: ServerObjectHandle) -> State:
        batch = RopBatch()
        index, stream = batch.use(context), batch.reserve()
        batch.add(ics.RopSynchronizationGetTransferStateRequest(0, index, stream))
        batch.add(self._get_buffer(stream))
        batch.release(stream)
        results = await self._store.run(batch)
        buffer = results.one(fx.RopFastTransferSourceGetBufferResponse)
        if buffer.transfer_status != fx.TRANSFER_DONE:
            raise RemoteProtocolError("a state that does not fit into one buffer")
        return State.decode(buffer.data)

    async def _contents(
        self,
        folder: LocalFolder,
        take: Callable[[ContentsItem], None],
        flags: int,
        tags: tuple[PropertyTag, ...] = (),
    ) -> None:
        async with self._store.lent(await self._open(folder.folder_id)) as held:
            batch = RopBatch()
            opened, source = batch.use(held[0]), batch.reserve()
            batch.add(
                ics.RopSynchronizationConfigureRequest(
                    0,
                    opened,
                    source,
                    ics.CONTENTS,
                    _SEND_OPTIONS,
                    flags,
                    synchronization_extra_flags=_CONTENTS_EXTRAS,
                    property_tags=tags,
                )
            )
            _upload_state(batch, source, folder.state)
            handle = (await self._store.run(batch)).handles[source]
            held.append(handle)
            await self._fetch(handle, ContentsReader(), take)

    async def _open(self, folder_id: int) -> ServerObjectHandle:
        batch = RopBatch()
        logon, opened = batch.use(self._logon), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, opened, folder_id))
        batch.add(RopGetPropertiesSpecificRequest(0, opened, 0, 1, _FOLDER_PROPERTIES))
        return (await self._store.run(batch)).handles[opened]

    async def _fetch(self, source: ServerObjectHandle, reader: _Reader[T], take: Callable[[T], None]) -> None:
        status, refusals = fx.TRANSFER_PARTIAL, 0
        while status == fx.TRANSFER_PARTIAL:
            batch = RopBatch()
            batch.add(self._get_buffer(batch.use(source)))
            results = await self._store.run(batch, chain=self._chained, tolerated=(fx.SERVER_BUSY,))
            *buffers, last = _buffers(results)
            for buffer in (*buffers, last):
                for item in reader.feed(buffer.data):
                    take(item)
            if last.return_value == fx.SERVER_BUSY:
                refusals = 1 if buffers else refusals + 1
                if refusals > _PATIENCE:
                    raise MapiError("RopFastTransferSourceGetBuffer", fx.SERVER_BUSY)
                await self._sleep(last.backoff_time_ms / 1000)
                continue
            refusals, status = 0, last.transfer_status
            if status == fx.TRANSFER_PARTIAL and not last.data:
                raise RemoteProtocolError("a transfer that does not go on")
        if status != fx.TRANSFER_DONE:
            raise RemoteProtocolError(f"a transfer with status {status}")
        reader.finish()

    def _get_buffer(self, index: int) -> fx.RopFastTransferSourceGetBufferRequest:
        return fx.RopFastTransferSourceGetBufferRequest(0, index, fx.MAXIMUM_BUFFER_SIZE_FOLLOWS, _BUFFER)


def _take_other(folder: LocalFolder, item: ContentsItem) -> None:
    """What is neither a change nor the state; progress and partial changes are not asked for."""
    if isinstance(item, Deletions):
        folder.take_deletions(item)
    elif isinstance(item, ReadStateChanges):
        folder.take_read_states(item)
    else:
        raise RemoteProtocolError(f"{type(item).__name__} in a synchronisation")


def _buffers(results: RopResults) -> list[fx.RopFastTransferSourceGetBufferResponse]:
    buffers = results.all_of(fx.RopFastTransferSourceGetBufferResponse)
    if not buffers:
        raise RemoteProtocolError("no answer to RopFastTransferSourceGetBuffer")
    return buffers


def _upload_state(batch: RopBatch, index: int, state: State) -> None:
    for tag, data in state.values():
        batch.add(ics.RopSynchronizationUploadStateStreamBeginRequest(0, index, tag, len(data)))
        if data:
            batch.add(ics.RopSynchronizationUploadStateStreamContinueRequest(0, index, data))
        batch.add(ics.RopSynchronizationUploadStateStreamEndRequest(0, index))
