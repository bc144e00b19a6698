"""News from the view of the Inbox: told row by row, or looked for when the store has lost count."""

import pytest

from loadgen.client.inbox_view import COLUMNS, SCREEN, InboxView
from loadgen.client.message import NewMessage
from loadgen.errors import MapiError, RemoteProtocolError, WireError, WrongAnswer
from loadgen.wire import emsmdb
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.identifiers import object_id
from loadgen.wire.rop import oxctabl
from loadgen.wire.rop.oxcnotif import (
    TABLE_CHANGED,
    TABLE_RESTRICTION_CHANGED,
    TABLE_ROW_ADDED,
    TABLE_ROW_DELETED,
    TABLE_ROW_MODIFIED,
    RopNotifyResponse,
    TableEvent,
    TableRowId,
)

from .scripted_store import INBOX, Item, ScriptedStore, open_session

pytestmark = pytest.mark.usefixtures("no_complaints")


class Viewing:
    """A store whose Inbox is looked at; messages have the keys 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self.store = ScriptedStore()
        self.store.objects[0x10] = self.store.inbox
        self.sent = 0
        self.ids: list[int] = []

    async def open(self, already_there: int = 0) -> InboxView:
        for _ in range(already_there):
            self.come(tell=False)
        self.view = InboxView(await open_session(self.store, waits=False))
        await self.view.open(0x10)
        assert self.view.count == already_there
        return self.view

    def come(self, count: int = 1, *, tell: bool = True) -> None:
        for _ in range(count):
            self.sent += 1
            self.ids.append(self.store.deliver(f"{self.sent} (1000 bytes)", tell=tell))

    def go(self, number: int, *, tell: bool = True) -> None:
        self.store.remove(self.ids[number - 1], tell=tell)

    def change(self) -> None:
        """The store stops telling row by row."""
        self.store.events.clear()
        self.store.tell_row(TABLE_CHANGED)

    async def news(self) -> list[str]:
        """The keys of what has come; ids belong to the keys."""
        news = await self.view.fetch_news()
        assert all(message.message_id == self.ids[int(message.key) - 1] for message in news)
        return [message.key for message in news]

    @property
    def held(self) -> int:
        return len(self.store.inbox.items)

    def keys(self, first: int, last: int) -> list[str]:
        return [str(number) for number in range(first, last + 1)]


@pytest.fixture
def viewing() -> Viewing:
    return Viewing()


async def test_row_by_row(viewing):
    await viewing.open(3)
    assert await viewing.news() == []
    viewing.come(2)
    assert await viewing.news() == ["4", "5"]
    viewing.go(2)
    viewing.go(5)
    viewing.store.tell_row(TABLE_ROW_MODIFIED, viewing.store.message(viewing.ids[0]))
    viewing.come()
    assert await viewing.news() == ["6"]
    assert viewing.view.count == viewing.held == 4
    assert [call.names for call in viewing.store.calls[1:]] == [[], [], []]


async def test_what_came_before_the_first_fetch(viewing):
    """Rows that come from the moment on in which the table is open, in the same answer and after it."""
    query = viewing.store.rops[oxctabl.RopQueryRowsRequest]

    def meanwhile(rop, table):
        response = query(rop, table)
        viewing.come()
        return response

    viewing.store.rops[oxctabl.RopQueryRowsRequest] = meanwhile
    await viewing.open(2)
    viewing.come()
    assert await viewing.news() == ["3", "4"]
    assert viewing.view.count == viewing.held == 4


async def test_foreign_mail_has_no_key(viewing):
    view = await viewing.open()
    message_id = viewing.store.deliver("Meeting 10")
    assert await view.fetch_news() == [NewMessage(message_id, "")]


async def test_the_row_of_the_reference(viewing, vector):
    """As printed there, for the table 0x12 with these very columns; RopPending comes with it."""
    viewing.store.objects[0x11] = None
    viewing.store.last_handle = 0x11
    view = await viewing.open(0xD6)
    assert view.table == 0x12
    rops = write_payload(vector("rop/notify-table-row-response.hex"), 0)
    viewing.store.change(emsmdb.EcDoRpcExt2Request, rgb_out=rops)
    assert await view.fetch_news() == [NewMessage(object_id(1, 0x2100), "")]
    assert view.count == 0xD7


class TestLookingAgain:
    """TABLE_CHANGED says that the client has to look for itself."""

    @pytest.mark.parametrize("already_there", [0, 1, SCREEN - 1, SCREEN, SCREEN + 1, 3 * SCREEN])
    @pytest.mark.parametrize("come", [0, 1, SCREEN - 1, SCREEN, SCREEN + 1, 3 * SCREEN])
    async def test_everything_new_is_found_once(self, viewing, already_there, come):
        await viewing.open(already_there)
        viewing.come(come, tell=False)
        viewing.change()
        assert await viewing.news() == viewing.keys(already_there + 1, already_there + come)
        assert viewing.view.count == viewing.held == already_there + come
        assert await viewing.news() == []
        viewing.come()
        assert await viewing.news() == [str(already_there + come + 1)]

    async def test_what_was_told_before_is_known(self, viewing):
        await viewing.open(2)
        viewing.come(3)
        assert await viewing.news() == viewing.keys(3, 5)
        viewing.come(tell=False)
        viewing.change()
        assert await viewing.news() == ["6"]

    async def test_one_look_is_one_call(self, viewing):
        await viewing.open(10)
        viewing.come(tell=False)
        viewing.change()
        viewing.store.calls.clear()
        assert await viewing.news() == ["11"]
        assert [call.names for call in viewing.store.calls] == [[], ["SeekRow", "QueryRows", "QueryPosition"]]

    async def test_rows_told_of_afterwards_are_not_counted_twice(self, viewing):
        """The store goes on telling behind TABLE_CHANGED: of what the rows show, too."""
        await viewing.open(2)
        viewing.come(2, tell=False)
        viewing.go(1, tell=False)
        viewing.change()
        viewing.come(2)
        viewing.go(2)
        assert await viewing.news() == viewing.keys(3, 6)
        assert viewing.view.count == viewing.held == 4

    @pytest.mark.parametrize("seen_by_the_rows", [True, False])
    async def test_what_comes_and_goes_while_looking(self, viewing, seen_by_the_rows):
        """Events that come along with the rows: their changes are in the rows but for the very last ones."""
        await viewing.open(4)
        viewing.come(tell=False)
        viewing.change()
        kind = oxctabl.RopSeekRowRequest if seen_by_the_rows else oxctabl.RopQueryPositionRequest
        look = viewing.store.rops[kind]

        def meanwhile(rop, table):
            response = look(rop, table)
            viewing.come()
            if seen_by_the_rows:
                viewing.go(1)
                viewing.store.tell_row(TABLE_CHANGED)
            return response

        viewing.store.rops[kind] = meanwhile
        assert await viewing.news() == ["5", "6"]
        viewing.store.rops[kind] = look
        assert viewing.view.count == viewing.held
        assert await viewing.news() == []
        viewing.come()
        assert await viewing.news() == ["7"]
        assert viewing.view.count == viewing.held

    async def test_what_comes_while_several_screens_are_read(self, viewing):
        await viewing.open(10)
        viewing.come(2 * SCREEN, tell=False)
        viewing.change()
        query = viewing.store.rops[oxctabl.RopQueryRowsRequest]
        screens = iter(range(1, 100))

        def meanwhile(rop, table):
            response = query(rop, table)
            if next(screens) == 2:
                viewing.come()
                viewing.go(1)
            return response

        viewing.store.rops[oxctabl.RopQueryRowsRequest] = meanwhile
        news = await viewing.news()
        assert sorted(news, key=int) == viewing.keys(11, 11 + 2 * SCREEN)
        assert viewing.view.count == viewing.held
        assert await viewing.news() == []

    async def test_long_runs_keep_little_and_forget_nothing_that_matters(self, viewing):
        await viewing.open(SCREEN)
        for _ in range(10):
            viewing.come(SCREEN)
            assert len(await viewing.news()) == SCREEN
        assert len(viewing.view._known) == 2 * SCREEN
        for number in viewing.keys(SCREEN + 1, 9 * SCREEN):
            viewing.go(int(number))
        assert await viewing.news() == []
        viewing.come(tell=False)
        viewing.change()
        assert await viewing.news() == [str(11 * SCREEN + 1)]
        assert viewing.view.count == viewing.held

    async def test_deleted_messages_make_no_old_ones_new(self, viewing):
        await viewing.open(3 * SCREEN)
        for _ in range(4):
            viewing.come(SCREEN // 2)
            for key in await viewing.news():
                viewing.go(int(key))
        viewing.change()
        assert await viewing.news() == []
        assert viewing.view.count == viewing.held == 3 * SCREEN

    async def test_refusals(self, viewing):
        await viewing.open()
        viewing.change()
        viewing.store.refuse(oxctabl.RopSeekRowRequest, 0x80040102)
        with pytest.raises(MapiError, match="ROP 0x18 returned 0x80040102"):
            await viewing.news()


ROW = TableRowId(INBOX, object_id(1, 7))


@pytest.mark.parametrize(
    ("event", "error", "problem"),
    [
        (
            TableEvent(TABLE_RESTRICTION_CHANGED, True),
            RemoteProtocolError,
            "table event 7 on a view of the Inbox",
        ),
        (TableEvent(9, True), RemoteProtocolError, "table event 9 on a view of the Inbox"),
        (TableEvent(TABLE_ROW_ADDED, True, ROW, row_data=b""), WireError, "Flag"),
        (TableEvent(TABLE_ROW_ADDED, True, ROW, row_data=b"\1" + b"\1" * 15), WireError, "TableRowData"),
    ],
)
async def test_events_that_make_no_sense(viewing, event, error, problem):
    view = await viewing.open()
    viewing.store.tell(RopNotifyResponse(view.table, 0, event))
    with pytest.raises(error, match=problem):
        await viewing.news()


async def test_a_row_without_an_id(viewing):
    """It cannot be read, but it is there."""
    view = await viewing.open()
    row = b"\1" + b"\1" * 14
    viewing.store.tell(RopNotifyResponse(view.table, 0, TableEvent(TABLE_ROW_ADDED, True, ROW, row_data=row)))
    assert await view.fetch_news() == [NewMessage(0, "")]
    assert view.count == 1


async def test_a_deletion_of_something_older(viewing):
    view = await viewing.open(3)
    viewing.store.tell(RopNotifyResponse(view.table, 0, TableEvent(TABLE_ROW_DELETED, True, ROW)))
    assert await viewing.news() == []
    assert view.count == 2


@pytest.mark.parametrize("shown", [0, 49, 51])
async def test_a_first_screen_that_does_not_fit_the_count(viewing, shown):
    viewing.store.alter(oxctabl.RopQueryRowsRequest, rows=(Item().row(COLUMNS),) * shown)
    with pytest.raises(WrongAnswer, match=f"the Inbox holds 60 messages but its view shows {shown} rows"):
        await viewing.open(60)
