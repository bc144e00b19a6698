"""Sessions with a store: ROPs in batches, and the one call that waits for news, in every order of events."""

import asyncio

import pytest

from loadgen.errors import (
    ConnectionLost,
    MapiError,
    RemoteProtocolError,
    RpcFault,
    TimedOut,
    WireError,
    WrongAnswer,
)
from loadgen.protocol.emsmdb_session import RopBatch
from loadgen.wire import emsmdb
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.rop.buffer import write_responses
from loadgen.wire.rop.oxcfold import RopOpenFolderRequest
from loadgen.wire.rop.oxcnotif import NEW_MAIL, ObjectEvent, RopNotifyResponse
from loadgen.wire.rop.oxcstor import RopLogonRequest

from .scripted_store import CONTEXT, DN_PREFIX, INBOX, ScriptedStore, open_session, settle

pytestmark = pytest.mark.usefixtures("no_complaints")

NEWS = RopNotifyResponse(0x13, 0, ObjectEvent(NEW_MAIL, INBOX, 0x21, message_class="IPM.Note"))
PENDING = emsmdb.EcDoAsyncWaitExResponse(emsmdb.NOTIFICATION_PENDING)
RAN_OUT = emsmdb.EcDoAsyncWaitExResponse()
WAIT = emsmdb.EcDoAsyncWaitExRequest


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


def logon_batch() -> RopBatch:
    batch = RopBatch()
    batch.add(RopLogonRequest(0, batch.reserve(), 1, 0))
    return batch


def waits(store: ScriptedStore) -> int:
    """How often the client has asked to wait."""
    return sum(isinstance(request, WAIT) for request in store.connection.requests)


async def test_connecting(store):
    session = await open_session(store)
    assert session.poll_interval_s == 45.0
    assert [type(request) for request in store.connection.requests] == [
        emsmdb.EcDoConnectExRequest,
        emsmdb.EcDoAsyncConnectExRequest,
        WAIT,
    ]
    assert store.connection.timeouts == [None, None, 900.0]
    assert store.is_waited_for


@pytest.mark.parametrize(("told", "prefix"), [(DN_PREFIX, DN_PREFIX), ("", ""), (None, "")])
async def test_the_prefix_of_names(store, told, prefix):
    store.change(emsmdb.EcDoConnectExRequest, dn_prefix=told)
    await open_session(store)
    assert store.prefix_taken == prefix


@pytest.mark.parametrize(
    ("request_type", "call"),
    [
        (emsmdb.EcDoConnectExRequest, "EcDoConnectEx"),
        (emsmdb.EcDoAsyncConnectExRequest, "EcDoAsyncConnectEx"),
        (emsmdb.EcDoRpcExt2Request, "EcDoRpcExt2"),
        (emsmdb.EcDoDisconnectRequest, "EcDoDisconnect"),
    ],
)
async def test_refusals_carry_the_name_of_the_call(store, request_type, call):
    async def use_session() -> None:
        session = await open_session(store)
        await session.run(logon_batch())
        await session.disconnect()

    store.change(request_type, return_value=0x478)
    with pytest.raises(MapiError) as refusal:
        await use_session()
    assert (refusal.value.call, refusal.value.code) == (call, 0x478)
    assert store.heard == []


async def test_rops_that_fail_are_named(store):
    session = await open_session(store)
    store.refuse(RopLogonRequest, 0x80040111)
    with pytest.raises(MapiError, match="ROP 0xFE returned 0x80040111"):
        await session.run(logon_batch())
    assert store.heard == []


async def test_objects_are_opened_and_given_back(store):
    session = await open_session(store)
    (logon,) = (await session.run(logon_batch())).handles
    batch = RopBatch()
    at, first, second = batch.use(logon), batch.reserve(), batch.reserve()
    for folder in (first, second):
        batch.add(RopOpenFolderRequest(0, at, folder, INBOX))
    handles = (await session.run(batch)).handles
    assert store.objects == {logon: store.root, handles[1]: store.inbox, handles[2]: store.inbox}
    await session.release(*handles[1:], logon)
    assert store.objects == {}
    assert store.calls[-1].names == ["Release"] * 3


async def test_a_handle_table_that_is_too_short(store):
    session = await open_session(store)
    rops = write_responses([store.rops[RopLogonRequest](logon_batch().requests[0], [0])], [])
    store.change(emsmdb.EcDoRpcExt2Request, rgb_out=write_payload(rops, 0))
    with pytest.raises(RemoteProtocolError, match="0 handles came back for 1"):
        await session.run(logon_batch())
    assert store.heard == []


class TestWaiting:
    """Until notifications are fetched the server would answer every wait at once."""

    async def test_news_is_fetched_before_the_next_wait(self, store):
        session = await open_session(store)
        store.tell(NEWS)
        await settle()
        assert store.heard == ["news"]
        assert waits(store) == 1
        assert await session.take_notifications() == [NEWS]
        assert store.calls[-1].names == []
        assert waits(store) == 2
        assert store.is_waited_for
        await settle()
        assert store.heard == ["news"]
        assert await session.take_notifications() == []
        assert waits(store) == 2

    async def test_a_wait_that_ran_out_is_issued_again(self, store):
        await open_session(store)
        for count in range(2, 5):
            store.end_wait(RAN_OUT)
            await settle()
            assert waits(store) == count
        assert store.heard == []

    async def test_news_that_comes_with_another_answer(self, store):
        """It is told of at once, kept until it is asked for, and the wait goes on."""
        session = await open_session(store)
        store.events.append(NEWS)
        (logon,) = (await session.run(logon_batch())).handles
        assert store.heard == ["news"]
        assert waits(store) == 1
        store.events.append(NEWS)
        await session.release(logon)
        assert session.take_kept() == [NEWS, NEWS]
        assert session.take_kept() == []
        assert await session.take_notifications() == []

    async def test_news_that_comes_when_asked_for_is_not_told_of(self, store):
        session = await open_session(store)
        store.events.append(NEWS)
        assert await session.take_notifications() == [NEWS]
        assert store.heard == []

    async def test_news_that_comes_with_a_failure_is_kept(self, store):
        session = await open_session(store)
        store.refuse(RopLogonRequest, 0x80040111)
        store.events.append(NEWS)
        with pytest.raises(MapiError):
            await session.run(logon_batch())
        assert store.heard == ["news"]
        assert await session.take_notifications() == [NEWS]

    async def test_any_answer_fetches_news_and_lets_it_wait_again(self, store):
        session = await open_session(store)
        store.tell(NEWS)
        await settle()
        await session.run(logon_batch())
        assert waits(store) == 2
        assert store.heard == ["news", "news"]
        assert await session.take_notifications() == [NEWS]

    async def test_news_before_the_first_wait(self, store):
        store.events.append(NEWS)
        session = await open_session(store)
        await settle()
        assert store.heard == ["news"]
        assert waits(store) == 1
        assert await session.take_notifications() == [NEWS]
        assert waits(store) == 2

    async def test_a_failed_fetch_leaves_the_next_one_to_wait_again(self, store):
        session = await open_session(store)
        store.tell(NEWS)
        await settle()
        answer = store.answers[emsmdb.EcDoRpcExt2Request]
        store.fail(emsmdb.EcDoRpcExt2Request)
        with pytest.raises(RpcFault):
            await session.take_notifications()
        assert waits(store) == 1
        store.answers[emsmdb.EcDoRpcExt2Request] = answer
        assert await session.take_notifications() == [NEWS]
        assert waits(store) == 2

    async def test_who_does_not_wait_is_told_of_what_comes_along(self, store):
        session = await open_session(store, waits=False)
        session.on_news = None
        store.events.append(NEWS)
        await session.run(logon_batch())
        assert await session.take_notifications() == [NEWS]
        assert waits(store) == 0

    @pytest.mark.parametrize("news", [PENDING, RAN_OUT])
    async def test_nobody_need_listen(self, store, news):
        session = await open_session(store)
        session.on_news = session.on_failure = None
        store.end_wait(news)
        await settle()
        store.end_wait(RpcFault(5))
        await settle()
        assert store.heard == []


class TestFailing:
    """A session that is of no use any more says so once, and its calls fail as on a lost connection."""

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            (TimedOut("no answer"), TimedOut),
            (RpcFault(0x1C010003), RpcFault),
            (emsmdb.EcDoAsyncWaitExResponse(return_value=0x7EE), MapiError),
            (b"\0\0\0", WireError),
        ],
    )
    async def test_a_wait_that_fails(self, store, outcome, kind):
        session = await open_session(store)
        store.end_wait(outcome)
        await settle()
        assert [type(heard) for heard in store.heard] == [kind]
        for call in (session.take_notifications(), session.run(logon_batch()), session.release()):
            with pytest.raises(ConnectionLost):
                await call
        assert len(store.heard) == 1
        assert waits(store) == 1

    async def test_a_lost_connection_is_not_reported_by_the_session(self, store):
        session = await open_session(store)
        store.connection.lose(ConnectionLost("gone"))
        await settle()
        assert store.heard == []
        with pytest.raises(ConnectionLost):
            await session.take_notifications()

    async def test_a_wait_that_is_given_up(self, store):
        await open_session(store)
        ((_, future),) = store.connection.silent
        future.cancel()
        await settle()
        assert store.heard == []

    async def test_a_connection_lost_while_the_wait_is_issued_again_after_it_ran_out(self, store):
        await open_session(store)
        store.end_wait(RAN_OUT)
        store.connection.lose(ConnectionLost("gone"))
        await settle()
        assert store.heard == []
        assert waits(store) == 1

    async def test_a_connection_lost_while_the_wait_is_issued_again_after_a_fetch(self, store):
        """The answer has come, and stands."""
        session = await open_session(store)
        store.tell(NEWS)
        await settle()

        async def answer_then_lose(request):
            response = request.decode_response(store(request).encode())
            store.connection.lose(ConnectionLost("gone"))
            return response

        store.connection.call = answer_then_lose
        assert await session.take_notifications() == [NEWS]
        await settle()
        assert store.heard == ["news"]

    @pytest.mark.parametrize("return_value", [0, 0x80040305])
    async def test_a_store_that_ends_the_session(self, store, return_value):
        session = await open_session(store)
        store.change(emsmdb.EcDoRpcExt2Request, context_handle=emsmdb.NO_CONTEXT, return_value=return_value)
        if return_value:
            with pytest.raises(MapiError, match="EcDoRpcExt2 returned 0x80040305"):
                await session.run(logon_batch())
        else:
            await session.run(logon_batch())
        (failure,) = store.heard
        assert isinstance(failure, RemoteProtocolError)
        for call in (session.run(logon_batch()), session.take_notifications()):
            with pytest.raises(ConnectionLost, match="the store ended the session"):
                await call
        assert len(store.heard) == 1


class TestLeaving:
    @pytest.mark.parametrize("outcome", [PENDING, RAN_OUT, TimedOut("too late"), RpcFault(5), None])
    async def test_what_becomes_of_the_wait_does_not_matter(self, store, outcome):
        session = await open_session(store)
        await session.disconnect()
        assert isinstance(store.connection.requests[-1], emsmdb.EcDoDisconnectRequest)
        assert store.connection.requests[-1].context_handle == CONTEXT
        store.end_wait(outcome)
        await settle()
        await store.connection.close()
        del session
        assert store.heard == []
        assert waits(store) == 1

    async def test_news_that_is_already_under_way(self, store):
        session = await open_session(store)
        store.end_wait(PENDING)
        await session.disconnect()
        await settle()
        assert store.heard == []


class TestLending:
    @pytest.mark.parametrize(
        ("error", "is_given_back"),
        [
            (None, True),
            (WrongAnswer("not what was sent"), True),
            (MapiError("ROP 0x32", 0x4DD), True),
            (TimedOut("no answer"), False),
            (ConnectionLost("gone"), False),
        ],
    )
    async def test_objects_are_given_back_if_anybody_takes_them(self, store, error, is_given_back):
        session = await open_session(store)
        (logon,) = (await session.run(logon_batch())).handles

        async def work() -> None:
            async with session.lent(logon):
                if error is not None:
                    raise error

        await asyncio.gather(work(), return_exceptions=True)
        assert (logon not in store.objects) == is_given_back

    async def test_nothing_is_given_back_to_a_session_that_has_ended(self, store):
        session = await open_session(store)
        (logon,) = (await session.run(logon_batch())).handles
        store.change(emsmdb.EcDoRpcExt2Request, context_handle=emsmdb.NO_CONTEXT, return_value=0x4BE)

        async def work() -> None:
            async with session.lent(logon):
                await session.run(RopBatch())

        with pytest.raises(MapiError, match="EcDoRpcExt2 returned 0x000004BE"):
            await work()
