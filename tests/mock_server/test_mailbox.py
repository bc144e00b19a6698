"""The pure model: folders and messages, table views, restrictions, mail on its way, waiting news."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadgen.errors import WireError
from loadgen.wire import restrictions as wire
from loadgen.wire.identifiers import AddressBookEntryId, object_id
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagDisplayName,
    PidTagHtml,
    PidTagImportance,
    PidTagMid,
    PidTagReceivedByName,
    PidTagSubject,
    PropertyRow,
    PropertyValue,
)
from loadgen.wire.property_names import PropertyName
from loadgen.wire.recipients import TO, exchange_recipient
from mock_server.directory import Directory, Organisation
from mock_server.mailboxes.folder import StoreEvent, folder_properties
from mock_server.mailboxes.mail import Envelope, LocalTransport, deliver
from mock_server.mailboxes.mailbox import Mailbox, MailboxStore
from mock_server.mailboxes.message import Attachment, MessageContent, Recipient
from mock_server.mailboxes.property_bag import value_size
from mock_server.mailboxes.row_filter import UnsupportedRestrictionError, predicate
from mock_server.mailboxes.session import NotificationQueue
from mock_server.mailboxes.table_view import SortKey, TableView

DIRECTORY = Directory(Organisation(servers=("MBX1", "MBX2")), 6)
NOTE = MessageContent.of({0x001A001F: "IPM.Note", PidTagSubject: "note"})


def store(name: str = "MBX1") -> MailboxStore:
    return MailboxStore(name, DIRECTORY, clock=lambda: 5)


@pytest.fixture
def mailbox() -> Mailbox:
    return store().mailbox(DIRECTORY.users[0])


def test_a_store_makes_each_mailbox_once() -> None:
    here = store()
    assert here.mailbox(DIRECTORY.users[0]) is here.mailbox(DIRECTORY.users[0])
    with pytest.raises(ValueError, match="user00001 has no mailbox on MBX1"):
        here.mailbox(DIRECTORY.users[1])
    with pytest.raises(ValueError, match="lists no server MBX9"):
        store("MBX9")


def test_the_same_user_has_the_same_ids_in_every_process() -> None:
    first, second = (store().mailbox(DIRECTORY.users[0]) for _ in range(2))
    assert first.identity == second.identity
    assert first.logon_folder_ids == second.logon_folder_ids
    assert first.identity.provider != store("MBX2").mailbox(DIRECTORY.users[1]).identity.provider


def test_delivery_is_heard_in_order(mailbox: Mailbox) -> None:
    heard: list[StoreEvent] = []
    mailbox.listeners.append(heard.append)
    mailbox.deliver(NOTE)
    assert [(event.kind, event.counts) for event in heard] == [(2, None), (4, None), (0x10, (1, 1))]
    (message,) = mailbox.inbox.messages.values()
    assert message.get(PidTagReceivedByName) == "User 00000"
    assert message.delivered == 5


def test_moving_gives_new_ids_and_keeps_the_content(mailbox: Mailbox) -> None:
    mailbox.deliver(NOTE)
    (old,) = mailbox.inbox.messages.values()
    (new,) = mailbox.move_messages(mailbox.inbox, mailbox.deleted_items, [old])
    assert old.deleted
    assert new.message_id != old.message_id
    assert new.content is old.content
    assert (mailbox.inbox.unread, mailbox.deleted_items.unread) == (0, 1)
    (copy,) = mailbox.copy_messages(mailbox.deleted_items, mailbox.inbox, [new])
    assert not new.deleted
    assert copy.folder_id == mailbox.inbox.folder_id


def test_associated_messages_do_not_count(mailbox: Mailbox) -> None:
    message = mailbox.new_message(mailbox.inbox, NOTE, associated=True)
    mailbox.add_message(message)
    assert (len(mailbox.inbox.messages), mailbox.inbox.unread) == (0, 0)
    assert mailbox.inbox.message(message.message_id) is message
    assert message.get(0x0E070003) == 0x40
    assert mailbox.set_read([message], read=True) == 1
    assert mailbox.inbox.unread == 0
    mailbox.delete_messages(mailbox.inbox, [message])
    assert mailbox.inbox.associated == {}


def test_a_folder_takes_its_messages_and_subfolders_along(mailbox: Mailbox) -> None:
    top = mailbox.create_folder(mailbox.inbox, folder_properties("top"))
    below = mailbox.create_folder(top, folder_properties("below"))
    message = mailbox.new_message(below, NOTE)
    mailbox.add_message(message)
    assert (below.depth, top.subfolder("BELOW"), list(top.descendants())) == (4, below, [below])
    mailbox.delete_folder(top)
    assert message.deleted
    assert below.folder_id not in mailbox.folders
    with pytest.raises(ValueError, match="root"):
        mailbox.delete_folder(mailbox.root)


@pytest.mark.parametrize(
    ("entry_id", "known"),
    [("own", True), ("other mailbox", False), (b"", False), (AddressBookEntryId("/o=x").encode(), False)],
)
def test_entry_ids_name_folders_of_their_own_store(mailbox: Mailbox, entry_id: Any, known: bool) -> None:
    if entry_id == "own":
        entry_id = mailbox.identity.folder_entry_id(mailbox.inbox.folder_id)
    elif entry_id == "other mailbox":
        other = store().mailbox(DIRECTORY.users[2])
        entry_id = other.identity.folder_entry_id(other.inbox.folder_id)
    assert mailbox.identity.folder_id(entry_id) == (mailbox.inbox.folder_id if known else None)


def envelope(*recipients: str) -> Envelope:
    prefix = f"{DIRECTORY.organisation.dn}/cn=Recipients/cn="
    columns = (0x39FE001F,)
    row = exchange_recipient(DIRECTORY.users[1].dn, "User 1", prefix, PropertyRow.of(columns, ("a@b",)))
    content = MessageContent.of(
        {
            0x001A001F: "IPM.Note",
            PidTagSubject: "caf\u00e9",
            0x8003101F: ("red", "blue"),
            PidTagHtml: b"\0\xff",
        },
        columns,
        (Recipient(0, TO, row),),
        (Attachment(0, {PidTagAttachDataBinary: bytes(range(256)) * 300, 0x3705000B: True}),),
    )
    return Envelope(recipients, content, {0x8003: PropertyName(bytes(16), name="Colours")})


def test_mail_survives_the_way_to_another_server() -> None:
    sent = envelope(DIRECTORY.users[1].dn, DIRECTORY.users[3].dn)
    assert Envelope.decode(sent.encode()) == sent


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_mail_that_is_cut_short_is_malformed(cut: int) -> None:
    with pytest.raises(WireError):
        Envelope.decode(envelope().encode()[:cut])


def test_mail_goes_to_those_who_live_there() -> None:
    there = store("MBX2")
    transport = LocalTransport()
    transport.add(there)
    there.names.id_of(PropertyName(bytes(16), lid=7), create=True)
    names = [DIRECTORY.users[index].dn for index in (0, 1, 3)]
    assert deliver(there, envelope(*names, "/o=nobody")) == 2
    transport.send("mbx2", envelope(names[1]))
    messages = list(there.mailbox(DIRECTORY.users[1]).inbox.messages.values())
    assert [message.get(0x8002101F) for message in messages] == [("red", "blue")] * 2
    with pytest.raises(KeyError):
        transport.send("MBX7", envelope())


def test_sizes_count_what_is_stored() -> None:
    content = MessageContent.of(
        {PidTagSubject: "abc", PidTagHtml: bytes(100), PidTagImportance: 1, 0x0E1B000B: True}
    )
    assert content.size == 200 + 8 + 100 + 4 + 1
    assert content.with_properties({PidTagHtml: bytes(40), 0x00390040: 1 << 60}).size == content.size - 60 + 8
    assert value_size(0x8000101F, ("ab", "c")) == 10


class Row:
    def __init__(self, counter: int, **values: Any) -> None:
        self.counter = counter
        self.values = {PidTagMid: counter, **{TAGS[name]: value for name, value in values.items()}}

    def get(self, tag: int) -> Any:
        return self.values.get(tag)

    def tags(self) -> list[int]:
        return list(self.values)


TAGS = {
    "subject": PidTagSubject,
    "importance": PidTagImportance,
    "html": PidTagHtml,
    "name": PidTagDisplayName,
}
ROW = Row(1, subject="RE: Budget", importance=2, html=b"abc", name="re: budget")


def text(value: str, low: int, high: int = wire.IGNORE_CASE) -> wire.RestrictContent:
    return wire.RestrictContent(low, high, PidTagSubject, PropertyValue(PidTagSubject, value))


def importance(rel_op: int, value: int) -> wire.RestrictProperty:
    return wire.RestrictProperty(rel_op, PidTagImportance, PropertyValue(PidTagImportance, value))


@pytest.mark.parametrize(
    ("restriction", "holds"),
    [
        (importance(wire.LESS, 3), True),
        (importance(wire.LESS_OR_EQUAL, 1), False),
        (importance(wire.GREATER, 1), True),
        (importance(wire.GREATER_OR_EQUAL, 3), False),
        (importance(wire.EQUAL, 2), True),
        (importance(wire.NOT_EQUAL, 2), False),
        (wire.RestrictProperty(wire.EQUAL, PidTagSubject, PropertyValue(0x0037001E, "re: BUDGET")), True),
        (wire.RestrictProperty(wire.NOT_EQUAL, 0x1035001F, PropertyValue(0x1035001F, "x")), False),
        (text("re: budget", wire.FULL_STRING), True),
        (text("re: budget", wire.FULL_STRING, 0), False),
        (text("budg", wire.SUBSTRING), True),
        (text("budg", wire.PREFIX), False),
        (wire.RestrictContent(wire.PREFIX, 0, PidTagHtml, PropertyValue(PidTagHtml, b"ab")), True),
        (wire.RestrictContent(wire.PREFIX, 0, 0x10090102, PropertyValue(0x10090102, b"ab")), False),
        (wire.RestrictCompareProperties(wire.EQUAL, PidTagSubject, PidTagDisplayName), True),
        (wire.RestrictCompareProperties(wire.EQUAL, PidTagSubject, 0x1035001F), False),
        (wire.RestrictBitmask(1, PidTagImportance, 2), True),
        (wire.RestrictBitmask(0, PidTagImportance, 2), False),
        (wire.RestrictBitmask(0, 0x0E070003, 2), False),
        (wire.RestrictSize(wire.EQUAL, PidTagHtml, 3), True),
        (wire.RestrictSize(wire.EQUAL, 0x10090102, 3), False),
        (wire.RestrictExist(PidTagHtml), True),
        (wire.RestrictExist(0x10090102), False),
        (wire.RestrictNot(wire.RestrictExist(PidTagHtml)), False),
        (wire.RestrictAnd((importance(wire.EQUAL, 2), wire.RestrictExist(PidTagHtml))), True),
        (wire.RestrictAnd((importance(wire.EQUAL, 2), importance(wire.EQUAL, 1))), False),
        (wire.RestrictOr((importance(wire.EQUAL, 2), importance(wire.EQUAL, 1))), True),
        (wire.RestrictOr(()), False),
        (wire.RestrictComment((), None), True),
        (wire.RestrictComment((), importance(wire.EQUAL, 1)), False),
    ],
)
def test_restrictions(restriction: wire.Restriction, holds: bool) -> None:
    assert predicate(restriction)(ROW) is holds


@pytest.mark.parametrize(
    "restriction",
    [
        wire.RestrictCount(1, wire.RestrictExist(PidTagMid)),
        wire.RestrictSubObject(0x0E12000D, wire.RestrictExist(PidTagMid)),
        importance(wire.MATCHES, 1),
        text("x", 7),
        wire.RestrictContent(0, 0, PidTagImportance, PropertyValue(PidTagImportance, 1)),
        wire.RestrictProperty(wire.EQUAL, PidTagSubject, PropertyValue(PidTagImportance, 1)),
        wire.RestrictProperty(wire.EQUAL, 0x00370000, PropertyValue(0x00370000, 1)),
    ],
)
def test_restrictions_that_are_not_evaluated(restriction: wire.Restriction) -> None:
    with pytest.raises(UnsupportedRestrictionError):
        predicate(restriction)


class LiveView(RuleBasedStateMachine):
    """A view that is told of every change shows what a fresh one would, and its cursor stays at its row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, Row] = {}
        self.next_counter = 0
        self.keys = [SortKey(PidTagSubject, True), SortKey(PidTagImportance, False)]
        self.keeps = predicate(wire.RestrictNot(importance(wire.EQUAL, 3)))
        self.view = self.fresh()
        assert list(self.view.upcoming(forward=True)) == []

    def fresh(self) -> TableView:
        view = TableView(lambda: list(self.rows.values()))
        view.sort(self.keys)
        view.restrict(self.keeps)
        return view

    def at_cursor(self) -> Any:
        return next(self.view.upcoming(forward=True), None)

    @rule(subject=st.sampled_from([None, "a", "B", "c"]), value=st.integers(0, 3))
    def add(self, subject: str | None, value: int) -> None:
        values = {"importance": value} if subject is None else {"importance": value, "subject": subject}
        row = Row(self.next_counter, **values)
        before = self.at_cursor()
        self.rows[row.counter] = row
        self.next_counter += 1
        change = self.view.add(row)
        assert (change is None) == (value == 3)
        assert before is None or self.at_cursor() in (before, row)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.rows:
            row = self.rows.pop(data.draw(st.sampled_from(sorted(self.rows))))
            before = self.at_cursor()
            change = self.view.remove(row)
            assert (change is None) == (row.get(PidTagImportance) == 3)
            assert before is row or self.at_cursor() is before

    @rule(data=st.data(), value=st.integers(0, 3))
    def update(self, data: st.DataObject, value: int) -> None:
        if self.rows:
            row = self.rows[data.draw(st.sampled_from(sorted(self.rows)))]
            before = self.at_cursor()
            row.values[PidTagImportance] = value
            self.view.update(row)
            assert before in (row, None) or self.at_cursor() in (before, row)

    @rule(data=st.data())
    def seek(self, data: st.DataObject) -> None:
        self.view.seek(0, data.draw(st.integers(0, len(self.view))))

    @invariant()
    def shows_what_a_fresh_view_would(self) -> None:
        assert [row for _, row in self.view.entries] == [row for _, row in self.fresh().entries]
        assert 0 <= self.view.position <= len(self.view)


TestLiveView = LiveView.TestCase


def test_a_row_that_changes_behind_the_cursor_stays_there() -> None:
    rows = [Row(number, importance=1) for number in range(3)]
    view = TableView(lambda: rows)
    view.seek(0, 2)
    for row in rows:
        view.update(row)
        assert view.position == 2
    view.reset()
    assert (view.position, view.columns, view.is_live) == (0, (), False)


def test_a_table_that_nobody_reads_costs_nothing() -> None:
    view = TableView(lambda: pytest.fail("nobody asked for rows"))
    view.sort([SortKey(PidTagSubject, False)])
    assert view.add(ROW) is view.remove(ROW) is view.update(ROW) is None


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, "x", "y"])), max_size=30),
    st.integers(0, 200),
)
def test_notifications_come_in_order_and_replace_what_they_outdate(
    puts: list[tuple[int, Any]], room: int
) -> None:
    queue = NotificationQueue()
    arrivals: list[int] = []
    queue.on_arrival = lambda: arrivals.append(len(queue))
    expected: dict[Any, bytes] = {}
    for number, (handle, replaces) in enumerate(puts):
        data = bytes((handle, number)) * 5
        queue.put(handle, data, replaces=replaces)
        key = (handle, number if replaces is None else replaces)
        expected.pop(key, None)
        expected[key] = data
    assert len(arrivals) == len(puts)
    assert [queue.count_of(handle) for handle in (1, 2, 3)] == [
        sum(key[0] == handle for key in expected) for handle in (1, 2, 3)
    ]
    taken = queue.take(room)
    assert taken == list(expected.values())[: room // 10]
    queue.drop(2)
    assert queue.count_of(2) == 0
    assert all(data[0] != 2 for data in queue.take(10_000))
    assert len(queue) == 0


def test_object_ids_count_up(mailbox: Mailbox) -> None:
    assert mailbox.inbox.folder_id == object_id(1, 0x105)
    assert mailbox.new_counter(3) + 3 == mailbox.new_counter()
