"""The store session against stubs printed in the reference, and in every state."""

import msgspec
import pytest

from loadgen.errors import LocalProtocolError, MapiError, RemoteProtocolError
from loadgen.protocol.emsmdb_session import UNSET, EmsmdbSession, RopBatch, ServerObjectHandle, Transfer
from loadgen.wire import emsmdb
from loadgen.wire.auxiliary import ExOrgInfo, PerfRequestId, read_blocks
from loadgen.wire.emsmdb import EcDoConnectExResponse, EcDoRpcExt2Response
from loadgen.wire.extended_buffer import read_payloads, write_payload
from loadgen.wire.properties import PidTagMid, PropertyRow
from loadgen.wire.rop.base import RopErrorResponse
from loadgen.wire.rop.buffer import read_requests, write_responses
from loadgen.wire.rop.oxcfold import RopGetContentsTableRequest, RopGetContentsTableResponse
from loadgen.wire.rop.oxcnotif import RopNotifyResponse, RopPendingResponse, TableEvent
from loadgen.wire.rop.oxcprpt import RopReadStreamRequest, RopReadStreamResponse
from loadgen.wire.rop.oxcrops import RopBackoffResponse, RopBufferTooSmallResponse
from loadgen.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)

DN = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user001"
OUTLOOK_2007 = (12, 6206, 1000)
PLAIN = Transfer(obfuscate=False, auxiliary=False)


@pytest.fixture
def connected(vector):
    session = EmsmdbSession(DN, OUTLOOK_2007)
    session.connect()
    session.take_connected(EcDoConnectExResponse.decode(vector("emsmdb/connect-ex-response.hex")))
    return session


def answer(session, *responses, handles=(), chained=(), **changes):
    """What a server sends back: a payload with all responses, and one for each chained response."""
    payloads = [write_responses(responses, handles), *(write_responses((more,), handles) for more in chained)]
    data = b"".join(
        write_payload(payload, 0, last=index == len(payloads) - 1) for index, payload in enumerate(payloads)
    )
    handle = session.execute(RopBatch()).context_handle if session.connected else bytes(20)
    return msgspec.structs.replace(EcDoRpcExt2Response(handle, data), **changes)


def test_connecting_takes_what_the_server_says(connected, vector):
    response = EcDoConnectExResponse.decode(vector("emsmdb/connect-ex-response.hex"))
    assert connected.connected
    assert (connected.poll_interval_s, connected.retries, connected.retry_delay_s) == (60.0, 6, 10.0)
    assert connected.session_index == response.session_index
    assert connected.disconnect().encode() == vector("emsmdb/disconnect-request.hex")


def test_the_connect_call_is_that_of_the_reference(vector):
    reference = emsmdb.EcDoConnectExRequest.decode(vector("emsmdb/connect-ex-request.hex"))
    ours = EmsmdbSession(DN, OUTLOOK_2007).connect(ExOrgInfo(1))
    assert msgspec.structs.replace(ours, con_mod=reference.con_mod, aux_in=reference.aux_in) == reference
    assert read_blocks(read_payloads(ours.aux_in)[0]) == (ExOrgInfo(1),)
    assert EmsmdbSession(DN, OUTLOOK_2007).connect().con_mod == ours.con_mod != 0


def test_a_failed_connect_leaves_no_session(vector):
    good = EcDoConnectExResponse.decode(vector("emsmdb/connect-ex-response.hex"))
    session = EmsmdbSession(DN, OUTLOOK_2007)
    with pytest.raises(MapiError, match="EcDoConnectEx returned 0x000003EB"):
        session.take_connected(msgspec.structs.replace(good, return_value=0x3EB))
    with pytest.raises(RemoteProtocolError):
        session.take_connected(msgspec.structs.replace(good, context_handle=bytes(20)))
    assert not session.connected


@pytest.mark.parametrize(
    "misuse",
    [
        EmsmdbSession.disconnect,
        EmsmdbSession.connect_async,
        EmsmdbSession.wait,
        lambda session: session.execute(RopBatch()),
    ],
)
def test_calls_before_connecting_are_our_bug(misuse):
    with pytest.raises(LocalProtocolError):
        misuse(EmsmdbSession(DN, OUTLOOK_2007))


def test_connecting_twice_is_our_bug(connected):
    with pytest.raises(LocalProtocolError):
        connected.connect()


def test_waiting_for_news(connected, vector):
    assert connected.connect_async().encode() == vector("emsmdb/async-connect-request.hex")
    connected.take_async_connected(
        emsmdb.EcDoAsyncConnectExResponse.decode(vector("emsmdb/async-connect-response.hex"))
    )
    assert connected.wait().encode() == vector("emsmdb/async-wait-request.hex")
    news = emsmdb.EcDoAsyncWaitExResponse.decode(vector("emsmdb/async-wait-response.hex"))
    assert connected.take_waited(news)
    assert not connected.take_waited(emsmdb.EcDoAsyncWaitExResponse(flags=0))
    with pytest.raises(MapiError, match="0x000007EE"):
        connected.take_waited(emsmdb.EcDoAsyncWaitExResponse(return_value=0x7EE))
    with pytest.raises(RemoteProtocolError, match="without an asynchronous context"):
        connected.take_async_connected(emsmdb.EcDoAsyncConnectExResponse(emsmdb.NO_CONTEXT))


def test_after_disconnecting_there_is_no_session(connected, vector):
    connected.disconnect()
    connected.take_disconnected(
        emsmdb.EcDoDisconnectResponse.decode(vector("emsmdb/disconnect-response.hex"))
    )
    assert not connected.connected
    with pytest.raises(MapiError):
        connected.take_disconnected(emsmdb.EcDoDisconnectResponse(return_value=1))


@pytest.mark.parametrize(
    ("transfer", "chain", "flags"),
    [
        (Transfer(), False, emsmdb.NO_COMPRESSION),
        (Transfer(), True, emsmdb.NO_COMPRESSION | emsmdb.CHAIN),
        (Transfer(compress_sent=True, compress_received=True), False, 0),
        (PLAIN, False, emsmdb.NO_COMPRESSION | emsmdb.NO_XOR_MAGIC),
    ],
)
def test_a_batch_travels_as_the_client_type_says(vector, transfer, chain, flags):
    session = EmsmdbSession(DN, OUTLOOK_2007, transfer)
    session.take_connected(EcDoConnectExResponse.decode(vector("emsmdb/connect-ex-response.hex")))
    batch = RopBatch()
    batch.release(batch.use(ServerObjectHandle(7)))
    request = session.execute(batch, chain=chain)
    assert request.flags == flags
    assert request.out_max == (0x18007 if chain else 0x8007)
    assert read_requests(read_payloads(request.rgb_in)[0]) == (batch.requests, [7])
    if transfer.auxiliary:
        assert read_blocks(read_payloads(request.aux_in)[0]) == (PerfRequestId(session.session_index, 1),)
    else:
        assert request.aux_in == b""


def test_columns_of_a_table_are_remembered_until_it_is_released(connected):
    batch = RopBatch()
    folder, table = batch.use(ServerObjectHandle(5)), batch.reserve()
    batch.add(RopGetContentsTableRequest(0, folder, table))
    batch.add(RopSetColumnsRequest(0, table, 0, (PidTagMid,)))
    assert batch.handles == [5, UNSET]
    response = answer(connected, RopGetContentsTableResponse(1, 1), RopSetColumnsResponse(1), handles=(5, 6))
    results = connected.take_executed(batch, response)
    results.require_success()
    assert results.handles[table] == 6
    assert results.one(RopGetContentsTableResponse).row_count == 1
    opened = ServerObjectHandle(6)
    assert connected.columns_of(opened) == (PidTagMid,)

    query = RopBatch()
    query.add(RopQueryRowsRequest(0, query.use(opened), 0, True, 10))
    row = PropertyRow.of((PidTagMid,), (42,))
    results = connected.take_executed(
        query, answer(connected, RopQueryRowsResponse(0, 2, (row,)), handles=(6,))
    )
    assert results.one(RopQueryRowsResponse).rows == (row,)
    connected.release(opened)
    assert connected.columns_of(opened) == ()


def test_a_handle_table_cut_short_sets_no_columns(connected):
    batch = RopBatch()
    batch.use(ServerObjectHandle(1))
    table = batch.reserve()
    batch.add(RopSetColumnsRequest(0, table, 0, (PidTagMid,)))
    results = connected.take_executed(batch, answer(connected, RopSetColumnsResponse(1), handles=(1,)))
    assert results.handles == (1,)
    assert connected.columns_of(UNSET) == ()


def test_chained_answers_follow_the_regular_ones(connected):
    batch = RopBatch()
    batch.add(RopReadStreamRequest(0, batch.use(ServerObjectHandle(9)), 0xBABE, 100))
    response = answer(
        connected,
        RopReadStreamResponse(0, b"one"),
        handles=(9,),
        chained=(RopReadStreamResponse(0, b"two"), RopReadStreamResponse(0, b"")),
    )
    results = connected.take_executed(batch, response)
    assert [part.data for part in results.all_of(RopReadStreamResponse)] == [b"one", b"two", b""]
    with pytest.raises(RemoteProtocolError, match="3 answers"):
        results.one(RopReadStreamResponse)


def test_notifications_are_told_apart_and_failures_are_named(connected):
    batch = RopBatch()
    batch.add(RopReadStreamRequest(0, batch.use(ServerObjectHandle(9)), 100))
    notification = RopNotifyResponse(3, 0, TableEvent(1, of_messages=True))
    failed = RopReadStreamResponse(0, b"", return_value=0x8004010F)
    results = connected.take_executed(
        batch, answer(connected, failed, notification, RopPendingResponse(1), handles=(9,))
    )
    assert results.notifications == (notification,)
    with pytest.raises(MapiError, match="ROP 0x2C returned 0x8004010F"):
        results.require_success()


def test_errors_without_fields_are_responses_too(connected):
    batch = RopBatch()
    batch.add(RopGetContentsTableRequest(0, batch.use(ServerObjectHandle(5)), batch.reserve()))
    results = connected.take_executed(
        batch, answer(connected, RopErrorResponse(5, 1, 0x4B9), handles=(5, UNSET))
    )
    assert results.responses == (RopErrorResponse(5, 1, 0x4B9),)
    assert results.all_of(RopGetContentsTableResponse) == []


@pytest.mark.parametrize(
    ("last_word", "code"),
    [(RopBufferTooSmallResponse(0x9000, b""), 0x47D), (RopBackoffResponse(0, 500), 0x480)],
)
def test_a_server_that_cannot_go_on(connected, last_word, code):
    with pytest.raises(MapiError) as caught:
        connected.take_executed(RopBatch(), answer(connected, last_word))
    assert caught.value.code == code


def test_a_session_that_the_server_dropped_is_gone(connected):
    dropped = answer(connected, context_handle=emsmdb.NO_CONTEXT, return_value=0x80004005)
    with pytest.raises(MapiError):
        connected.take_executed(RopBatch(), dropped)
    assert not connected.connected
