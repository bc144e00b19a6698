"""Reading a property as a stream ([MS-OXCPRPT] 3.1.4.3), as each generation of Outlook does it."""

from loadgen.client.store_session import StoreSession
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, RopResults, ServerObjectHandle
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.oxcprpt import (
    MAXIMUM_BYTE_COUNT_FOLLOWS,
    STREAM_READ_ONLY,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
)

_CHUNK = 28 * 1024
_CHAINED_MAXIMUM = 64 * 1024


class StreamReader:
    """``chained`` lets one answer go on over several payloads, as Outlook 2007 does from 12.0.4207 on."""

    __slots__ = ("_chained",)

    def __init__(self, *, chained: bool) -> None:
        self._chained = chained

    async def read(self, store: StoreSession, parent: ServerObjectHandle, tag: PropertyTag) -> bytes:
        """All of property ``tag`` of an open object; raises :class:`~loadgen.errors.PeerError`."""
        batch = RopBatch()
        return await self.read_from(store, batch, batch.use(parent), tag)

    async def read_from(self, store: StoreSession, batch: RopBatch, parent: int, tag: PropertyTag) -> bytes:
        """All of property ``tag`` of the object at index ``parent`` of ``batch``, which may open it first.

        Gives the stream back, and the parent if the batch opened it.
        """
        stream = batch.reserve()
        opened_here = bool(batch.requests)
        batch.add(RopOpenStreamRequest(batch.logon_id, parent, stream, tag, STREAM_READ_ONLY))
        batch.add(self._request(batch, stream))
        results = await store.run(batch, chain=self._chained)
        size = results.one(RopOpenStreamResponse).stream_size
        handles = results.handles
        data = bytearray(_data_of(results))
        while len(data) < size:
            more = RopBatch()
            more.add(self._request(more, more.use(handles[stream])))
            chunk = _data_of(await store.run(more, chain=self._chained))
            if not chunk:
                raise WrongAnswer(f"a stream of {size} bytes ended after {len(data)}")
            data += chunk
        if len(data) > size:
            raise WrongAnswer(f"a stream of {size} bytes went on to {len(data)}")
        await store.release(handles[stream], *((handles[parent],) if opened_here else ()))
        return bytes(data)

    def _request(self, batch: RopBatch, stream: int) -> RopReadStreamRequest:
        if self._chained:
            return RopReadStreamRequest(batch.logon_id, stream, MAXIMUM_BYTE_COUNT_FOLLOWS, _CHAINED_MAXIMUM)
        return RopReadStreamRequest(batch.logon_id, stream, _CHUNK)


def _data_of(results: RopResults) -> bytes:
    return b"".join(response.data for response in results.all_of(RopReadStreamResponse))
