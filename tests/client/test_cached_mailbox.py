"""A mailbox in cached mode: what is done on the copy, and what of it travels when."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from loadgen.client.cached_mailbox import CachedMailbox
from loadgen.client.client_type import CachedMode
from loadgen.client.local_copy import LocalCopy
from loadgen.client.local_folder import digest_of
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.store_session import StoreSession
from loadgen.errors import ConnectionLost, MapiError, WrongAnswer
from loadgen.wire import emsmdb
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import MessageContent, value_of
from loadgen.wire.identifiers import object_id
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as up
from loadgen.wire.rop import oxcnotif, oxcstor, oxomsg
from loadgen.wire.rop.oxcfold import RopOpenFolderRequest

from .scripted import make_account
from .scripted_mailbox import (
    DELETED_ITEMS,
    INBOX,
    OBJECT_DELETED,
    SENT_ITEMS,
    ScriptedMailbox,
    source_key,
    written,
)
from .scripted_store import new_session, refusal, settle

ACCOUNT = make_account(0)
OTHERS = tuple(make_account(index) for index in range(1, 5))
FILED = CachedMode()
UPLOADED = CachedMode(server_files_sent=False, chained=False)
NOW = 1_180_000_000.0
IGNORED = 0x80040801
FRAME = (
    "OpenFolder",
    "GetPropertiesSpecific",
    "SynchronizationUploadStateStreamBegin",
    "SynchronizationUploadStateStreamContinue",
    "SynchronizationUploadStateStreamEnd",
    "SynchronizationGetTransferState",
    "FastTransferSourceGetBuffer",
    "Release",
)
modes = pytest.mark.parametrize("mode", [FILED, UPLOADED], ids=["filed", "uploaded"])


class Desk:
    """One user's Outlook: it may be started anew over the same copy, as after a loss."""

    def __init__(self, server: ScriptedMailbox, mode: CachedMode = FILED, *, sessions: int = 2) -> None:
        self.server = server
        self.mode = mode
        self.sessions = sessions
        self.copy = LocalCopy()
        self.outlook: CachedMailbox
        self.foreground: StoreSession
        self.background: StoreSession

    async def log_on(self) -> CachedMailbox:
        self.server.forget_sessions()
        self.server.heard.clear()
        self.foreground = self.background = new_session(self.server)
        if self.sessions == 2:
            self.background = new_session(self.server, waits=False)
        self.outlook = CachedMailbox(
            ACCOUNT, self.foreground, self.background, self.copy, self.mode, lambda: NOW
        )
        await self.outlook.log_on()
        await self.foreground.wait_for_news()
        return self.outlook

    async def start(self) -> CachedMailbox:
        await (await self.log_on()).start()
        self.server.calls.clear()
        return self.outlook

    @property
    def rops(self) -> list[str]:
        """What has travelled since the start, but for the frame of each download and upload."""
        names = [name for call in self.server.calls for name in call.names]
        return [name for name in names if name not in FRAME]

    def assert_true(self) -> None:
        """The copy says what the mailbox says."""
        for folder in self.copy.folders:
            mails = self.server.mails[folder.folder_id]
            assert {key: (m.digest, m.read) for key, m in folder.messages.items()} == {
                key: (digest_of(mail.content), mail.read) for key, mail in mails.items()
            }


@pytest.fixture
def server() -> ScriptedMailbox:
    return ScriptedMailbox()


@pytest.fixture
def desk(server) -> Desk:
    return Desk(server)


def keys_of(news: Sequence[NewMessage]) -> list[str]:
    return [message.key for message in news]


class TestStarting:
    async def test_two_sessions_are_linked(self, server, desk):
        await desk.log_on()
        assert server.links == [(emsmdb.NO_LINK, 0), (1, 100)]

    async def test_one_session_does_both(self, server):
        desk = Desk(server, UPLOADED, sessions=1)
        await desk.start()
        assert server.links == [(emsmdb.NO_LINK, 0)]
        await desk.outlook.log_off()

    async def test_all_that_is_there_is_downloaded_and_is_no_news(self, server, desk):
        for folder_id in (INBOX, SENT_ITEMS, DELETED_ITEMS):
            server.put(written(f"1.2.{folder_id}"), folder_id, read=True)
        outlook = await desk.start()
        desk.assert_true()
        assert server.heard == []
        assert await outlook.fetch_news() == []

    async def test_what_comes_while_it_starts_is_told_of(self, server, desk):
        outlook = await desk.log_on()
        server.mail_comes("1.2.3")
        await settle()
        assert server.heard == ["news"]
        await outlook.start()
        assert keys_of(await outlook.fetch_news()) == []
        desk.assert_true()

    @pytest.mark.parametrize("folder_id", [INBOX, SENT_ITEMS, DELETED_ITEMS])
    async def test_a_mailbox_without_a_folder(self, server, desk, folder_id):
        del server.folder_numbers[folder_id]
        with pytest.raises(WrongAnswer, match=f"folder 0x{folder_id:016X} is not in the mailbox"):
            await desk.start()

    async def test_ids_of_another_replica(self, server, desk):
        server.alter(up.RopGetLocalReplicaIdsRequest, replica_guid=b"X" * 16)
        with pytest.raises(WrongAnswer, match="another replica"):
            await desk.start()

    async def test_another_mailbox_the_next_time(self, server, desk):
        await desk.start()
        server.alter(oxcstor.RopLogonRequest, mailbox_guid=b"N" * 16)
        with pytest.raises(WrongAnswer, match="not the one that the copy is of"):
            await desk.start()


class TestSending:
    @pytest.mark.parametrize("sessions", [1, 2])
    async def test_the_server_files_it(self, server, sessions):
        desk = Desk(server, FILED, sessions=sessions)
        outlook = await desk.start()
        await outlook.send(OutgoingMessage("1.2.3", OTHERS, 50_000))
        assert desk.rops == [
            "CreateMessage",
            "FastTransferDestinationConfigure",
            "FastTransferDestinationPutBuffer",
            "FastTransferDestinationPutBuffer",
            "TransportSend",
        ]
        desk.assert_true()
        (sent,) = server.outgoing
        assert value_of(sent.properties, p.PidTagSubject) == "1.2.3 (50000 bytes)"
        assert value_of(sent.properties, p.PidTagClientSubmitTime) == p.filetime_from_unix(NOW)
        assert len(sent.recipients) == 4
        before = server.connection.bytes_received
        await outlook.fetch_news()
        assert desk.copy.sent_items.unconfirmed == set()
        await desk.start()
        assert server.downloaded == list(server.mails[SENT_ITEMS])
        assert server.connection.bytes_received - before < 10_000

    @pytest.mark.parametrize("sessions", [1, 2])
    async def test_outlook_files_it(self, server, sessions):
        desk = Desk(server, UPLOADED, sessions=sessions)
        outlook = await desk.start()
        await outlook.send(OutgoingMessage("1.2.3", OTHERS, 50_000))
        assert server.mails[SENT_ITEMS] == {}
        server.calls.clear()
        await outlook.fetch_news()
        assert desk.rops == [
            "SynchronizationOpenCollector",
            "SynchronizationImportMessageChange",
            "FastTransferDestinationConfigure",
            "FastTransferDestinationPutBuffer",
            "FastTransferDestinationPutBuffer",
            "SaveChangesMessage",
        ]
        desk.assert_true()
        assert desk.copy.filings == []
        await desk.start()
        assert server.downloaded == []

    @modes
    async def test_a_message_that_is_not_sent_is_not_in_the_copy(self, server, mode):
        desk = Desk(server, mode)
        outlook = await desk.start()
        server.refuse(oxomsg.RopTransportSendRequest, 0x80070005)
        with pytest.raises(MapiError):
            await outlook.send(OutgoingMessage("1.2.3", OTHERS, 1_000))
        desk.assert_true()
        await outlook.fetch_news()
        desk.assert_true()

    async def test_what_was_sent_though_nobody_was_told(self, server, desk):
        outlook = await desk.start()
        lose_answer(server, oxomsg.RopTransportSendRequest)
        with pytest.raises(ConnectionLost):
            await outlook.send(OutgoingMessage("1.2.3", OTHERS, 1_000))
        await desk.start()
        desk.assert_true()
        assert len(desk.copy.sent_items.messages) == 1

    @pytest.mark.parametrize("later", [True, False])
    async def test_filing_is_tried_until_it_is_done(self, server, later):
        """``later``: the message was saved, but the answer was lost; then somebody may have deleted it."""
        desk = Desk(server, UPLOADED)
        outlook = await desk.start()
        await outlook.send(OutgoingMessage("1.2.3", OTHERS, 1_000))
        lose_answer(server, up.RopSynchronizationImportMessageChangeRequest)
        with pytest.raises(ConnectionLost):
            await outlook.fetch_news()
        assert len(desk.copy.filings) == 1
        await desk.log_on()
        if later:
            (message,) = desk.copy.filings
            server.put(written("other"), SENT_ITEMS)
            server.refuse(up.RopSynchronizationImportMessageChangeRequest, OBJECT_DELETED)
            await desk.outlook.start()
            assert message.message_id not in desk.copy.sent_items.messages
        else:
            await desk.outlook.start()
            assert len(desk.copy.sent_items.messages) == 1
        assert desk.copy.filings == []
        desk.assert_true()

    async def test_the_server_has_it_already(self, server):
        desk = Desk(server, UPLOADED)
        outlook = await desk.start()
        await outlook.send(OutgoingMessage("1.2.3", OTHERS, 1_000))
        server.refuse(up.RopSynchronizationImportMessageChangeRequest, IGNORED)
        await outlook.fetch_news()
        assert desk.copy.filings == []
        assert len(desk.copy.sent_items.messages) == 1

    async def test_filing_that_is_refused_stays_to_be_done(self, server):
        desk = Desk(server, UPLOADED)
        outlook = await desk.start()
        await outlook.send(OutgoingMessage("1.2.3", OTHERS, 1_000))
        server.refuse(up.RopSynchronizationImportMessageChangeRequest, 0x80070005)
        with pytest.raises(MapiError, match="0x80070005"):
            await outlook.fetch_news()
        assert len(desk.copy.filings) == 1


class TestNews:
    @modes
    async def test_it_is_downloaded_once(self, server, mode):
        desk = Desk(server, mode)
        outlook = await desk.start()
        first, second = server.mail_comes("1.2.3", 50_000), server.mail_comes("1.2.4")
        await settle()
        assert server.heard == ["news"]
        assert await outlook.fetch_news() == [NewMessage(first, "1.2.3"), NewMessage(second, "1.2.4")]
        assert desk.rops == ["SynchronizationConfigure"] * 2
        desk.assert_true()
        server.calls.clear()
        assert await outlook.fetch_news() == []
        assert desk.rops == []
        assert server.downloaded == [first, second]

    async def test_mail_of_others_has_no_key(self, server, desk):
        outlook = await desk.start()
        server.put(MessageContent((Property(p.PidTagNormalizedSubject, "Lunch?"),)))
        server.mail_comes("1.2.3")
        assert keys_of(await outlook.fetch_news()) == ["", "1.2.3"]

    async def test_other_events_bring_no_download(self, server, desk):
        outlook = await desk.start()
        for event in (
            oxcnotif.ObjectEvent(oxcnotif.OBJECT_MODIFIED, INBOX, total_count=7, unread_count=2),
            oxcnotif.TableEvent(oxcnotif.TABLE_CHANGED, True),
        ):
            server.tell(oxcnotif.RopNotifyResponse(0x11, 0, event))
        assert await outlook.fetch_news() == []
        assert desk.rops == []

    @pytest.mark.parametrize("failing", [ics.RopSynchronizationConfigureRequest, RopOpenFolderRequest])
    async def test_what_failed_is_done_the_next_time(self, server, desk, failing):
        outlook = await desk.start()
        server.mail_comes("1.2.3")
        before = server.rops[failing]
        server.refuse(failing, 0x80004005)
        with pytest.raises(MapiError):
            await outlook.fetch_news()
        server.rops[failing] = before
        assert keys_of(await outlook.fetch_news()) == ["1.2.3"]
        assert await outlook.fetch_news() == []

    async def test_news_is_not_lost_with_the_hierarchy(self, server, desk):
        outlook = await desk.start()
        server.mail_comes("1.2.3")
        configure = server.rops[ics.RopSynchronizationConfigureRequest]

        def refuse_hierarchy(rop: ics.RopSynchronizationConfigureRequest, table: list[int]) -> Any:
            if rop.synchronization_type == ics.HIERARCHY:
                return refusal(rop, 0x80004005)
            return configure(rop, table)

        server.rops[ics.RopSynchronizationConfigureRequest] = refuse_hierarchy
        with pytest.raises(MapiError):
            await outlook.fetch_news()
        server.rops[ics.RopSynchronizationConfigureRequest] = configure
        assert keys_of(await outlook.fetch_news()) == ["1.2.3"]

    async def test_a_folder_that_goes_away(self, server, desk):
        outlook = await desk.start()
        server.mail_comes("1.2.3")
        del server.folder_numbers[SENT_ITEMS]
        with pytest.raises(WrongAnswer, match=f"folder 0x{SENT_ITEMS:016X} is not in the mailbox"):
            await outlook.fetch_news()

    async def test_new_folders_do_not_matter(self, server, desk):
        outlook = await desk.start()
        server.folder_numbers[object_id(1, 0x999)] = 1
        del server.folder_numbers[min(server.folder_numbers)]
        server.mail_comes("1.2.3")
        assert keys_of(await outlook.fetch_news()) == ["1.2.3"]


class TestReadingAndDeleting:
    async def arrived(self, desk: Desk, *keys: str) -> list[int]:
        ids = [desk.server.mail_comes(key) for key in keys]
        await desk.outlook.fetch_news()
        desk.server.calls.clear()
        return ids

    @modes
    async def test_both_happen_here_and_travel_later(self, server, mode):
        desk = Desk(server, mode)
        outlook = await desk.start()
        first, second, third = await self.arrived(desk, "1.2.3", "1.2.4", "1.2.5")
        for message_id, key in ((first, "1.2.3"), (second, "1.2.4")):
            await outlook.read(message_id, key)
        await outlook.read(first, "1.2.3")
        await outlook.delete(second)
        await outlook.delete(third)
        assert server.calls == []
        assert not server.mails[INBOX][first].read
        await outlook.fetch_news()
        assert desk.rops == [
            "SynchronizationOpenCollector",
            "SynchronizationImportReadStateChanges",
            "SynchronizationOpenCollector",
            "SynchronizationImportMessageMove",
            "SynchronizationImportMessageMove",
        ]
        desk.assert_true()
        assert list(server.mails[INBOX]) == [first]
        assert [mail.read for mail in server.mails[DELETED_ITEMS].values()] == [True, False]
        server.downloaded.clear()
        server.calls.clear()
        await outlook.fetch_news()
        assert desk.rops == []
        await desk.start()
        assert server.downloaded == []

    async def test_a_move_leaves_nothing_behind(self, server, desk):
        """What the client itself took away it does not claim to have."""
        outlook = await desk.start()
        gone, stays = await self.arrived(desk, "1.2.3", "1.2.4")
        await outlook.delete(gone)
        await outlook.fetch_news()
        assert set(desk.copy.inbox.state.idset_given) == {source_key(stays)}
        assert set(desk.copy.deleted_items.state.idset_given) == {
            source_key(key) for key in server.mails[DELETED_ITEMS]
        }

    @pytest.mark.parametrize("operation", ["read", "delete"])
    async def test_a_message_that_is_not_here(self, desk, operation):
        outlook = await desk.start()
        work = outlook.read(7, "1.2.3") if operation == "read" else outlook.delete(7)
        what = "1.2.3" if operation == "read" else "0x7"
        with pytest.raises(WrongAnswer, match=f"message {what} is not in the copy"):
            await work

    @pytest.mark.parametrize("expected", ["1.2.3", "1.2.4"])
    async def test_a_message_that_is_not_what_was_written(self, server, desk, expected):
        outlook = await desk.start()
        content = written("1.2.3")
        if expected == "1.2.3":
            content = msgspec.structs.replace(content, attachments=())
        message_id = server.put(content)
        server.mail_comes("1.2.9")
        await outlook.fetch_news()
        with pytest.raises(WrongAnswer, match=f"the copy of message {expected} is not what its sender wrote"):
            await outlook.read(message_id, expected)

    @pytest.mark.parametrize(
        "failing",
        [
            up.RopSynchronizationOpenCollectorRequest,
            up.RopSynchronizationImportReadStateChangesRequest,
            up.RopSynchronizationImportMessageMoveRequest,
            ics.RopSynchronizationGetTransferStateRequest,
        ],
    )
    @pytest.mark.parametrize("lost", [True, False])
    async def test_what_is_not_uploaded_stays_to_be_done(self, server, desk, failing, lost):
        """Refused, or done and the answer lost: in the end both sides agree."""
        outlook = await desk.start()
        first, second = await self.arrived(desk, "1.2.3", "1.2.4")
        await outlook.read(first, "1.2.3")
        await outlook.delete(first)
        await outlook.delete(second)
        before = server.rops[failing]
        if lost:
            lose_answer(server, failing)
        else:
            server.refuse(failing, 0x80004005)
        with pytest.raises((ConnectionLost, MapiError)):
            await outlook.fetch_news()
        server.rops[failing] = before
        outlook = await desk.start() if lost else desk.outlook
        await outlook.fetch_news()
        desk.assert_true()
        assert (desk.copy.reads, desk.copy.moves) == ([], [])
        assert server.mails[INBOX] == {}
        assert [mail.read for mail in server.mails[DELETED_ITEMS].values()] == [True, False]

    async def test_somebody_else_was_first(self, server, desk):
        outlook = await desk.start()
        (message_id,) = await self.arrived(desk, "1.2.3")
        await outlook.delete(message_id)
        server.take_away(message_id)
        await outlook.fetch_news()
        desk.assert_true()


class TestComingBack:
    async def test_what_came_meanwhile_is_news(self, server, desk):
        outlook = await desk.start()
        old = server.mail_comes("1.2.3")
        await outlook.fetch_news()
        server.lose()
        new = server.put(written("1.2.4"))
        server.downloaded.clear()
        outlook = await desk.start()
        assert server.heard == ["news"]
        assert await outlook.fetch_news() == [NewMessage(new, "1.2.4")]
        assert server.downloaded == [new]
        await outlook.read(old, "1.2.3")
        await outlook.fetch_news()
        desk.assert_true()

    async def test_nobody_may_want_to_know(self, server, desk):
        await desk.start()
        server.put(written("1.2.4"))
        outlook = await desk.log_on()
        desk.foreground.on_news = None
        await outlook.start()
        assert keys_of(await outlook.fetch_news()) == ["1.2.4"]

    async def test_a_download_goes_on_where_it_stopped(self, server, desk):
        desk = Desk(server, UPLOADED)
        outlook = await desk.start()
        ids = [server.mail_comes(f"1.2.{number}", 25_000) for number in range(6)]
        buffers = 0
        serve = server.rops[fx.RopFastTransferSourceGetBufferRequest]

        def lose_the_third(rop: Any, table: list[int]) -> Any:
            nonlocal buffers
            buffers += 1
            if buffers == 3:
                server.lose()
            return serve(rop, table)

        server.rops[fx.RopFastTransferSourceGetBufferRequest] = lose_the_third
        with pytest.raises(ConnectionLost):
            await outlook.fetch_news()
        had = list(desk.copy.inbox.messages)
        assert had == ids[: len(had)]
        assert 0 < len(had) < 6
        server.downloaded.clear()
        outlook = await desk.start()
        assert [*had, *server.downloaded] == ids
        assert [message.message_id for message in await outlook.fetch_news()] == ids
        desk.assert_true()

    async def test_ids_are_asked_for_when_they_run_out(self, server, desk):
        await desk.start()
        assert not desk.copy.needs_ids
        outlook = await desk.start()
        server.reserved = 0x90000
        while not desk.copy.needs_ids:
            desk.copy.new_id()
        await outlook.fetch_news()
        assert desk.rops == ["GetLocalReplicaIds"]
        assert desk.copy.new_id() == object_id(1, 0x90000)


class TestLoggingOff:
    async def day(self, desk: Desk) -> CachedMailbox:
        outlook = await desk.start()
        ids = [desk.server.mail_comes(f"1.2.{number}") for number in range(4)]
        await outlook.fetch_news()
        await outlook.send(OutgoingMessage("1.2.9", OTHERS, 1_000))
        await outlook.read(ids[0], "1.2.0")
        await outlook.delete(ids[1])
        desk.server.calls.clear()
        return outlook

    @modes
    @pytest.mark.parametrize("sessions", [1, 2])
    async def test_the_copy_is_the_mailbox(self, server, mode, sessions):
        desk = Desk(server, mode, sessions=sessions)
        outlook = await self.day(desk)
        await outlook.log_off()
        desk.assert_true()
        assert server.objects == {}
        assert not desk.foreground.session.connected
        assert not desk.background.session.connected

    async def test_it_need_not_be_compared(self, server):
        desk = Desk(server, CachedMode(compare_copy=False))
        outlook = await self.day(desk)
        server.downloaded.clear()
        await outlook.log_off()
        assert server.downloaded == list(server.mails[SENT_ITEMS])

    @pytest.mark.parametrize("times", [1, 2])
    async def test_mail_may_still_come(self, server, desk, times):
        outlook = await self.day(desk)
        left = times

        def one_more(items: list[Any]) -> list[Any]:
            """Mail comes between the download of the copy and the one to compare it with."""
            nonlocal left
            if left and len(server.downloaded) > 7:
                left -= 1
                server.put(written(f"4.5.{left}"))
            return items

        server.items = one_more
        await outlook.log_off()
        assert left == 0

    async def test_a_copy_that_differs(self, server, desk):
        outlook = await self.day(desk)
        message_id = next(iter(server.mails[INBOX]))
        server.mails[INBOX][message_id].content = written("7.7.7")
        with pytest.raises(WrongAnswer, match=r"in 1 messages: message 1\.2\.0 differs"):
            await outlook.log_off()


def lose_answer(server: ScriptedMailbox, kind: type) -> None:
    """The server does as it was told, and then the connection goes away instead of the answer."""
    before = server.rops[kind]

    def handle(rop: Any, table: list[int]) -> Any:
        response = before(rop, table)
        server.lose()
        server.rops[kind] = before
        return response

    server.rops[kind] = handle
