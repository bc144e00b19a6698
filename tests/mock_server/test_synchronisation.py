"""Synchronisation: what clients download of a folder, however often and wherever they are interrupted."""

from typing import Any

import pytest

from loadgen.wire.fasttransfer.changes import (
    MessageChange,
    ProgressPerMessage,
    ProgressTotal,
)
from loadgen.wire.fasttransfer.message import value_of
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsReader
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import IdSetByReplGuid
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagBody,
    PidTagContainerClass,
    PidTagDisplayName,
    PidTagHtml,
    PidTagImportance,
    PidTagMessageAttachments,
    PidTagSubject,
    PropertyValue,
)
from loadgen.wire.property_names import PropertyName
from loadgen.wire.restrictions import EQUAL, RestrictCount, RestrictExist, RestrictProperty
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop.buffer import NO_HANDLE
from mock_server.mailboxes.mailbox import Mailbox
from mock_server.mailboxes.message import Message
from tests.mock_server.cached_client import (
    CONTENTS_FLAGS,
    UNICODE,
    Replica,
    configure,
    fetch,
    folders_of,
    get_buffer,
    items_of,
    note,
    open_folder,
    put,
    source_key,
    truth,
    upload_state,
)
from tests.mock_server.store_client import (
    INBOX,
    NEW_YEAR,
    StoreClient,
    Stores,
    compose,
    online,
    send,
)

IPM_SUBTREE = object_id(1, 0x104)
LONG_AGO = NEW_YEAR - 1
FAR_FUTURE = NEW_YEAR * 2


@pytest.fixture
def replica(client: StoreClient) -> Replica:
    return Replica(client, INBOX)


def put_associated(mailbox: Mailbox, subject: str) -> Message:
    message = mailbox.new_message(mailbox.inbox, note(subject), associated=True)
    mailbox.add_message(message)
    return message


def kinds(items: list[Any]) -> list[str]:
    return [type(item).__name__ for item in items]


def subjects(items: list[Any]) -> list[str]:
    return [value_of(i.content.properties, PidTagSubject) for i in items if isinstance(i, MessageChange)]


def test_a_first_download_brings_all_and_a_second_nothing(replica: Replica, mailbox: Mailbox) -> None:
    put(mailbox, "one", "two")
    put_associated(mailbox, "view")
    assert replica.download()
    assert replica.messages == truth(mailbox, INBOX)
    assert kinds(replica.received) == ["MessageChange", "MessageChange", "MessageChange", "State"]
    assert subjects(replica.received) == ["view", "one", "two"]
    assert replica.download()
    assert kinds(replica.received) == ["State"]


def test_a_header_tells_the_version(replica: Replica, mailbox: Mailbox) -> None:
    (message,) = put(mailbox, "one", size=100)
    replica.download()
    header = replica.received[0].header
    assert header.source_key == source_key(mailbox, message.message_id)
    assert header.change_key == source_key(mailbox, object_id(1, message.change_counter))
    assert header.predecessor_change_list == b"\x16" + header.change_key
    assert (header.message_id, header.message_size) == (message.message_id, message.content.size)
    assert header.change_number == object_id(1, message.change_counter)
    assert header.last_modification_time == message.modified
    assert header.properties == ()


def test_changes_deletions_and_marks_come_in_their_places(replica: Replica, mailbox: Mailbox) -> None:
    one, two, three, four = put(mailbox, "one", "two", "three", "four")
    mailbox.set_read([four], read=True)
    replica.download()
    mailbox.delete_messages(mailbox.inbox, [one])
    mailbox.move_messages(mailbox.inbox, mailbox.deleted_items, [two])
    mailbox.set_read([three], read=True)
    mailbox.set_read([four], read=False)
    put(mailbox, "five")
    replica.download()
    assert kinds(replica.received) == ["MessageChange", "Deletions", "ReadStateChanges", "State"]
    _, deletions, marks, state = replica.received
    assert set(deletions.deleted) == {one.message_id, two.message_id}
    assert (set(marks.read_ids), set(marks.unread_ids)) == ({three.message_id}, {four.message_id})
    assert {int.from_bytes(key[16:], "big") for key in state.idset_given} == {
        message.counter for message in mailbox.inbox.messages.values()
    }
    assert replica.messages == truth(mailbox, INBOX)
    replica.download()
    assert kinds(replica.received) == ["State"]


def test_a_change_sent_whole_brings_its_read_mark_along(replica: Replica, mailbox: Mailbox) -> None:
    (message,) = put(mailbox, "one")
    replica.download()
    mailbox.set_read([message], read=True)
    mailbox.replace_content(message, note("changed"))
    replica.download()
    assert kinds(replica.received) == ["MessageChange", "State"]
    assert replica.messages == truth(mailbox, INBOX)


def test_flags_choose_what_is_told(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one")
    put_associated(mailbox, "view")

    def told(flags: int) -> list[str]:
        return subjects(items_of(client, configure(client, INBOX, ics.SYNC_UNICODE | flags)))

    assert told(ics.SYNC_NORMAL) == ["one"]
    assert told(ics.SYNC_FAI) == ["view"]
    assert told(ics.SYNC_FAI | ics.SYNC_NORMAL) == ["view", "one"]


def test_what_was_not_asked_for_is_not_taken_for_seen(replica: Replica, mailbox: Mailbox) -> None:
    (message,) = put(mailbox, "one")
    put_associated(mailbox, "view")
    replica.download(flags=ics.SYNC_UNICODE | ics.SYNC_NORMAL)
    mailbox.set_read([message], read=True)
    replica.download(flags=ics.SYNC_UNICODE | ics.SYNC_FAI | ics.SYNC_READ_STATE)
    assert subjects(replica.received) == ["view"]
    replica.download(flags=ics.SYNC_UNICODE | ics.SYNC_NORMAL)
    assert kinds(replica.received) == ["State"]
    replica.download()
    assert kinds(replica.received) == ["ReadStateChanges", "State"]
    assert replica.messages == truth(mailbox, INBOX)


def test_deletions_can_be_left_out(replica: Replica, mailbox: Mailbox) -> None:
    (message,) = put(mailbox, "one")
    replica.download()
    mailbox.delete_messages(mailbox.inbox, [message])
    replica.download(flags=CONTENTS_FLAGS | ics.SYNC_NO_DELETIONS)
    assert kinds(replica.received) == ["State"]
    replica.download()
    assert kinds(replica.received) == ["Deletions", "State"]
    assert replica.messages == {}


def test_progress_stands_before_each_message(client: StoreClient, mailbox: Mailbox) -> None:
    (message,) = put(mailbox, "one", size=1000)
    view = put_associated(mailbox, "view")
    items = items_of(client, configure(client, INBOX, CONTENTS_FLAGS | ics.SYNC_PROGRESS))
    assert items[:2] == [
        ProgressTotal(1, view.content.size, 1, message.content.size),
        ProgressPerMessage(view.content.size, True),
    ]
    assert items[3] == ProgressPerMessage(message.content.size, False)


def test_newest_mail_first(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", "two", "three")
    handle = configure(client, INBOX, extras=ics.EXTRA_ORDER_BY_DELIVERY_TIME)
    items = items_of(client, handle)
    assert subjects(items) == ["three", "two", "one"]
    header = items[0].header
    assert (header.message_id, header.message_size, header.change_number) == (None, None, None)


def test_properties_are_left_out_or_the_only_ones(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", size=10, properties={PidTagImportance: 2})
    put_associated(mailbox, "view")

    def told(flags: int, *tags: int) -> list[MessageChange]:
        handle = configure(client, INBOX, CONTENTS_FLAGS | flags, tags=tags)
        return [item for item in items_of(client, handle) if isinstance(item, MessageChange)]

    _, without = told(0, PidTagImportance, PidTagMessageAttachments)
    assert value_of(without.content.properties, PidTagImportance) is None
    assert value_of(without.content.properties, PidTagSubject) == "one"
    assert (without.content.attachments, without.content.replaces_attachments) == ((), False)
    view, only = told(ics.SYNC_ONLY_SPECIFIED_PROPERTIES, PidTagSubject)
    assert [known.tag for known in only.content.properties] == [PidTagSubject]
    assert (only.content.attachments, only.content.replaces_recipients) == ((), False)
    assert len(view.content.properties) == 1
    view, _ = told(ics.SYNC_ONLY_SPECIFIED_PROPERTIES | ics.SYNC_IGNORE_SPECIFIED_ON_FAI, PidTagSubject)
    assert len(view.content.properties) > 1


def test_the_best_body_is_one(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", properties={PidTagBody: "plain", PidTagHtml: b"<p>rich"})
    put(mailbox, "two", properties={PidTagBody: "plain"})

    def bodies(flags: int) -> list[tuple[Any, Any]]:
        items = items_of(client, configure(client, INBOX, CONTENTS_FLAGS | flags))
        found = [item.content.properties for item in items if isinstance(item, MessageChange)]
        return [(value_of(each, PidTagBody), value_of(each, PidTagHtml)) for each in found]

    assert bodies(0) == [("plain", b"<p>rich"), ("plain", None)]
    assert bodies(ics.SYNC_BEST_BODY) == [(None, b"<p>rich"), ("plain", None)]


def test_strings_of_eight_bits(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "na\u00efve \u20ac", properties={0x6800101F: ("a", "\u20ac")})
    handle = configure(client, INBOX, CONTENTS_FLAGS & ~ics.SYNC_UNICODE, options=0)
    (change, _) = items_of(client, handle)
    assert value_of(change.content.properties, 0x0037001E) == "na\u00efve ?"
    assert value_of(change.content.properties, 0x6800101E) == ("a", "?")
    folders = configure(client, IPM_SUBTREE, 0, kind=ics.HIERARCHY, options=0)
    buffers, _ = fetch(client, folders)
    assert b"Inbox\0" in b"".join(buffers)


def test_named_properties_carry_their_names(stores: Stores, client: StoreClient, mailbox: Mailbox) -> None:
    name = PropertyName(bytes(range(16)), name="Keywords")
    number = stores.stores["MBX1"].names.id_of(name, create=True)
    put(mailbox, "one", properties={number << 16 | 3: 7, 0xFFF00003: 8, 0x6801000D: b"object"})
    (change, _) = items_of(client, configure(client, INBOX))
    named = [known for known in change.content.properties if known.tag >= 0x80000000]
    assert [(known.name, known.value) for known in named] == [(name, 7)]


def test_a_restriction_is_a_scope(replica: Replica, mailbox: Mailbox) -> None:
    important = RestrictProperty(EQUAL, PidTagImportance, PropertyValue(PidTagImportance, 2))
    one, _two = put(mailbox, "one", "two", properties={PidTagImportance: 2})
    put(mailbox, "three", properties={PidTagImportance: 1})
    replica.download(restriction=important)
    assert [copy.subject for copy in replica.messages.values()] == ["one", "two"]
    mailbox.replace_content(one, note("one", properties={PidTagImportance: 0}))
    ignoring = CONTENTS_FLAGS | ics.SYNC_IGNORE_NO_LONGER_IN_SCOPE
    before = replica.state
    replica.download(flags=ignoring, restriction=important)
    assert kinds(replica.received) == ["State"]
    replica.state = before
    replica.download(restriction=important)
    (deletions, _) = replica.received
    assert (set(deletions.deleted), set(deletions.no_longer_in_scope)) == (set(), {one.message_id})
    assert [copy.subject for copy in replica.messages.values()] == ["two"]


def test_ids_of_other_replicas_stay_as_they_were(replica: Replica, mailbox: Mailbox) -> None:
    foreign = IdSetByReplGuid.of([bytes(16) + bytes((0, 0, 0, 0, 0, 9))])
    replica.state = State(foreign, foreign, foreign, foreign)
    put(mailbox, "one")
    replica.download()
    assert all(9 in sets.counters(bytes(16)) for sets in msgspec_sets(replica.state))
    assert replica.messages == truth(mailbox, INBOX)


def msgspec_sets(state: State) -> list[IdSetByReplGuid]:
    return [IdSetByReplGuid.decode(data) for _, data in state.values()]


def test_a_state_comes_in_pieces_and_under_both_tags(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one")
    replica = Replica(client, INBOX)
    replica.download()
    handle = configure(client, INBOX)
    upload_state(client, handle, replica.state, piece=3)
    given = replica.state.idset_given.encode()
    rops = (
        ics.RopSynchronizationUploadStateStreamBeginRequest(0, 0, 0x40170102, len(given)),
        ics.RopSynchronizationUploadStateStreamContinueRequest(0, 0, given),
        ics.RopSynchronizationUploadStateStreamEndRequest(0, 0),
    )
    answers, _ = client.rops(rops, [handle])
    assert [answer.return_value for answer in answers] == [0, 0, 0]
    assert kinds(items_of(client, handle)) == ["State"]


def begin(tag: int, size: int = 1) -> ics.RopSynchronizationUploadStateStreamBeginRequest:
    return ics.RopSynchronizationUploadStateStreamBeginRequest(0, 0, tag, size)


def go_on(data: bytes = b"x") -> ics.RopSynchronizationUploadStateStreamContinueRequest:
    return ics.RopSynchronizationUploadStateStreamContinueRequest(0, 0, data)


END = ics.RopSynchronizationUploadStateStreamEndRequest(0, 0)
STATE = ics.RopSynchronizationGetTransferStateRequest(0, 0, 1)


@pytest.mark.parametrize(
    ("rops", "code"),
    [
        ([go_on()], 0x80004005),
        ([END], 0x80004005),
        ([begin(0x67960102), begin(0x67960102)], 0x80004005),
        ([begin(0x67960102), get_buffer(0)], 0x80004005),
        ([begin(0x67960102), STATE], 0x80004005),
        ([begin(0x12340102)], 0x80070057),
        ([begin(0x67960102, 1), go_on(b"xy")], 0x80040600),
        ([begin(0x67960102, 2), go_on(b"x"), END], 0x80040600),
        ([begin(0x67960102, 1), go_on(b"x"), END], 0x80040600),
        ([begin(0x67960102, 0x1000001)], 0x80040305),
        ([get_buffer(0), begin(0x67960102)], 0x80004005),
        ([STATE, begin(0x67960102)], 0x80004005),
    ],
)
def test_states_out_of_order_or_shape_are_refused(client: StoreClient, rops: list[Any], code: int) -> None:
    answers, _ = client.rops(rops, [configure(client, INBOX), NO_HANDLE])
    assert [answer.return_value for answer in answers] == [0] * (len(rops) - 1) + [code]


@pytest.mark.parametrize("tag", [0x67DA0102, 0x67D20102])
def test_a_hierarchy_has_two_sets_only(client: StoreClient, tag: int) -> None:
    handle = configure(client, IPM_SUBTREE, ics.SYNC_UNICODE, kind=ics.HIERARCHY)
    assert client.one(begin(tag), handle).return_value == 0x80070057


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"synchronization_type": 3}, 0x80070057),
        ({"synchronization_flags": ics.SYNC_UNICODE}, 0x80070057),
        ({"synchronization_flags": ics.SYNC_NORMAL}, 0x80070057),
        ({"send_options": 0x80}, 0x80070057),
        ({"restriction": RestrictCount(1, RestrictExist(PidTagSubject))}, 0x80040117),
        ({"synchronization_type": ics.HIERARCHY}, 0x80070057),
        (
            {
                "synchronization_type": ics.HIERARCHY,
                "synchronization_flags": ics.SYNC_UNICODE,
                "restriction": RestrictExist(PidTagSubject),
            },
            0x80070057,
        ),
    ],
)
def test_wrong_wishes_are_refused(client: StoreClient, changes: dict[str, Any], code: int) -> None:
    wish = {
        "synchronization_type": ics.CONTENTS,
        "send_options": UNICODE,
        "synchronization_flags": CONTENTS_FLAGS,
        **changes,
    }
    request = ics.RopSynchronizationConfigureRequest(0, 0, 1, **wish)
    (answer,), table = client.rops([request], [open_folder(client, INBOX), NO_HANDLE])
    assert answer.return_value == code
    assert table[1] == NO_HANDLE


def test_other_objects_do_not_synchronise(client: StoreClient) -> None:
    configuring = ics.RopSynchronizationConfigureRequest(0, 0, 1, 1, UNICODE, CONTENTS_FLAGS)
    (answer,), _ = client.rops([configuring], [client.logon, NO_HANDLE])
    assert answer.return_value == 0x80040102
    for request in (begin(0x67960102), get_buffer(0)):
        assert client.one(request, client.logon).return_value == 0x80040102
    assert client.one(get_buffer(0), 0x999).return_value == 0x4B9


@pytest.mark.parametrize("size", [40, 100, 1000, 0x7BC0, 0xFFFF, 0])
def test_buffers_of_any_size_give_the_same_stream(client: StoreClient, mailbox: Mailbox, size: int) -> None:
    put(mailbox, "one", "two", size=700)
    buffers, done = fetch(client, configure(client, INBOX), size)
    whole, _ = fetch(client, configure(client, INBOX), 0x7000)
    assert done
    assert b"".join(buffers) == b"".join(whole)


def test_a_buffer_too_small_for_one_value_says_so(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one")
    handle = configure(client, INBOX)
    answer = client.one(get_buffer(3), handle)
    assert (answer.return_value, answer.transfer_status, answer.data) == (0, fx.TRANSFER_NO_ROOM, b"")
    assert kinds(items_of(client, handle)) == ["MessageChange", "State"]
    again = client.one(get_buffer(100), handle)
    assert (again.transfer_status, again.data) == (fx.TRANSFER_DONE, b"")


def test_chains_fill_the_answer(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", size=150_000)
    handle = configure(client, INBOX)
    exact = fx.RopFastTransferSourceGetBufferRequest(0, 0, 60000)
    answers, _ = client.rops([exact], [handle], flags=7, out_max=0x40000)
    assert sum(len(answer.data) for answer in answers) == 60000
    assert [answer.transfer_status for answer in answers] == [fx.TRANSFER_PARTIAL] * 2
    answers, _ = client.rops([get_buffer(0)], [handle], flags=7, out_max=0x18007)
    assert [len(answer.data) for answer in answers[:2]] == [0x7BC0, 0x7BC0]
    assert answers[-1].transfer_status == fx.TRANSFER_DONE
    assert (answers[-1].in_progress_count, answers[-1].total_step_count) == (1, 1)


def test_a_buffer_waits_when_other_answers_took_the_room(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", size=50_000)
    handles = [configure(client, INBOX), configure(client, INBOX)]
    second = fx.RopFastTransferSourceGetBufferRequest(0, 1, 1000)
    (first, refused), _ = client.rops([get_buffer(0x7F00), second], handles)
    assert len(first.data) == 0x7F00
    assert refused.request_buffers[0] == second.rop_id


def test_a_checkpoint_counts_what_was_received_whole(client: StoreClient, mailbox: Mailbox) -> None:
    put(mailbox, "one", "two", "three", size=3000)
    replica = Replica(client, INBOX)
    assert not replica.download(4000, most=1)
    assert subjects(replica.received) == ["one"]
    assert len(replica.state.idset_given) == 1
    assert replica.download()
    assert subjects(replica.received) == ["two", "three"]
    assert replica.messages == truth(mailbox, INBOX)


def test_every_cut_of_a_stream_can_be_resumed(client: StoreClient, mailbox: Mailbox) -> None:
    one, two, three = put(mailbox, "one", "two", "three")
    state = Replica(client, INBOX)
    state.download()
    mailbox.delete_messages(mailbox.inbox, [one])
    mailbox.set_read([two], read=True)
    mailbox.replace_content(three, note("changed"))
    put(mailbox, "four")
    whole = len(b"".join(fetch(client, configure(client, INBOX, state=state.state))[0]))
    for cut in range(8, whole, 7):
        replica = Replica(client, INBOX)
        replica.state, replica.messages = state.state, dict(state.messages)
        assert not replica.download(cut, most=1)
        assert replica.download()
        assert replica.messages == truth(mailbox, INBOX), cut


def test_what_changes_during_a_download_comes_now_or_next_time(client: StoreClient, mailbox: Mailbox) -> None:
    first, *rest = put(mailbox, *"abcdef", size=2000)
    replica = Replica(client, INBOX)
    handle = configure(client, INBOX)
    buffers, _ = fetch(client, handle, 3000, most=1)
    mailbox.delete_messages(mailbox.inbox, [first, rest[0]])
    mailbox.replace_content(rest[1], note("changed"))
    mailbox.set_read([rest[2]], read=True)
    put(mailbox, "later")
    more, done = fetch(client, handle, 3000)
    assert done
    reader = ContentsReader()
    replica._take([item for buffer in buffers + more for item in reader.feed(buffer)], done=True)
    assert "changed" in [copy.subject for copy in replica.messages.values()]
    replica.download()
    assert subjects(replica.received) == ["later"]
    assert kinds(replica.received) == ["MessageChange", "Deletions", "State"]
    assert replica.messages == truth(mailbox, INBOX)


def test_a_draft_of_long_ago_is_a_change_of_now(replica: Replica, mailbox: Mailbox) -> None:
    draft = mailbox.new_message(mailbox.inbox, note("draft"))
    put(mailbox, "meanwhile")
    replica.download()
    mailbox.add_message(draft)
    replica.download()
    assert subjects(replica.received) == ["draft"]


def test_mail_to_many_keeps_sharing_its_bytes(stores: Stores) -> None:
    sender, readers = online(stores, 0), [online(stores, index) for index in (1, 2, 3)]
    data = bytes(range(256)) * 200
    send(sender, compose(sender, stores, "to all", b"<p>all", data, (1, 2, 3)))
    for reader in readers:
        replica = Replica(reader, INBOX)
        replica.download()
        (copy,) = replica.messages.values()
        assert copy.data == (data,)
        content = replica.received[0].content
        addresses = [value_of(recipient.properties, 0x3003001F) for recipient in content.recipients]
        assert addresses == [stores.directory.users[index].dn for index in (1, 2, 3)]
    held = {
        id(message.content.attachments[0].properties[PidTagAttachDataBinary])
        for index in (1, 2, 3)
        for message in stores.stores["MBX1"].mailbox(stores.directory.users[index]).inbox.messages.values()
    }
    assert len(held) == 1


def hierarchy(client: StoreClient, state: State | None = None, flags: int = 0) -> list[Any]:
    handle = configure(client, IPM_SUBTREE, ics.SYNC_UNICODE | flags, kind=ics.HIERARCHY, state=state)
    return items_of(client, handle, hierarchy=True)


def test_folders_come_once_with_parents_first(client: StoreClient, mailbox: Mailbox) -> None:
    projects = mailbox.create_folder(mailbox.inbox, {PidTagDisplayName: "Projects"})
    *changes, state = items = hierarchy(client)
    names = folders_of(items)
    assert names[:2] == ["Inbox", "Projects"]
    assert "Top of Information Store" not in names
    inbox, below = changes[:2]
    assert (inbox.parent_source_key, below.parent_source_key) == (b"", inbox.source_key)
    assert (below.folder_id, below.parent_folder_id) == (projects.folder_id, INBOX)
    assert value_of(inbox.properties, PidTagContainerClass) == "IPF.Note"
    assert (state.cnset_seen_fai, state.cnset_read) == (None, None)
    assert kinds(hierarchy(client, state)) == ["State"]


def test_folders_change_with_their_names_and_contents(client: StoreClient, mailbox: Mailbox) -> None:
    projects = mailbox.create_folder(mailbox.inbox, {PidTagDisplayName: "Projects"})
    *_, state = hierarchy(client)
    mailbox.set_folder_properties(projects, {PidTagDisplayName: "Old projects"})
    put(mailbox, "one")
    *changes, state = hierarchy(client, state)
    assert folders_of(changes) == ["Inbox", "Old projects"]
    assert value_of(changes[0].properties, 0x36020003) == 1
    mailbox.delete_folder(projects)
    assert kinds(hierarchy(client, state, ics.SYNC_NO_DELETIONS)) == ["State"]
    (deletions, state) = hierarchy(client, state)
    assert set(deletions.deleted) == {projects.folder_id}
    assert kinds(hierarchy(client, state)) == ["State"]


def test_a_folder_deleted_on_the_way_is_passed_over(client: StoreClient, mailbox: Mailbox) -> None:
    late = mailbox.create_folder(mailbox.deleted_items, {PidTagDisplayName: "Late"})
    handle = configure(client, IPM_SUBTREE, ics.SYNC_UNICODE, kind=ics.HIERARCHY)
    buffers, _ = fetch(client, handle, 200, most=1)
    mailbox.delete_folder(late)
    more, _ = fetch(client, handle)
    assert "Late".encode("utf-16-le") not in b"".join(buffers + more)
