"""Downloads and uploads of changes, against a mailbox that follows the rules, until somebody interferes."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.client.local_folder import LocalFolder, LocalMessage, digest_of
from loadgen.client.replica import Replica
from loadgen.client.store_session import StoreSession
from loadgen.client.synchronisation import Synchroniser
from loadgen.errors import ConnectionLost, MapiError, RemoteProtocolError, WireError
from loadgen.protocol.emsmdb_session import RopBatch
from loadgen.wire import emsmdb
from loadgen.wire.fasttransfer.changes import FailedItem, FolderChange, ProgressTotal
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.idset import IdSetByReplGuid
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as up
from loadgen.wire.rop import oxcstor

from .scripted_mailbox import INBOX, REPLICA, SENT_ITEMS, ScriptedMailbox, source_key, written
from .scripted_store import FOLDER_IDS, open_session

SUBTREE = FOLDER_IDS[oxcstor.IPM_SUBTREE]
STATES = [f"SynchronizationUploadStateStream{step}" for step in ("Begin", "Continue", "End")]
EMPTY_STATES = STATES[::2] * 4
RELEASE = ["Release", "Release"]


class Peer:
    """One Synchroniser at work on a mailbox, with a session of its own."""

    def __init__(self, mailbox: ScriptedMailbox) -> None:
        self.mailbox = mailbox
        self.slept: list[float] = []
        self.session: StoreSession
        self.synchroniser: Synchroniser

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def connect(self, *, chained: bool = True) -> Synchroniser:
        self.mailbox.forget_sessions()
        self.mailbox.answers[emsmdb.EcDoRpcExt2Request] = self.mailbox.execute
        self.session = await open_session(self.mailbox, waits=False)
        batch = RopBatch()
        batch.add(oxcstor.RopLogonRequest(0, batch.reserve(), oxcstor.PRIVATE, 0, essdn="/o=x"))
        (logon,) = (await self.session.run(batch)).handles
        self.synchroniser = Synchroniser(self.session, logon, chained=chained, sleep=self.sleep)
        self.mailbox.calls.clear()
        return self.synchroniser

    @property
    def names(self) -> list[list[str]]:
        return [call.names for call in self.mailbox.calls]

    @property
    def held(self) -> int:
        """Objects that are open, but for the logon."""
        return len(self.mailbox.objects) - 1


def local_folder(folder_id: int = INBOX) -> LocalFolder:
    return LocalFolder(folder_id, Replica(1, REPLICA))


def assert_true(copy: LocalFolder, mailbox: ScriptedMailbox, folder_id: int = INBOX) -> None:
    """What is in the copy is what is in the mailbox."""
    visible = {key: mail for key, mail in mailbox.mails[folder_id].items() if not mail.associated}
    assert {key: (m.digest, m.read) for key, m in copy.messages.items()} == {
        key: (digest_of(mail.content), mail.read) for key, mail in visible.items()
    }
    assert copy.state.idset_given == IdSetByReplGuid.of(map(source_key, mailbox.mails[folder_id]))


@pytest.fixture
def mailbox() -> ScriptedMailbox:
    return ScriptedMailbox()


@pytest.fixture
async def peer(mailbox) -> Peer:
    peer = Peer(mailbox)
    await peer.connect()
    return peer


class TestContents:
    async def test_first_then_only_what_is_new(self, mailbox, peer):
        first = [mailbox.put(written(f"1.2.{number}"), read=bool(number % 2)) for number in range(3)]
        hidden = mailbox.put(written("1.2.99"), associated=True)
        folder = local_folder()
        await peer.synchroniser.contents(folder)
        assert_true(folder, mailbox)
        assert list(folder.messages) == first
        assert mailbox.downloaded == [*first, hidden]
        await peer.synchroniser.contents(folder)
        assert mailbox.downloaded == [*first, hidden]
        second = mailbox.put(written("4.5.6"))
        mailbox.change(first[0], written("7.8.9"))
        mailbox.take_away(first[1])
        mailbox.take_away(hidden)
        mailbox.mark(first[2], read=True)
        await peer.synchroniser.contents(folder)
        assert mailbox.downloaded[4:] == [second, first[0]]
        assert_true(folder, mailbox)
        mailbox.mark(second, read=True)
        mailbox.mark(first[2], read=False)
        await peer.synchroniser.contents(folder)
        assert len(mailbox.downloaded) == 6
        assert_true(folder, mailbox)
        assert peer.held == 0

    async def test_calls_and_their_order(self, mailbox, peer):
        """As many as Outlook needs, and no object stays open."""
        folder = local_folder()
        mailbox.put(written("1.2.3", 150_000))
        await peer.synchroniser.contents(folder)
        assert peer.names == [
            ["OpenFolder", "GetPropertiesSpecific"],
            ["SynchronizationConfigure", *EMPTY_STATES],
            ["FastTransferSourceGetBuffer"],
            ["FastTransferSourceGetBuffer"],
            RELEASE,
        ]
        flags = [bool(call.flags & emsmdb.CHAIN) for call in mailbox.calls]
        assert flags == [False, False, True, True, False]
        mailbox.calls.clear()
        await peer.synchroniser.contents(folder)
        assert peer.names == [
            ["OpenFolder", "GetPropertiesSpecific"],
            ["SynchronizationConfigure", *STATES * 4],
            ["FastTransferSourceGetBuffer"],
            RELEASE,
        ]
        configure = mailbox.calls[1].rops[0]
        assert configure.synchronization_flags & ics.SYNC_UNICODE
        assert configure.send_options & fx.SEND_UNICODE
        assert configure.property_tags == ()

    async def test_one_payload_a_call(self, mailbox):
        peer = Peer(mailbox)
        await peer.connect(chained=False)
        mailbox.put(written("1.2.3", 100_000))
        folder = local_folder()
        await peer.synchroniser.contents(folder)
        assert_true(folder, mailbox)
        assert not any(call.flags & emsmdb.CHAIN for call in mailbox.calls)
        assert peer.names.count(["FastTransferSourceGetBuffer"]) == 4

    async def test_nobody_waits_for_ever(self, mailbox, peer):
        mailbox.rops[fx.RopFastTransferSourceGetBufferRequest] = busy(mailbox, 1_000_000, 250)
        with pytest.raises(MapiError, match="0x00000480"):
            await peer.synchroniser.contents(local_folder())
        assert peer.slept == [0.25] * 10
        assert peer.held == 0

    @pytest.mark.parametrize("chained", [True, False])
    async def test_a_busy_server_is_left_in_peace(self, mailbox, chained):
        peer = Peer(mailbox)
        await peer.connect(chained=chained)
        mailbox.rops[fx.RopFastTransferSourceGetBufferRequest] = busy(mailbox, 2, 1_500)
        for number in range(6):
            mailbox.put(written(f"1.2.{number}", 60_000))
        folder = local_folder()
        await peer.synchroniser.contents(folder)
        assert_true(folder, mailbox)
        assert len(peer.slept) > 4
        assert set(peer.slept) == {1.5}

    @pytest.mark.parametrize(
        ("fields", "error", "text"),
        [
            ({"transfer_status": fx.TRANSFER_ERROR}, RemoteProtocolError, "with status 0"),
            ({"transfer_status": fx.TRANSFER_NO_ROOM, "data": b""}, RemoteProtocolError, "with status 2"),
            ({"transfer_status": fx.TRANSFER_PARTIAL, "data": b""}, RemoteProtocolError, "does not go on"),
            ({"transfer_status": fx.TRANSFER_DONE, "data": b""}, WireError, "IncrSyncEnd"),
            ({"data": bytes.fromhex("77000100") * 2}, WireError, "PropertyType"),
            ({"return_value": 0x80004005, "data": b""}, MapiError, "0x80004005"),
        ],
    )
    async def test_a_transfer_that_goes_wrong(self, mailbox, peer, fields, error, text):
        mailbox.put(written("1.2.3"))
        mailbox.alter(fx.RopFastTransferSourceGetBufferRequest, **fields)
        with pytest.raises(error, match=text):
            await peer.synchroniser.contents(local_folder())
        assert peer.held == 0

    @pytest.mark.parametrize("item", [FailedItem(()), ProgressTotal(0, 0, 1, 100)])
    async def test_what_was_not_asked_for(self, mailbox, peer, item):
        mailbox.items = lambda items: [item, *items]
        with pytest.raises(RemoteProtocolError, match=f"{type(item).__name__} in a synchronisation"):
            await peer.synchroniser.contents(local_folder())
        assert peer.held == 0

    async def test_no_answer_at_all(self, mailbox, peer):
        mailbox.rops[fx.RopFastTransferSourceGetBufferRequest] = lambda rop, table: None
        with pytest.raises(RemoteProtocolError, match="no answer to RopFastTransferSourceGetBuffer"):
            await peer.synchroniser.contents(local_folder())

    @pytest.mark.parametrize(
        "refused", [ics.RopSynchronizationConfigureRequest, ics.RopSynchronizationUploadStateStreamEndRequest]
    )
    async def test_a_download_that_is_refused(self, mailbox, peer, refused):
        mailbox.refuse(refused, 0x80070005)
        with pytest.raises(MapiError, match="0x80070005"):
            await peer.synchroniser.contents(local_folder())
        assert peer.names[-1] == ["Release"]


def busy(mailbox: ScriptedMailbox, times: int, delay_ms: int) -> Any:
    """Every buffer comes only after so many refusals; chained ones end with one."""
    serve = mailbox.rops[fx.RopFastTransferSourceGetBufferRequest]
    refused = 0

    def handle(rop: fx.RopFastTransferSourceGetBufferRequest, table: list[int]) -> Any:
        nonlocal refused
        refusal = fx.RopFastTransferSourceGetBufferResponse(
            rop.input_handle_index, return_value=fx.SERVER_BUSY, backoff_time_ms=delay_ms
        )
        if refused < times:
            refused += 1
            return refusal
        refused = 0
        served = serve(rop, table)
        ends = served[-1].transfer_status == fx.TRANSFER_DONE if isinstance(served, list) else True
        return served if ends else [*served, refusal]

    return handle


class TestConfirming:
    def sent(self, mailbox: ScriptedMailbox, folder: LocalFolder, key: str) -> int:
        message_id = mailbox.put(written(key, 40_000), SENT_ITEMS, read=True)
        digest = digest_of(written(key, 40_000))
        folder.messages[message_id] = LocalMessage(message_id, b"", key, True, True, digest)
        folder.unconfirmed.add(message_id)
        return message_id

    async def test_the_message_itself_does_not_come(self, mailbox, peer):
        folder = local_folder(SENT_ITEMS)
        for key in ("1.2.3", "1.2.4"):
            self.sent(mailbox, folder, key)
        await peer.synchroniser.confirm(folder)
        assert_true(folder, mailbox, SENT_ITEMS)
        assert folder.unconfirmed == set()
        assert peer.mailbox.connection.bytes_received < 2_000
        mailbox.downloaded.clear()
        await peer.synchroniser.contents(folder)
        assert mailbox.downloaded == []

    async def test_what_another_client_sent_does(self, mailbox, peer):
        folder = local_folder(SENT_ITEMS)
        theirs = mailbox.put(written("9.9.9"), SENT_ITEMS, read=True)
        ours = self.sent(mailbox, folder, "1.2.3")
        await peer.synchroniser.confirm(folder)
        assert mailbox.downloaded == [theirs, ours, theirs]
        assert_true(folder, mailbox, SENT_ITEMS)
        mailbox.take_away(theirs, SENT_ITEMS)
        mailbox.mark(ours, read=False, folder_id=SENT_ITEMS)
        await peer.synchroniser.confirm(folder)
        assert_true(folder, mailbox, SENT_ITEMS)


class TestHierarchy:
    async def test_changes(self, mailbox, peer):
        changes, state = await peer.synchroniser.hierarchy(SUBTREE, State())
        assert {change.folder_id for change in changes} == set(mailbox.folder_numbers)
        assert peer.names == [
            ["OpenFolder", "SynchronizationConfigure", *STATES[::2] * 2],
            ["FastTransferSourceGetBuffer"],
            RELEASE,
        ]
        assert (await peer.synchroniser.hierarchy(SUBTREE, state))[0] == []
        mailbox.folder_numbers[INBOX] = 7
        ((change,), state) = await peer.synchroniser.hierarchy(SUBTREE, state)
        assert isinstance(change, FolderChange)
        assert change.folder_id == INBOX
        del mailbox.folder_numbers[SENT_ITEMS]
        ((gone,), _) = await peer.synchroniser.hierarchy(SUBTREE, state)
        assert list(gone.deleted) == [SENT_ITEMS]
        assert peer.held == 0

    async def test_a_folder_that_cannot_be_read(self, mailbox, peer):
        mailbox.items = lambda items: [FailedItem(()), *items]
        with pytest.raises(RemoteProtocolError, match="could not read"):
            await peer.synchroniser.hierarchy(SUBTREE, State())


class TestCollector:
    async def test_the_state_knows_of_what_was_uploaded(self, mailbox, peer):
        message_id = mailbox.put(written("1.2.3"))
        folder = local_folder()
        await peer.synchroniser.contents(folder)
        mailbox.calls.clear()
        async with peer.synchroniser.collector(folder) as collector:
            batch = RopBatch()
            reads = (up.MessageReadState(source_key(message_id), True),)
            batch.add(up.RopSynchronizationImportReadStateChangesRequest(0, batch.use(collector), reads))
            await peer.session.run(batch)
        assert peer.names == [
            ["OpenFolder", "SynchronizationOpenCollector", *STATES * 4],
            ["SynchronizationImportReadStateChanges"],
            ["SynchronizationGetTransferState", "FastTransferSourceGetBuffer", "Release"],
            RELEASE,
        ]
        assert list(folder.state.cnset_read.counters(REPLICA))[-1] == mailbox.counter
        folder.mark(message_id, read=True)
        assert_true(folder, mailbox)

    async def test_a_state_in_parts(self, mailbox, peer):
        mailbox.alter(fx.RopFastTransferSourceGetBufferRequest, transfer_status=fx.TRANSFER_PARTIAL)
        folder = local_folder()
        before = folder.state
        with pytest.raises(RemoteProtocolError, match="does not fit into one buffer"):
            async with peer.synchroniser.collector(folder):
                pass
        assert folder.state == before
        assert peer.held == 0

    async def test_work_that_fails(self, mailbox, peer):
        folder = local_folder()
        before = folder.state
        with pytest.raises(MapiError, match="work"):
            async with peer.synchroniser.collector(folder):
                raise MapiError("work", 1)
        assert folder.state == before
        assert peer.held == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("put", "hide", "change", "mark", "take_away", "synchronise", "interrupt")),
        st.integers(0, 1_000),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, buffer_size=st.integers(60, 3_000), chained=st.booleans())
def test_whatever_happens_and_wherever_it_stops_the_copy_becomes_the_mailbox(steps, buffer_size, chained):
    """No message comes twice unless it changed, and none is told of twice."""
    asyncio.run(_live(steps, buffer_size, chained=chained))


async def _live(steps: list[tuple[str, int]], buffer_size: int, *, chained: bool) -> None:
    mailbox, folder, told = ScriptedMailbox(), local_folder(), []
    mailbox.buffer_size = buffer_size
    peer = Peer(mailbox)
    for number, (step, draw) in enumerate([*steps, ("synchronise", 0)]):
        known = sorted(mailbox.mails[INBOX])
        if step in ("put", "hide"):
            mailbox.put(written(f"1.2.{number}", 500 + draw), associated=step == "hide")
        elif step in ("synchronise", "interrupt"):
            synchroniser = await peer.connect(chained=chained)
            if step == "interrupt":
                lose_after(mailbox, draw % 12)
            try:
                await synchroniser.contents(folder)
            except ConnectionLost:
                assert step == "interrupt"
            else:
                assert_true(folder, mailbox)
            told += folder.take_arrived()
        elif known:
            message_id = known[draw % len(known)]
            if step == "change":
                mailbox.change(message_id, written(f"1.2.{number}", 500 + draw))
            elif step == "mark":
                mailbox.mark(message_id, read=bool(draw % 2))
            else:
                mailbox.take_away(message_id)
    assert len({message.message_id for message in told}) == len(told)


def lose_after(mailbox: ScriptedMailbox, calls: int) -> None:
    """The connection goes away instead of an answer to one of the next calls."""
    left = calls

    def answer(request: emsmdb.EcDoRpcExt2Request) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            return ConnectionLost("gone")
        return mailbox.execute(request)

    mailbox.answers[emsmdb.EcDoRpcExt2Request] = answer


async def test_what_came_before_a_loss_does_not_come_again(mailbox):
    peer, folder = Peer(mailbox), local_folder()
    sent = [mailbox.put(written(f"1.2.{number}", 20_000)) for number in range(5)]
    synchroniser = await peer.connect(chained=False)
    lose_after(mailbox, 4)
    with pytest.raises(ConnectionLost):
        await synchroniser.contents(folder)
    had = list(folder.messages)
    assert 0 < len(had) < 5
    mailbox.downloaded.clear()
    await (await peer.connect(chained=False)).contents(folder)
    assert had + mailbox.downloaded == sent
    assert_true(folder, mailbox)
    assert [message.message_id for message in folder.take_arrived()] == sent


def test_the_default_is_real_sleep():
    session: Any = msgspec.UNSET
    assert Synchroniser(session, 1, chained=True)._sleep is asyncio.sleep
