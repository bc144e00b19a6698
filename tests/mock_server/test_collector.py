"""What cached clients upload: new and changed messages, deletions, moves, marks, folders, ids."""

from typing import Any

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagChangeKey,
    PidTagContainerClass,
    PidTagContentCount,
    PidTagDisplayName,
    PidTagLastModificationTime,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagSourceKey,
    PidTagSubject,
    PropertyValue,
)
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_upload as upload
from loadgen.wire.rop import oxcmsg, oxcprpt
from loadgen.wire.rop.buffer import NO_HANDLE
from mock_server.mailboxes.mailbox import Mailbox
from mock_server.mailboxes.message import Message
from tests.mock_server.cached_client import (
    Copy,
    Replica,
    change_key,
    change_values,
    note,
    open_folder,
    put,
    reserve,
    source_key,
    transfer_state,
    truth,
    upload_state,
)
from tests.mock_server.store_client import DELETED_ITEMS, INBOX, NEW_YEAR, StoreClient

IPM_SUBTREE = object_id(1, 0x104)
LONG_AGO = NEW_YEAR - 1
FAR_FUTURE = NEW_YEAR * 2
MINE = Copy("mine", (b"data",), False, False)


@pytest.fixture
def replica(client: StoreClient) -> Replica:
    return Replica(client, INBOX)


def key_of(message: Message) -> bytes:
    return message.store.source_key(message.message_id)


def known(replica: Replica, mailbox: Mailbox, subject: str = "one") -> Message:
    """A message of the Inbox that the replica has."""
    (message,) = put(mailbox, subject)
    replica.download()
    return message


def test_a_new_message_has_the_id_and_the_version_of_its_client(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    counter = reserve(client, 5)
    message_id = object_id(1, counter)
    values = change_values(source_key(mailbox, message_id), 1, FAR_FUTURE)
    assert replica.write(values, MINE) == 0
    message = mailbox.inbox.messages[message_id]
    assert (message.get(PidTagChangeKey), message.modified) == (change_key(1), FAR_FUTURE)
    assert message.get(PidTagPredecessorChangeList) == values[3].value
    assert counter not in mailbox.reserved
    assert counter + 1 in mailbox.reserved
    replica.messages[message_id] = MINE
    replica.download()
    assert len(replica.received) == 1
    (other,) = [Replica(client, INBOX)]
    other.download()
    assert other.messages == truth(mailbox, INBOX)


def test_an_id_is_used_up_by_saving_alone(client: StoreClient, replica: Replica, mailbox: Mailbox) -> None:
    values = change_values(source_key(mailbox, object_id(1, reserve(client, 1))), 1, NEW_YEAR)
    assert replica.write(values, MINE, save=False) == 0
    collector = replica.collector()
    request = upload.RopSynchronizationImportMessageChangeRequest(0, 0, 1, 0, values)
    late = client.open(request, collector)
    assert replica.write(values, MINE) == 0
    saving = oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, 0)
    assert client.one(saving, late).return_value == 0x80040800
    assert len(mailbox.inbox.messages) == 1


def test_a_hidden_message_is_uploaded_as_one(client: StoreClient, replica: Replica, mailbox: Mailbox) -> None:
    message_id = object_id(1, reserve(client, 1))
    values = change_values(source_key(mailbox, message_id), 1, NEW_YEAR)
    assert replica.write(values, MINE, flag=upload.IMPORT_ASSOCIATED) == 0
    assert list(mailbox.inbox.associated) == [message_id]
    newer = change_values(source_key(mailbox, message_id), 2, NEW_YEAR, values[3].value)
    assert replica.write(newer, MINE) == 0x80070057
    replica.download()
    assert len(replica.received) == 1


def test_a_later_version_of_a_client_is_taken(replica: Replica, mailbox: Mailbox) -> None:
    message = known(replica, mailbox)
    before = message.history.change_key
    values = change_values(key_of(message), 1, FAR_FUTURE, replica.predecessors[message.message_id])
    assert replica.write(values, MINE) == 0
    assert message.content.properties[PidTagSubject] == "mine"
    assert message.history.latest == tuple(sorted([before, change_key(1)]))
    assert message.modified == FAR_FUTURE
    replica.download()
    assert len(replica.received) == 1
    assert replica.write(values, MINE) == 0x80040801
    mailbox.replace_content(message, note("the server's"))
    assert message.history.change_key == mailbox.identity.source_key(object_id(1, message.change_counter))
    assert message.history.has_seen([change_key(1), before])


@pytest.mark.parametrize(("modified", "winner"), [(FAR_FUTURE, "mine"), (LONG_AGO, "the server's")])
def test_of_two_versions_in_conflict_the_later_stays(
    replica: Replica, mailbox: Mailbox, modified: int, winner: str
) -> None:
    message = known(replica, mailbox)
    mailbox.replace_content(message, note("the server's"))
    values = change_values(key_of(message), 1, modified, replica.predecessors[message.message_id])
    refused = upload.IMPORT_FAIL_ON_CONFLICT
    assert replica.write(values, MINE, flag=refused) == 0x80040802
    assert replica.write(values, MINE) == 0
    assert message.content.properties[PidTagSubject] == winner
    assert message.history.has_seen([change_key(1)])
    replica.messages[message.message_id] = MINE
    replica.download()
    assert replica.messages == truth(mailbox, INBOX)
    again = change_values(key_of(message), 2, modified, message.history.predecessor_change_list)
    assert replica.write(again, MINE) == 0
    assert message.content.properties[PidTagSubject] == "mine"


def test_a_loser_that_is_deleted_meanwhile(client: StoreClient, replica: Replica, mailbox: Mailbox) -> None:
    message = known(replica, mailbox)
    mailbox.replace_content(message, note("the server's"))
    values = change_values(key_of(message), 1, LONG_AGO)
    request = upload.RopSynchronizationImportMessageChangeRequest(0, 0, 1, 0, values)
    opened = client.open(request, replica.collector())
    mailbox.delete_messages(mailbox.inbox, [message])
    assert client.one(oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, 0), opened).return_value == 0x8004010A


def test_an_imported_message_can_be_saved_twice(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    values = change_values(key_of(message), 1, NEW_YEAR, replica.predecessors[message.message_id])
    request = upload.RopSynchronizationImportMessageChangeRequest(0, 0, 1, 0, values)
    opened = client.open(request, replica.collector())
    for subject in ("first", "second"):
        changing = oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(PidTagSubject, subject),))
        saving = oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, oxcmsg.KEEP_OPEN_READ_WRITE)
        answers, _ = client.rops([changing, saving], [opened])
        assert [answer.return_value for answer in answers] == [0, 0]
    assert message.content.properties[PidTagSubject] == "second"
    assert message.history.change_key != change_key(1)
    assert message.history.has_seen([change_key(1)])


def test_deletions_are_carried_out_and_not_told_again(replica: Replica, mailbox: Mailbox) -> None:
    one, two = put(mailbox, "one", "two")
    replica.download()
    keys = (key_of(one), key_of(one), source_key(mailbox, object_id(1, 0x777)))
    assert replica.upload(upload.RopSynchronizationImportDeletesRequest(0, 0, 0, keys)) == [0]
    assert list(mailbox.inbox.messages) == [two.message_id]
    replica.download()
    assert len(replica.received) == 1
    hard = upload.RopSynchronizationImportDeletesRequest(0, 0, upload.DELETE_HARD, (key_of(two),))
    assert replica.upload(hard) == [0x80040102]


def test_the_last_of_several_marks_counts(replica: Replica, mailbox: Mailbox) -> None:
    one, two = put(mailbox, "one", "two")
    replica.download()
    states = tuple(
        upload.MessageReadState(key, read)
        for key, read in (
            (key_of(one), True),
            (key_of(two), True),
            (key_of(two), False),
            (source_key(mailbox, object_id(1, 0x777)), True),
        )
    )
    assert replica.upload(upload.RopSynchronizationImportReadStateChangesRequest(0, 0, states)) == [0]
    assert (one.is_read, two.is_read, mailbox.inbox.unread) == (True, False, 1)
    replica.download()
    assert len(replica.received) == 1


def moving(replica: Replica, mailbox: Mailbox, message: Message, there: int, **changes: Any) -> Any:
    values = {
        "source_folder_id": source_key(mailbox, INBOX),
        "source_message_id": key_of(message),
        "predecessor_change_list": replica.predecessors.get(message.message_id, b""),
        "destination_message_id": source_key(mailbox, there),
        "change_number": change_key(1),
        **changes,
    }
    return upload.RopSynchronizationImportMessageMoveRequest(0, 0, **values)


def test_a_move_keeps_what_the_client_knows(client: StoreClient, replica: Replica, mailbox: Mailbox) -> None:
    message = known(replica, mailbox)
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    assert target.upload(moving(replica, mailbox, message, there)) == [0]
    moved = mailbox.deleted_items.messages[there]
    assert moved.content is message.content
    assert moved.history.change_key == change_key(1)
    target.messages[there] = replica.messages.pop(message.message_id)
    target.download()
    assert len(target.received) == 1
    assert target.messages == truth(mailbox, DELETED_ITEMS)
    assert target.upload(moving(replica, mailbox, message, there)) == [0x80040800]


def test_a_move_of_what_the_server_changed_is_told(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    mailbox.replace_content(message, note("the server's"))
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    assert target.upload(moving(replica, mailbox, message, there)) == [0]
    target.download()
    assert target.messages == truth(mailbox, DELETED_ITEMS)


def test_a_move_of_what_the_client_changed_says_so(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    newer = replica.predecessors[message.message_id] + b"\x14" + bytes(16) + b"\0\0\0\1"
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    request = moving(replica, mailbox, message, there, predecessor_change_list=newer)
    assert target.upload(request) == [upload.NEWER_CLIENT_CHANGE]
    assert mailbox.deleted_items.messages[there].history.change_key != change_key(1)
    target.download()
    assert len(target.received) == 1


def test_a_mark_made_elsewhere_reaches_a_moved_message(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    mailbox.set_read([message], read=True)
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    assert target.upload(moving(replica, mailbox, message, there)) == [0]
    target.messages[there] = replica.messages[message.message_id]
    target.download()
    assert target.messages == truth(mailbox, DELETED_ITEMS)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source_folder_id": b"short"}, 0x80070057),
        ({"source_message_id": bytes(22)}, 0x80070057),
        ({"predecessor_change_list": b"\x05short"}, 0x80070057),
        ({"predecessor_change_list": b"\x16short"}, 0x80070057),
        ({"change_number": bytes(22)}, 0x80070057),
        ({"change_number": bytes(16)}, 0x80070057),
    ],
)
def test_wrong_moves_are_refused(
    client: StoreClient, replica: Replica, mailbox: Mailbox, changes: dict[str, bytes], code: int
) -> None:
    message = known(replica, mailbox)
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    assert target.upload(moving(replica, mailbox, message, there, **changes)) == [code]
    assert not message.deleted


def test_moves_from_nowhere_and_to_ids_of_others_are_refused(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    there = object_id(1, reserve(client, 1))
    target = Replica(client, DELETED_ITEMS)
    nowhere = source_key(mailbox, object_id(1, 0x999))
    assert target.upload(moving(replica, mailbox, message, there, source_folder_id=nowhere)) == [0x8004010F]
    assert target.upload(moving(replica, mailbox, message, message.message_id)) == [0x80040800]
    future = object_id(1, mailbox.last_counter + 1)
    assert target.upload(moving(replica, mailbox, message, future)) == [0x80070057]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda values: values[:3], 0x80070057),
        (lambda values: values[::-1], 0x80070057),
        (lambda values: (PropertyValue(PidTagSourceKey, bytes(22)), *values[1:]), 0x80070057),
        (lambda values: (*values[:2], PropertyValue(PidTagChangeKey, bytes(25)), values[3]), 0x80070057),
        (lambda values: (*values[:3], PropertyValue(PidTagPredecessorChangeList, b"x")), 0x80070057),
    ],
)
def test_wrong_values_of_a_change_are_refused(
    client: StoreClient, replica: Replica, mailbox: Mailbox, change: Any, code: int
) -> None:
    values = change_values(source_key(mailbox, object_id(1, reserve(client, 1))), 1, NEW_YEAR)
    assert replica.write(change(values), MINE) == code
    assert replica.write(values, MINE, flag=0x20) == 0x80070057


def test_what_is_gone_and_what_was_never_given_cannot_be_changed(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    mailbox.delete_messages(mailbox.inbox, [message])
    assert replica.write(change_values(key_of(message), 1, NEW_YEAR), MINE) == 0x80040800
    future = source_key(mailbox, object_id(1, mailbox.last_counter + 1000))
    assert replica.write(change_values(future, 1, NEW_YEAR), MINE) == 0x80070057
    first = reserve(client, 10)
    ids = mailbox.identity.long_term_id

    def give_back(low: bytes, high: bytes) -> int:
        request = upload.RopSetLocalReplicaMidsetDeletedRequest(0, 0, (upload.LongTermIdRange(low, high),))
        return int(client.one(request, open_folder(client, INBOX)).return_value)

    low, high = (ids(object_id(1, first + offset)) for offset in (2, 9))
    assert give_back(low, high) == 0
    assert list(mailbox.reserved) == [first, first + 1]
    returned = source_key(mailbox, object_id(1, first + 5))
    assert replica.write(change_values(returned, 1, NEW_YEAR), MINE) == 0x80040800
    assert give_back(high, low) == 0x80070057
    assert give_back(bytes(24), high) == 0x80070057
    assert give_back(low, bytes(24)) == 0x80070057


@pytest.mark.parametrize("count", [0, 0x100001])
def test_ids_are_given_in_reasonable_numbers(client: StoreClient, count: int) -> None:
    request = upload.RopGetLocalReplicaIdsRequest(0, 0, count)
    assert client.one(request, client.logon).return_value == 0x80070057
    assert reserve(client, 2) + 2 <= reserve(client, 1)


def hierarchy_collector(client: StoreClient, folder_id: int = IPM_SUBTREE) -> int:
    folder = open_folder(client, folder_id)
    return client.open(upload.RopSynchronizationOpenCollectorRequest(0, 0, 1, False), folder)


def folder_change(
    mailbox: Mailbox,
    folder_id: int,
    name: str,
    *more: PropertyValue,
    parent: bytes = b"",
    change: int = 1,
    modified: int = NEW_YEAR,
    predecessors: bytes = b"",
) -> Any:
    values = change_values(source_key(mailbox, folder_id), change, modified, predecessors)
    return upload.RopSynchronizationImportHierarchyChangeRequest(
        0,
        0,
        (PropertyValue(PidTagParentSourceKey, parent), *values, PropertyValue(PidTagDisplayName, name)),
        more,
    )


def test_a_client_makes_renames_and_deletes_folders(client: StoreClient, mailbox: Mailbox) -> None:
    folder_id = object_id(1, reserve(client, 3))
    collector = hierarchy_collector(client)
    container = PropertyValue(PidTagContainerClass, "IPF.Note")
    making = folder_change(mailbox, folder_id, "Projects", container, PropertyValue(PidTagContentCount, 9))
    answer = client.one(making, collector)
    assert (answer.return_value, answer.folder_id) == (0, 0)
    folder = mailbox.folders[folder_id]
    assert (folder.display_name, folder.get(PidTagContentCount)) == ("Projects", 0)
    assert folder.get(PidTagContainerClass) == "IPF.Note"
    assert folder.get(PidTagChangeKey) == change_key(1)
    assert folder.get(PidTagLastModificationTime) == NEW_YEAR
    state = transfer_state(client, collector)
    assert (len(state.idset_given), state.cnset_read) == (1, None)
    key = source_key(mailbox, folder_id)
    below = folder_change(mailbox, folder_id + (1 << 56), "Below", parent=key)
    assert client.one(below, collector).return_value == 0
    known_changes = folder.history.predecessor_change_list
    renaming = folder_change(mailbox, folder_id, "Plans", change=2, predecessors=known_changes)
    assert client.one(renaming, collector).return_value == 0
    assert [folder.display_name, *(each.display_name for each in folder.descendants())] == ["Plans", "Below"]
    assert client.one(renaming, collector).return_value == 0x80040801
    deleting = upload.RopSynchronizationImportDeletesRequest(0, 0, upload.DELETE_HIERARCHY, (key, key))
    assert client.one(deleting, collector).return_value == 0
    assert folder_id not in mailbox.folders


def test_of_two_names_in_conflict_the_later_stays(client: StoreClient, mailbox: Mailbox) -> None:
    top = mailbox.folders[IPM_SUBTREE]
    folder = mailbox.create_folder(top, {PidTagDisplayName: "Projects"})
    collector = hierarchy_collector(client)
    early = folder_change(mailbox, folder.folder_id, "Early", modified=LONG_AGO)
    late = folder_change(mailbox, folder.folder_id, "Late", change=2, modified=FAR_FUTURE)
    assert client.one(early, collector).return_value == 0
    assert folder.display_name == "Projects"
    assert client.one(late, collector).return_value == 0
    assert folder.display_name == "Late"
    mailbox.set_folder_properties(folder, {PidTagDisplayName: "Again"})
    assert folder.history.has_seen([change_key(2)])


def test_wrong_folders_are_refused(client: StoreClient, mailbox: Mailbox) -> None:
    collector = hierarchy_collector(client)
    new = object_id(1, reserve(client, 1))

    def code(request: Any) -> int:
        return int(client.one(request, collector).return_value)

    assert code(folder_change(mailbox, new, "")) == 0x80070057
    assert code(folder_change(mailbox, new, "inbox")) == 0x80040604
    outside = source_key(mailbox, object_id(1, 0x101))
    assert code(folder_change(mailbox, new, "x", parent=outside)) == 0x8004010F
    missing = source_key(mailbox, object_id(1, 0x999))
    assert code(folder_change(mailbox, new, "x", parent=missing)) == 0x8004010F
    inbox = source_key(mailbox, INBOX)
    drafts = object_id(1, 0x110)
    assert code(folder_change(mailbox, drafts, "Drafts", parent=inbox)) == 0x80040102
    deleting = upload.RopSynchronizationImportDeletesRequest(0, 0, upload.DELETE_HIERARCHY, (inbox,))
    assert code(deleting) == 0x80070005
    elsewhere = mailbox.create_folder(mailbox.root, {PidTagDisplayName: "Elsewhere"})
    keys = (source_key(mailbox, elsewhere.folder_id),)
    outside_deletion = upload.RopSynchronizationImportDeletesRequest(0, 0, upload.DELETE_HIERARCHY, keys)
    assert code(outside_deletion) == 0
    assert elsewhere.folder_id in mailbox.folders


def test_each_collector_takes_its_own_kind_and_a_whole_state(
    client: StoreClient, replica: Replica, mailbox: Mailbox
) -> None:
    message = known(replica, mailbox)
    deleting = upload.RopSynchronizationImportDeletesRequest(0, 0, 0, (key_of(message),))
    assert client.one(deleting, hierarchy_collector(client)).return_value == 0x80040102
    assert client.one(deleting, open_folder(client, INBOX)).return_value == 0x80040102
    making = folder_change(mailbox, object_id(1, reserve(client, 1)), "x")
    collector = replica.collector()
    assert client.one(making, collector).return_value == 0x80040102
    begin = ics.RopSynchronizationUploadStateStreamBeginRequest(0, 0, 0x67960102, 1)
    assert client.one(begin, collector).return_value == 0
    assert client.one(deleting, collector).return_value == 0x80004005
    assert not message.deleted
    assert client.one(deleting, replica.collector()).return_value == 0
    used = replica.collector()
    transfer_state(client, used)
    assert client.one(begin, used).return_value == 0x80004005
    (refused,), table = client.rops(
        [upload.RopSynchronizationOpenCollectorRequest(0, 0, 1, True)], [client.logon, NO_HANDLE]
    )
    assert (refused.return_value, table[1]) == (0x80040102, NO_HANDLE)
    with pytest.raises(AssertionError):
        upload_state(client, used, replica.state)
