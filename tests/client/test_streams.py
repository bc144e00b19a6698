"""Reading streams as old and new Outlooks do it, from a store that gives less or more than it announced."""

import pytest

from loadgen.client.streams import StreamReader
from loadgen.errors import MapiError, RemoteProtocolError, WrongAnswer
from loadgen.protocol.emsmdb_session import ROOM_CHAINED, ROOM_SINGLE, RopBatch
from loadgen.wire import emsmdb
from loadgen.wire.extended_buffer import LARGEST_PAYLOAD, write_payload
from loadgen.wire.properties import PidTagAttachDataBinary, PidTagHtml
from loadgen.wire.rop.buffer import write_responses
from loadgen.wire.rop.oxcmsg import RopOpenAttachmentRequest
from loadgen.wire.rop.oxcprpt import (
    MAXIMUM_BYTE_COUNT_FOLLOWS,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopReadStreamResponse,
)

from .scripted_store import Item, ScriptedStore, open_session

pytestmark = pytest.mark.usefixtures("no_complaints")

KB = 1024
SIZES = [0, 1, 1_000, 28 * KB, 28 * KB + 1, 31 * KB, 50_000, 64 * KB, 64 * KB + 1, 300_000]
MESSAGE, ATTACHMENT = 0x100, 0x101


def data_of(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


class Reading:
    """A store with one open message of ``size`` bytes, and a reader of one kind."""

    def __init__(self, *, chained: bool, size: int) -> None:
        self.chained = chained
        self.data = data_of(size)
        self.store = ScriptedStore()
        message = Item({PidTagHtml: self.data})
        message.items.append(Item({PidTagAttachDataBinary: self.data}))
        self.store.objects[MESSAGE] = message

    async def read(self) -> bytes:
        session = await open_session(self.store)
        return await StreamReader(chained=self.chained).read(session, MESSAGE, PidTagHtml)

    async def read_attachment(self) -> bytes:
        session = await open_session(self.store)
        batch = RopBatch()
        parent, attachment = batch.use(MESSAGE), batch.reserve()
        batch.add(RopOpenAttachmentRequest(0, parent, attachment, 0, 0))
        reader = StreamReader(chained=self.chained)
        return await reader.read_from(session, batch, attachment, PidTagAttachDataBinary)

    @property
    def reads(self) -> list[RopReadStreamRequest]:
        rops = [rop for call in self.store.calls for rop in call.rops]
        return [rop for rop in rops if isinstance(rop, RopReadStreamRequest)]

    def answer(self, *parts: bytes) -> None:
        """Each RopReadStream gets the next of these, then nothing more."""
        rest = iter(parts)
        self.store.rops[RopReadStreamRequest] = lambda rop, _: RopReadStreamResponse(
            rop.input_handle_index, next(rest, b"")
        )


@pytest.mark.parametrize("size", SIZES)
async def test_chained_reads(size):
    reading = Reading(chained=True, size=size)
    assert await reading.read() == reading.data
    for read in reading.reads:
        assert (read.byte_count, read.maximum_byte_count) == (MAXIMUM_BYTE_COUNT_FOLLOWS, 64 * KB)
    assert len(reading.reads) == max(1, -(-size // (64 * KB)))
    *reads, released = reading.store.calls
    assert reads[0].names == ["OpenStream", "ReadStream"]
    assert all(call.names == ["ReadStream"] for call in reads[1:])
    assert {(call.flags & emsmdb.CHAIN, call.out_max) for call in reads} == {(emsmdb.CHAIN, ROOM_CHAINED)}
    assert (released.names, released.flags & emsmdb.CHAIN) == (["Release"], 0)
    assert list(reading.store.objects) == [MESSAGE]


@pytest.mark.parametrize("size", SIZES)
async def test_fixed_chunks(size):
    reading = Reading(chained=False, size=size)
    assert await reading.read() == reading.data
    assert {(read.byte_count, read.maximum_byte_count) for read in reading.reads} == {(28 * KB, 0)}
    assert len(reading.reads) == max(1, -(-size // (28 * KB)))
    assert reading.store.calls[0].names == ["OpenStream", "ReadStream"]
    assert {(call.flags & emsmdb.CHAIN, call.out_max) for call in reading.store.calls} == {(0, ROOM_SINGLE)}
    assert list(reading.store.objects) == [MESSAGE]


@pytest.mark.parametrize("chained", [True, False])
async def test_an_object_that_is_opened_on_the_way_is_given_back(chained):
    reading = Reading(chained=chained, size=100_000)
    assert await reading.read_attachment() == reading.data
    assert reading.store.calls[0].names == ["OpenAttachment", "OpenStream", "ReadStream"]
    assert reading.store.calls[-1].names == ["Release", "Release"]
    assert list(reading.store.objects) == [MESSAGE]


async def test_requests_of_an_old_outlook_fit_their_answers():
    reading = Reading(chained=False, size=300_000)
    await reading.read()
    assert all(read.byte_count + 0x100 < LARGEST_PAYLOAD for read in reading.reads)


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([b""], "a stream of 1000 bytes ended after 0"),
        ([b"x" * 999], "a stream of 1000 bytes ended after 999"),
        ([b"x" * 500, b"x" * 499, b""], "a stream of 1000 bytes ended after 999"),
        ([b"x" * 1001], "a stream of 1000 bytes went on to 1001"),
        ([b"x" * 999, b"x" * 3], "a stream of 1000 bytes went on to 1002"),
    ],
)
async def test_streams_that_are_not_as_long_as_announced(chained, parts, problem):
    reading = Reading(chained=chained, size=1000)
    reading.answer(*parts)
    with pytest.raises(WrongAnswer, match=problem):
        await reading.read()


async def test_short_answers_are_put_together():
    reading = Reading(chained=False, size=1000)
    reading.answer(*(reading.data[at : at + 300] for at in range(0, 1000, 300)))
    assert await reading.read() == reading.data


@pytest.mark.parametrize("chained", [True, False])
async def test_refusals(chained):
    reading = Reading(chained=chained, size=1000)
    reading.store.refuse(RopReadStreamRequest, 0x80030005)
    with pytest.raises(MapiError, match="ROP 0x2C returned 0x80030005"):
        await reading.read()
    reading.store.refuse(RopOpenStreamRequest, 0x8004010F)
    with pytest.raises(MapiError, match="ROP 0x2B returned 0x8004010F"):
        await reading.read()


async def test_a_read_that_is_not_answered():
    """A server that stops early leaves out the last responses; then the stream is asked on, and ends."""
    reading = Reading(chained=False, size=1000)
    reading.store.rops[RopReadStreamRequest] = lambda rop, _: None
    with pytest.raises(WrongAnswer, match="a stream of 1000 bytes ended after 0"):
        await reading.read()
    reading.store.change(emsmdb.EcDoRpcExt2Request, rgb_out=write_payload(write_responses([], [1, 2]), 0))
    with pytest.raises(RemoteProtocolError, match="0 answers of kind RopOpenStreamResponse"):
        await reading.read()
