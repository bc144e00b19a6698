"""What the ROPs do when nothing is wrong: folders, tables, properties, streams, notifications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire import emsmdb as wire
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagBody,
    PidTagContainerClass,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagHierarchyServer,
    PidTagHtml,
    PidTagImportance,
    PidTagMailboxOwnerName,
    PidTagMessageFlags,
    PidTagMid,
    PidTagNormalizedSubject,
    PidTagSubject,
    PidTagSubjectPrefix,
    PropertyError,
    PropertyRow,
    PropertyValue,
    TypedPropertyValue,
)
from loadgen.wire.property_names import PS_MAPI, PropertyName
from loadgen.wire.recipients import smtp_recipient
from loadgen.wire.restrictions import (
    EQUAL,
    IGNORE_CASE,
    PREFIX,
    RestrictBitmask,
    RestrictContent,
    RestrictProperty,
)
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl, oxomsg
from loadgen.wire.rop.buffer import NO_HANDLE, write_requests
from loadgen.wire.rop.oxcrops import RopBufferTooSmallResponse, RopReleaseRequest
from loadgen.wire.rop.registry import REQUESTS
from mock_server.mailboxes.message import MessageContent
from mock_server.mailboxes.session import MOST_ROW_NOTIFICATIONS
from mock_server.rpc.rop_processor import HANDLERS
from tests.mock_server.store_client import (
    INBOX,
    NO_PACKING,
    OUTBOX,
    StoreClient,
    Stores,
    compose,
    online,
    public_logon,
    read_whole_stream,
    send,
)


def open_folder(client: StoreClient, folder_id: int = INBOX) -> int:
    return client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)


def fill(stores: Stores, index: int, subjects: list[str]) -> list[int]:
    """Messages in a user's Inbox; returns their ids."""
    mailbox = stores.stores["MBX1"].mailbox(stores.directory.users[index])
    for subject in subjects:
        mailbox.deliver(
            MessageContent.of(
                {
                    0x001A001F: "IPM.Note",
                    PidTagSubject: subject,
                    PidTagNormalizedSubject: subject,
                    PidTagImportance: 1,
                }
            )
        )
    return list(mailbox.inbox.messages)


def contents(client: StoreClient, *columns: int, flags: int = 0) -> int:
    table = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1, flags), open_folder(client))
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, columns), table)
    return table


def query(
    client: StoreClient, table: int, count: int = 100, *, forward: bool = True, flags: int = 0
) -> list[object]:
    rows = client.one(oxctabl.RopQueryRowsRequest(0, 0, flags, forward, count), table).rows
    return [row.values[0] if len(row.values) == 1 else row.values for row in rows]


def properties(
    client: StoreClient, handle: int, *tags: int, limit: int = 0, unicode: int = 1
) -> tuple[object, ...]:
    return client.one(oxcprpt.RopGetPropertiesSpecificRequest(0, 0, limit, unicode, tags), handle).row.values


def test_a_private_logon_names_thirteen_folders(stores: Stores) -> None:
    client = stores.client(0)
    client.connect()
    answer = client.log_on()
    assert answer.folder_ids == tuple(object_id(1, counter) for counter in range(0x101, 0x10E))
    assert (answer.logon_flags, answer.response_flags, answer.replica_id) == (1, 7, 1)
    again = online(stores, 0).log_on()
    assert (again.mailbox_guid, again.replica_guid) == (answer.mailbox_guid, answer.replica_guid)
    assert online(stores, 1).log_on().mailbox_guid != answer.mailbox_guid


def test_the_folder_tree_can_be_walked(client: StoreClient) -> None:
    ipm = open_folder(client, object_id(1, 0x104))
    table = client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1, oxcfold.DEPTH), ipm)
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, (PidTagDisplayName, PidTagContainerClass)), table)
    assert query(client, table) == [
        ("Inbox", "IPF.Note"),
        ("Outbox", "IPF.Note"),
        ("Sent Items", "IPF.Note"),
        ("Deleted Items", "IPF.Note"),
        ("Calendar", "IPF.Appointment"),
        ("Contacts", "IPF.Contact"),
        ("Drafts", "IPF.Note"),
        ("Journal", "IPF.Journal"),
        ("Notes", "IPF.StickyNote"),
        ("Tasks", "IPF.Task"),
    ]
    drafts = properties(client, open_folder(client), 0x36D70102)[0]
    assert isinstance(drafts, bytes)
    assert len(drafts) == 46


def test_logging_on_again_replaces_the_logon(client: StoreClient) -> None:
    folder = open_folder(client)
    old = client.logon
    client.log_on()
    assert client.logon != old
    assert client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), folder).return_value == 0x4B9


def test_releasing_the_logon_releases_all(client: StoreClient) -> None:
    folder = open_folder(client)
    assert client.rops([RopReleaseRequest(0, 0)], [client.logon])[0] == []
    assert client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), folder).return_value == 0x4B9
    assert client.server._clients[1].session.objects == {}


def test_folders_are_made_and_deleted(client: StoreClient) -> None:
    inbox = open_folder(client)
    make = oxcfold.RopCreateFolderRequest(0, 0, 1, 1, True, False, "Projects", "work")
    (made, *_), (_, folder) = client.rops([make], [inbox, NO_HANDLE])
    assert (made.return_value, made.existing) == (0, None)
    assert properties(client, folder, PidTagDisplayName, PidTagFolderId) == ("Projects", made.folder_id)
    assert client.rops([make], [inbox, NO_HANDLE])[0][0].return_value == 0x80040604
    again = oxcfold.RopCreateFolderRequest(0, 0, 1, 1, False, True, "PROJECTS")
    assert client.rops([again], [inbox, NO_HANDLE])[0][0].existing is not None
    child = oxcfold.RopCreateFolderRequest(0, 0, 1, 1, False, False, "2007")
    client.open(child, folder)
    delete = oxcfold.RopDeleteFolderRequest(0, 0, oxcfold.DELETE_MESSAGES, made.folder_id)
    assert client.one(delete, inbox).return_value == 0x50E
    root = open_folder(client, object_id(1, 0x104))
    assert client.one(oxcfold.RopDeleteFolderRequest(0, 0, 5, INBOX), root).return_value == 0x80070005
    whole = oxcfold.RopDeleteFolderRequest(0, 0, 5, made.folder_id)
    assert client.one(whole, inbox).return_value == 0
    assert client.one(whole, inbox).return_value == 0x8004010F


def test_a_folder_is_renamed(client: StoreClient) -> None:
    folder = open_folder(client)
    values = (PropertyValue(0x3004001E, "for all"), PropertyValue(PidTagDisplayName, "Posteingang"))
    assert client.one(oxcprpt.RopSetPropertiesRequest(0, 0, values), folder).problems == ()
    assert properties(client, folder, 0x3004001F, PidTagDisplayName) == ("for all", "Posteingang")
    assert client.one(oxcprpt.RopDeletePropertiesRequest(0, 0, (0x3004001E,)), folder).problems == ()
    assert properties(client, folder, 0x3004001F) == (PropertyError(0x8004010F),)


def test_emptying_a_folder_takes_all_but_what_every_mailbox_has(stores: Stores, client: StoreClient) -> None:
    fill(stores, 0, ["a", "b"])
    inbox = open_folder(client)
    client.open(oxcfold.RopCreateFolderRequest(0, 0, 1, 1, True, False, "x"), inbox)
    assert not client.one(oxcfold.RopEmptyFolderRequest(0, 0, False, True), inbox).partial_completion
    assert properties(client, inbox, 0x36020003, 0x360A000B) == (0, False)
    top = open_folder(client, object_id(1, 0x104))
    assert client.one(oxcfold.RopEmptyFolderRequest(0, 0), top).partial_completion


def test_rows_are_read_forwards_backwards_and_without_moving(stores: Stores, client: StoreClient) -> None:
    fill(stores, 0, list("abcde"))
    table = contents(client, PidTagSubject)
    assert query(client, table, 2) == ["a", "b"]
    assert query(client, table, 2, flags=oxctabl.NO_ADVANCE) == ["c", "d"]
    assert query(client, table, 0) == []
    assert query(client, table, 2) == ["c", "d"]
    assert query(client, table, 3, forward=False) == ["d", "c", "b"]
    position = client.one(oxctabl.RopQueryPositionRequest(0, 0), table)
    assert (position.numerator, position.denominator) == (1, 5)
    for forward, count, origin in ((True, 2, 1), (True, 9, 2), (False, 2, 1), (False, 9, 0)):
        assert client.one(oxctabl.RopQueryRowsRequest(0, 0, 0, forward, count), table).origin == origin


@pytest.mark.parametrize(
    ("origin", "count", "sought", "position"),
    [(0, 2, 2, 2), (1, 1, 1, 4), (1, -9, -3, 0), (2, -1, -1, 4), (2, 5, 0, 5)],
)
def test_seeking(
    stores: Stores, client: StoreClient, origin: int, count: int, sought: int, position: int
) -> None:
    fill(stores, 0, list("abcde"))
    table = contents(client, PidTagSubject)
    query(client, table, 3)
    answer = client.one(oxctabl.RopSeekRowRequest(0, 0, origin, count), table)
    assert (answer.rows_sought, answer.has_sought_less) == (sought, sought != count)
    assert client.one(oxctabl.RopQueryPositionRequest(0, 0), table).numerator == position
    quiet = client.one(oxctabl.RopSeekRowRequest(0, 0, origin, count, False), table)
    assert (quiet.rows_sought, quiet.has_sought_less) == (0, False)


def test_tables_are_sorted_and_restricted(stores: Stores, client: StoreClient) -> None:
    ids = fill(stores, 0, ["beta", "Alpha", "gamma", "alpine"])
    table = contents(client, PidTagSubject)
    by_subject = (oxctabl.SortOrder(0x0037001E),)
    client.one(oxctabl.RopSortTableRequest(0, 0, 0, by_subject), table)
    assert query(client, table) == ["Alpha", "alpine", "beta", "gamma"]
    client.one(oxctabl.RopSortTableRequest(0, 0, 0, (oxctabl.SortOrder(PidTagSubject, 1),)), table)
    assert query(client, table) == ["gamma", "beta", "alpine", "Alpha"]
    client.one(oxctabl.RopSortTableRequest(0, 0, 0, (oxctabl.SortOrder(0x0E060040, 1),)), table)
    assert query(client, table) == ["alpine", "gamma", "Alpha", "beta"]
    starts = RestrictContent(PREFIX, IGNORE_CASE, PidTagSubject, PropertyValue(0x0037001E, "AL"))
    assert client.one(oxctabl.RopRestrictRequest(0, 0, 0, starts), table).table_status == 0
    assert query(client, table) == ["alpine", "Alpha"]
    folder = open_folder(client)
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (ids[1], object_id(1, 5))), folder)
    client.one(oxctabl.RopRestrictRequest(0, 0, 0, RestrictBitmask(1, PidTagMessageFlags, 1)), table)
    assert query(client, table) == ["Alpha"]
    client.one(oxctabl.RopRestrictRequest(0, 0, 0, None), table)
    found = client.one(
        oxctabl.RopFindRowRequest(
            0, 0, 0, RestrictProperty(EQUAL, PidTagMid, PropertyValue(PidTagMid, ids[2]))
        ),
        table,
    )
    assert found.row.values == ("gamma",)
    assert query(client, table) == ["gamma", "Alpha", "beta"]
    backward = oxctabl.RopFindRowRequest(0, 0, 1, starts, oxctabl.BOOKMARK_END)
    assert client.one(backward, table).row.values == ("Alpha",)


def test_an_open_table_follows_its_folder(stores: Stores, client: StoreClient) -> None:
    first, *_ = fill(stores, 0, ["a", "b"])
    table = contents(client, PidTagMid, PidTagSubject, PidTagMessageFlags)
    fill(stores, 0, ["before anybody looks"])
    assert client.poll() == []
    client.one(oxctabl.RopSortTableRequest(0, 0, 0, (oxctabl.SortOrder(PidTagSubject, 1),)), table)
    assert len(query(client, table)) == 3
    *_, newest = fill(stores, 0, ["aa"])
    (added,) = client.poll()
    assert (added.notification_handle, added.event.event_type, added.event.of_messages) == (table, 3, True)
    assert (added.event.row.message_id, added.event.insert_after.folder_id) == (newest, INBOX)
    assert b"a\0a\0" in added.event.row_data
    folder = open_folder(client)
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (first,)), folder)
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (first,)), folder)
    (modified,) = client.poll()
    assert (modified.event.event_type, modified.event.row.message_id) == (5, first)
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, oxcmsg.CLEAR_READ_FLAG, (first,)), folder)
    client.one(oxcfold.RopDeleteMessagesRequest(0, 0, False, False, (first,)), folder)
    assert [notify.event.event_type for notify in client.poll()] == [5, 4]
    trash = open_folder(client, object_id(1, 0x108))
    client.rops([oxcfold.RopMoveCopyMessagesRequest(0, 0, 1, (newest,))], [folder, trash])
    assert [notify.event.event_type for notify in client.poll()] == [4]
    position = client.one(oxctabl.RopQueryPositionRequest(0, 0), table)
    assert (position.numerator, position.denominator) == (2, 2)
    client.rops([RopReleaseRequest(0, 0)], [table])
    fill(stores, 0, ["nobody looks"])
    assert client.poll() == []


def test_restricted_tables_show_what_comes_to_fit(stores: Stores, client: StoreClient) -> None:
    first, *_ = fill(stores, 0, ["a", "b"])
    table = contents(client, PidTagSubject)
    client.one(oxctabl.RopRestrictRequest(0, 0, 0, RestrictBitmask(0, PidTagMessageFlags, 1)), table)
    query(client, table)
    folder = open_folder(client)
    for flags, kind in ((0, 4), (oxcmsg.CLEAR_READ_FLAG, 3)):
        client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, flags, (first,)), folder)
        assert [notify.event.event_type for notify in client.poll()] == [kind]


def test_own_changes_can_be_hidden_and_all_silenced(stores: Stores, client: StoreClient) -> None:
    first, *_ = fill(stores, 0, ["a"])
    loud = contents(client, PidTagMid)
    others = contents(client, PidTagMid, flags=oxcfold.SUPPRESS_OWN_NOTIFICATIONS)
    silent = contents(client, PidTagMid, flags=oxcfold.NO_NOTIFICATIONS)
    for table in (loud, others, silent):
        query(client, table)
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (first,)), open_folder(client))
    assert [notify.notification_handle for notify in client.poll()] == [loud]
    fill(stores, 0, ["b"])
    assert [notify.notification_handle for notify in client.poll()] == [loud, others]
    assert len(query(client, silent)) == 1


def test_too_many_changes_of_a_table_become_one(stores: Stores, client: StoreClient) -> None:
    table = contents(client, PidTagMid)
    query(client, table)
    fill(stores, 0, ["x"] * (MOST_ROW_NOTIFICATIONS + 1))
    (notify,) = client.poll()
    assert notify.event.event_type == oxcnotif.TABLE_CHANGED


def test_hierarchy_tables_tell_of_counts_and_folders(stores: Stores, client: StoreClient) -> None:
    top = open_folder(client, object_id(1, 0x104))
    flat = client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1), top)
    deep = client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1, oxcfold.DEPTH), top)
    for table in (flat, deep):
        client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, (PidTagDisplayName, 0x36020003)), table)
        assert len(query(client, table)) == 10
    fill(stores, 0, ["x"])
    assert [(n.notification_handle, n.event.event_type, n.event.of_messages) for n in client.poll()] == [
        (flat, 5, False),
        (deep, 5, False),
    ]
    inbox = open_folder(client)
    made = client.rops([oxcfold.RopCreateFolderRequest(0, 0, 1, 1, True, False, "x")], [inbox, NO_HANDLE])[0][
        0
    ]
    assert [(n.notification_handle, n.event.event_type) for n in client.poll()] == [
        (deep, 3),
        (flat, 5),
        (deep, 5),
    ]
    client.one(oxcfold.RopDeleteFolderRequest(0, 0, 5, made.folder_id), inbox)
    assert [(n.notification_handle, n.event.event_type) for n in client.poll()] == [
        (deep, 4),
        (flat, 5),
        (deep, 5),
    ]
    client.rops([RopReleaseRequest(0, 0)], [flat])
    client.rops([RopReleaseRequest(0, 0)], [deep])
    fill(stores, 0, ["x"])
    assert client.poll() == []


def test_subscriptions_tell_of_what_they_are_for(stores: Stores, client: StoreClient) -> None:
    first, second = fill(stores, 0, ["a", "b"])
    register = oxcnotif.RopRegisterNotificationRequest
    folder = client.open(register(0, 0, 1, 0x0078, False, INBOX), client.logon)
    message = client.open(register(0, 0, 1, 0x0018, False, INBOX, second), client.logon)
    store = client.open(register(0, 0, 1, 0x0424), client.logon)
    inbox, trash = open_folder(client), open_folder(client, object_id(1, 0x108))
    copy = oxcfold.RopMoveCopyMessagesRequest(0, 0, 1, (first,), want_copy=True)
    client.rops([copy], [inbox, trash])
    (copied,) = client.poll()
    assert (copied.notification_handle, copied.event.kind) == (folder, 0x0040)
    assert (copied.event.old_folder_id, copied.event.old_message_id) == (INBOX, first)
    client.rops([oxcfold.RopMoveCopyMessagesRequest(0, 0, 1, (first,))], [inbox, trash])
    moved = client.poll()
    assert [(n.notification_handle, n.event.kind) for n in moved] == [
        (folder, 0x20),
        (store, 0x20),
        (folder, 0x10),
    ]
    client.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (second,)), inbox)
    kinds = [(n.notification_handle, n.event.flags) for n in client.poll()]
    assert kinds == [(folder, 0x8010), (message, 0x8010), (folder, 0x3010)]
    made = client.open(oxcfold.RopCreateFolderRequest(0, 0, 1, 1, True, False, "x"), inbox)
    created, changed = client.poll()
    assert (created.notification_handle, created.event.parent_folder_id) == (store, INBOX)
    assert (changed.notification_handle, changed.event.flags) == (folder, 0x0010)
    assert made
    client.rops([RopReleaseRequest(0, 0)], [folder])
    client.rops([RopReleaseRequest(0, 0)], [message])
    client.one(oxcfold.RopDeleteMessagesRequest(0, 0, False, False, (second,)), inbox)
    assert client.poll() == []


def test_news_for_a_released_handle_is_forgotten(stores: Stores, client: StoreClient) -> None:
    handle = client.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x00FE), client.logon)
    fill(stores, 0, ["a"])
    client.rops([RopReleaseRequest(0, 0)], [handle])
    assert client.poll() == []


def test_properties_are_read_in_the_type_that_is_asked_for(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "Caf\u00e9 \u20ac", b"<p>", b"x", (1,))
    assert properties(client, message, 0x0037001E, 0x00370000, 0x30010000) == (
        "Caf\u00e9 ?",
        TypedPropertyValue(0x1F, "Caf\u00e9 \u20ac"),
        PropertyError(0x8004010F),
    )
    assert properties(client, message, 0x00370000, unicode=0) == (TypedPropertyValue(0x1E, "Caf\u00e9 ?"),)
    assert properties(client, message, PidTagSubject, limit=4) == (PropertyError(0x8007000E),)
    all_ = client.one(oxcprpt.RopGetPropertiesAllRequest(0, 0, 10), message)
    by_id = {value.tag >> 16: value for value in all_.values}
    assert by_id[0x0037].tag & 0xFFFF == 0x000A
    assert by_id[PidTagMid >> 16].tag == PidTagMid
    ansi = client.one(oxcprpt.RopGetPropertiesAllRequest(0, 0, 0, 0), message)
    assert PropertyValue(0x0037001E, "Caf\u00e9 ?") in ansi.values
    listed = client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), message).property_tags
    assert {PidTagSubject, PidTagMid, PidTagHtml} <= set(listed)


def test_a_large_body_must_be_read_as_a_stream(client: StoreClient, stores: Stores) -> None:
    html = b"0123456789" * 4000
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagHtml, oxcprpt.STREAM_CREATE), message)
    for start in (0, 20000):
        client.one(oxcprpt.RopWriteStreamRequest(0, 0, html[start : start + 20000]), stream)
    client.rops([RopReleaseRequest(0, 0)], [stream])
    assert properties(client, message, PidTagHtml, PidTagMid)[0] == PropertyError(0x8007000E)
    assert read_whole_stream(client, message, PidTagHtml) == html
    first_part = read_whole_stream(client, message, PidTagHtml, chain=False)
    assert html.startswith(first_part)
    assert 32000 < len(first_part) < len(html)


def test_text_streams_are_utf_16(client: StoreClient) -> None:
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagBody, oxcprpt.STREAM_CREATE), message)
    client.one(oxcprpt.RopWriteStreamRequest(0, 0, "Hello Bob.\0".encode("utf-16-le")), stream)
    client.one(oxcprpt.RopCommitStreamRequest(0, 0), stream)
    assert properties(client, message, PidTagBody) == ("Hello Bob.",)
    assert client.one(oxcprpt.RopGetStreamSizeRequest(0, 0), stream).stream_size == 22
    assert client.one(oxcprpt.RopSetStreamSizeRequest(0, 0, 10), stream).return_value == 0
    assert client.one(oxcprpt.RopSeekStreamRequest(0, 0, oxcprpt.SEEK_END, 4), stream).new_position == 14
    client.one(oxcprpt.RopWriteStreamRequest(0, 0, "!".encode("utf-16-le")), stream)
    client.one(oxcprpt.RopCommitStreamRequest(0, 0), stream)
    assert properties(client, message, PidTagBody) == ("Hello",)
    ansi = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, 0x1000001E), message)
    assert client.one(oxcprpt.RopReadStreamRequest(0, 0, 100), ansi).data == b"Hello"
    assert client.one(oxcprpt.RopReadStreamRequest(0, 0, 100), ansi).data == b""
    assert client.one(oxcprpt.RopSeekStreamRequest(0, 0, oxcprpt.SEEK_CURRENT, -1), ansi).new_position == 4


def test_named_properties_keep_their_ids(client: StoreClient) -> None:
    keywords = PropertyName(bytes(range(16)), name="Keywords")
    flag = PropertyName(bytes(range(16)), lid=0x8503)
    ask = oxcprpt.RopGetPropertyIdsFromNamesRequest
    looked_up = client.one(ask(0, 0, oxcprpt.LOOK_UP_ONLY, (keywords,)), client.logon)
    assert (looked_up.property_ids, looked_up.return_value) == ((0,), 0x40380)
    names = (keywords, flag, PropertyName(PS_MAPI, lid=0x37), keywords)
    made = client.one(ask(0, 0, oxcprpt.CREATE_NAMES, names), client.logon)
    assert (made.property_ids, made.return_value) == ((0x8001, 0x8002, 0x37, 0x8001), 0)
    unnamed = client.one(ask(0, 0, oxcprpt.CREATE_NAMES, (PropertyName(bytes(16)),)), client.logon)
    assert unnamed.property_ids == (0,)
    back = client.one(oxcprpt.RopGetNamesFromPropertyIdsRequest(0, 0, (0x8002, 0x37, 0x9000)), client.logon)
    assert back.names == (flag, PropertyName(PS_MAPI, lid=0x37), PropertyName(bytes(16)))


def test_named_properties_arrive_under_their_names() -> None:
    stores = Stores(servers=("MBX1", "MBX2"))
    sender, reader = online(stores, 0), online(stores, 1)
    name, other = PropertyName(bytes(16), name="Colour"), PropertyName(bytes(16), name="Other")
    ask = oxcprpt.RopGetPropertyIdsFromNamesRequest
    reader.one(ask(0, 0, oxcprpt.CREATE_NAMES, (other,)), reader.logon)
    (theirs,) = sender.one(ask(0, 0, oxcprpt.CREATE_NAMES, (name,)), sender.logon).property_ids
    message = compose(sender, stores, "x", b"", b"x", (1,))
    sender.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(theirs << 16 | 0x1F, "red"),)), message)
    send(sender, message)
    (ours,) = reader.one(ask(0, 0, oxcprpt.LOOK_UP_ONLY, (name,)), reader.logon).property_ids
    assert ours != theirs
    table = contents(reader, ours << 16 | 0x1F)
    assert query(reader, table) == ["red"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(PidTagSubject, "RE: Budget")], ("RE: Budget", "RE: ", "Budget")),
        ([(PidTagSubject, "Budget: final")], ("Budget: final", "", "Budget: final")),
        (
            [(PidTagSubject, "old"), (PidTagSubjectPrefix, "FW: "), (PidTagNormalizedSubject, "new")],
            ("FW: new", "FW: ", "new"),
        ),
        ([(PidTagNormalizedSubject, "bare")], ("bare", PropertyError(0x8004010F), "bare")),
    ],
)
def test_the_parts_of_a_subject_follow_each_other(
    client: StoreClient, values: list[tuple[int, str]], expected: tuple[object, ...]
) -> None:
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    rop = oxcprpt.RopSetPropertiesRequest(0, 0, tuple(PropertyValue(*value) for value in values))
    assert client.one(rop, message).problems == ()
    assert (
        properties(client, message, PidTagSubject, PidTagSubjectPrefix, PidTagNormalizedSubject) == expected
    )


def test_recipients_are_changed_deleted_and_read(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"", b"x", (1, 2, 3))
    columns = (0x39FE001F, 0x5FDF0003)
    row = PropertyRow.of(columns, ("ann@example.test", 1))
    rows = (
        oxcmsg.ModifyRecipientRow(1, 1, None),
        oxcmsg.ModifyRecipientRow(7, 2, smtp_recipient("ann@example.test", "Ann", row)),
    )
    assert client.one(oxcmsg.RopModifyRecipientsRequest(0, 0, columns, rows), message).return_value == 0
    save = oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)
    (saved,), _ = client.rops([save], [message, client.logon])
    opened, _ = client.rops(
        [oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, OUTBOX, 0, saved.message_id)],
        [client.logon, NO_HANDLE],
    )
    assert opened[0].recipient_columns == columns
    assert [r.recipient.row.get(0x39FE001F) for r in opened[0].recipients] == [None, None, "ann@example.test"]
    client.columns[message] = columns
    read = client.one(oxcmsg.RopReadRecipientsRequest(0, 0, 2), message)
    assert [r.row_id for r in read.rows] == [2, 7]
    assert properties(client, message, 0x0E04001F, 0x0E03001F) == ("User 00001; User 00003", "Ann")
    client.one(oxcmsg.RopRemoveAllRecipientsRequest(0, 0), message)
    assert client.one(oxcmsg.RopReadRecipientsRequest(0, 0, 0), message).return_value == 0x8004010F


def test_one_message_is_marked_as_read(stores: Stores, client: StoreClient) -> None:
    (mid,) = fill(stores, 0, ["a"])
    message = client.open(oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, INBOX, 0, mid), client.logon)
    for flags, shown in ((oxcmsg.GENERATE_RECEIPT_ONLY, 0), (0, 1), (oxcmsg.CLEAR_READ_FLAG, 0)):
        rop = oxcmsg.RopSetMessageReadFlagRequest(0, 1, 0, flags)
        (answer,), _ = client.rops([rop], [message, client.logon])
        assert (answer.return_value, answer.changed) == (0, None)
        assert properties(client, message, PidTagMessageFlags) == (shown,)


def test_delete_after_submit_leaves_no_copy(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"", b"x", (0,))
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(0x0E01000B, True),)), message)
    send(client, message)
    sent = open_folder(client, object_id(1, 0x107))
    assert properties(client, sent, 0x36020003) == (0,)
    assert properties(client, open_folder(client), 0x36020003) == (1,)


def test_the_sent_copy_goes_where_the_client_wants_it(client: StoreClient, stores: Stores) -> None:
    drafts = object_id(1, 0x110)
    entry_id = properties(client, open_folder(client, drafts), 0x0FFF0102)[0]
    message = compose(client, stores, "x", b"", b"x", (1,))
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(0x0E0A0102, entry_id),)), message)
    send(client, message)
    assert properties(client, open_folder(client, drafts), 0x36020003) == (1,)


def test_long_values_are_cut_in_tables(stores: Stores, client: StoreClient) -> None:
    fill(stores, 0, ["x" * 400])
    assert query(client, contents(client, PidTagSubject)) == ["x" * 255]


def test_ids_have_a_long_form(client: StoreClient) -> None:
    long = client.one(oxcstor.RopLongTermIdFromIdRequest(0, 0, INBOX), client.logon).long_term_id
    assert long[16:] == bytes.fromhex("0000000001050000")
    assert client.one(oxcstor.RopIdFromLongTermIdRequest(0, 0, long), client.logon).object_id == INBOX


def test_receive_folders(client: StoreClient) -> None:
    for message_class, explicit in (
        ("", ""),
        ("IPM.Note", "IPM"),
        ("report.ipm.note.ndr", "REPORT.IPM"),
        ("X", ""),
    ):
        answer = client.one(oxcstor.RopGetReceiveFolderRequest(0, 0, message_class), client.logon)
        assert (answer.folder_id, answer.explicit_message_class) == (INBOX, explicit)
    table = client.one(oxcstor.RopGetReceiveFolderTableRequest(0, 0), client.logon)
    assert [row.values[1] for row in table.rows] == ["", "IPM", "REPORT.IPM", "IPC"]
    assert client.one(oxcstor.RopGetStoreStateRequest(0, 0), client.logon).store_state == 0
    assert (
        client.one(oxcstor.RopGetPerUserLongTermIdsRequest(0, 0, bytes(16)), client.logon).long_term_ids == ()
    )


def test_what_the_spooler_asks(client: StoreClient) -> None:
    assert client.one(oxomsg.RopGetAddressTypesRequest(0, 0), client.logon).address_types == ("EX", "SMTP")
    assert client.one(oxomsg.RopSetSpoolerRequest(0, 0), client.logon).return_value == 0
    assert client.one(oxomsg.RopGetTransportFolderRequest(0, 0), client.logon).folder_id == OUTBOX


def test_a_message_that_is_gone_cannot_be_stopped(stores: Stores, client: StoreClient) -> None:
    (mid,) = fill(stores, 0, ["a"])
    assert client.one(oxomsg.RopAbortSubmitRequest(0, 0, INBOX, mid), client.logon).return_value == 0x80040114


def test_the_store_object_says_whose_it_is(client: StoreClient, stores: Stores) -> None:
    fill(stores, 0, ["a"])
    owner, size = properties(client, client.logon, PidTagMailboxOwnerName, 0x0E080014)
    assert owner == "User 00000"
    assert isinstance(size, int)
    assert size > 200
    assert (
        PidTagDisplayName in client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), client.logon).property_tags
    )


def test_public_folders(stores: Stores) -> None:
    client = stores.client(0, "PF1")
    client.connect()
    (answer,), (client.logon,) = client.rops([public_logon(1)], [NO_HANDLE])
    assert answer.folder_ids[:6] == tuple(object_id(1, counter) for counter in range(1, 7))
    assert client.one(
        oxcprpt.RopGetPropertiesSpecificRequest(1, 0, 0, 1, (PidTagHierarchyServer,)), client.logon
    ).row.values == ("PF1",)
    ghosted = client.one(oxcstor.RopPublicFolderIsGhostedRequest(1, 0, object_id(1, 2)), client.logon)
    assert ghosted.servers is None
    owners = client.one(oxcstor.RopGetOwningServersRequest(1, 0, object_id(1, 2)), client.logon)
    assert owners.servers.names[0].endswith("/cn=Servers/cn=PF1/cn=Microsoft Public MDB")
    folder = client.open(oxcfold.RopOpenFolderRequest(1, 0, 1, object_id(1, 5)), client.logon)
    table = client.open(oxcfold.RopGetHierarchyTableRequest(1, 0, 1), folder)
    client.one(oxctabl.RopSetColumnsRequest(1, 0, 0, (PidTagDisplayName,)), table)
    rows = client.one(oxctabl.RopQueryRowsRequest(1, 0, 0, True, 10), table).rows
    assert [row.values for row in rows] == [("EX:/o=Contoso/ou=First Administrative Group",)]
    message = client.open(oxcmsg.RopCreateMessageRequest(1, 0, 1, 0x0FFF, object_id(1, 2)), client.logon)
    client.rops([oxcmsg.RopSaveChangesMessageRequest(1, 1, 0, 0x0A)], [message, client.logon])
    rop = oxcmsg.RopSetMessageReadFlagRequest(1, 1, 0, oxcmsg.CLEAR_READ_FLAG, bytes(range(24)))
    (changed,), _ = client.rops([rop], [message, client.logon])
    assert changed.changed == oxcmsg.PublicReadStatus(1, bytes(range(24)))


def test_a_private_and_a_public_logon_share_a_session() -> None:
    stores = Stores(public=("MBX1",))
    client = online(stores, 0)
    (answer,), (public,) = client.rops([public_logon(1)], [NO_HANDLE])
    assert answer.return_value == 0
    inbox = oxcfold.RopOpenFolderRequest(0, 0, 1, INBOX)
    assert client.rops([inbox], [client.logon, NO_HANDLE])[0][0].return_value == 0
    assert client.rops([inbox], [public, NO_HANDLE])[0][0].return_value == 0x4B9
    move = oxcfold.RopMoveCopyMessagesRequest(0, 0, 1, ())
    folder = client.open(oxcfold.RopOpenFolderRequest(1, 0, 1, object_id(1, 2)), public)
    assert client.rops([move], [open_folder(client), folder])[0][0].return_value == 0x503


def test_what_does_not_fit_is_sent_back(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"", bytes(60_000), (1,))
    attachment = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagAttachDataBinary), attachment)
    read = oxcprpt.RopReadStreamRequest(0, 0, 32_700)
    answers, _ = client.rops([read, read, RopReleaseRequest(0, 0)], [stream])
    first, refused = answers
    assert len(first.data) == 32_700
    assert isinstance(refused, RopBufferTooSmallResponse)
    assert refused.request_buffers == write_requests([read, RopReleaseRequest(0, 0)], [])[2:]
    assert refused.size_needed == 27_308
    answers, _ = client.rops([read, RopReleaseRequest(0, 0)], [stream])
    assert len(answers[0].data) == 60_000 - 32_700


def test_a_full_buffer_refuses_any_rop(client: StoreClient, stores: Stores) -> None:
    fill(stores, 0, ["x" * 250] * 80)
    table = contents(client, PidTagSubject)
    rows = oxctabl.RopQueryRowsRequest(0, 0, 0, True, 65)
    answers, _ = client.rops([rows, rows], [table])
    assert len(answers[0].rows) == 65
    assert isinstance(answers[1], RopBufferTooSmallResponse)


def test_rows_come_in_a_chain(client: StoreClient, stores: Stores) -> None:
    fill(stores, 0, ["x" * 250] * 200)
    table = contents(client, PidTagSubject)
    rows = oxctabl.RopQueryRowsRequest(0, 0, 0, True, 150)
    answers, _ = client.rops([rows], [table], flags=NO_PACKING | wire.CHAIN, out_max=0x18008)
    assert [answer.origin for answer in answers] == [1, 1, 1]
    assert sum(len(answer.rows) for answer in answers) == 150
    answers, _ = client.rops([rows], [table], flags=NO_PACKING | wire.CHAIN, out_max=0x18008)
    assert [(answer.origin, len(answer.rows)) for answer in answers] == [(2, 50)]


@given(st.lists(st.binary(max_size=300), max_size=12), st.integers(1, 700))
def test_a_stream_gives_back_what_was_written(pieces: list[bytes], count: int) -> None:
    stores = Stores(users=2)
    client = online(stores, 0)
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagHtml, oxcprpt.STREAM_CREATE), message)
    writes = [oxcprpt.RopWriteStreamRequest(0, 0, piece) for piece in pieces]
    client.rops([*writes, oxcprpt.RopCommitStreamRequest(0, 0)], [stream])
    reader = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagHtml), message)
    got = b""
    while data := client.one(oxcprpt.RopReadStreamRequest(0, 0, count), reader).data:
        got += data
    assert got == b"".join(pieces)


def test_every_rop_that_can_be_read_is_carried_out() -> None:
    assert set(HANDLERS) == set(REQUESTS.values()) - {RopReleaseRequest}


def test_an_answer_that_can_never_fit_fails_the_call(client: StoreClient) -> None:
    many = oxcprpt.RopGetNamesFromPropertyIdsRequest(0, 0, tuple(range(2000)))
    payload = write_payload(write_requests([many], [client.logon]), 0)
    answer = client.call(wire.EcDoRpcExt2Request(client.handle, payload))
    assert (answer.return_value, answer.rgb_out) == (0x47D, b"")
    few = oxcprpt.RopGetNamesFromPropertyIdsRequest(0, 0, tuple(range(1000)))
    (first, refused), _ = client.rops([few, few], [client.logon])
    assert len(first.names) == 1000
    assert isinstance(refused, RopBufferTooSmallResponse)


def test_not_even_a_failure_may_be_too_long(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"", bytes(40_000), (1,))
    attachment = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagAttachDataBinary), attachment)
    read = oxcprpt.RopReadStreamRequest(0, 0, 32_740)
    answers, _ = client.rops([read, oxcprpt.RopGetStreamSizeRequest(0, 0)], [stream])
    assert len(answers[0].data) == 32_740
    assert isinstance(answers[1], RopBufferTooSmallResponse)


def test_recipients_that_do_not_fit_are_read_later(client: StoreClient, stores: Stores) -> None:
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    row = PropertyRow.of((), ())
    rows = tuple(
        oxcmsg.ModifyRecipientRow(i, 1, smtp_recipient(f"someone{i}@example.test", "x" * 40, row))
        for i in range(300)
    )
    for start in (0, 150):
        client.one(oxcmsg.RopModifyRecipientsRequest(0, 0, (), rows[start : start + 150]), message)
    (saved,), _ = client.rops([oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)], [message, client.logon])
    open_ = oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, OUTBOX, 0, saved.message_id)
    opened, (_, handle) = client.rops([open_], [client.logon, NO_HANDLE])
    shown = len(opened[0].recipients)
    assert (opened[0].recipient_count, 150 < shown < 300) == (300, True)
    client.columns[handle] = ()
    rest = client.one(oxcmsg.RopReadRecipientsRequest(0, 0, shown), handle)
    assert [r.row_id for r in rest.rows] == list(range(shown, 300))


def test_a_folder_has_keys_and_a_size(client: StoreClient, stores: Stores) -> None:
    fill(stores, 0, ["a"])
    inbox = open_folder(client)
    change_key, parent, size = properties(client, inbox, 0x65E20102, 0x67490014, 0x0E080014)
    assert (len(change_key), parent, size > 200) == (22, object_id(1, 0x104), True)
    assert properties(client, open_folder(client, object_id(1, 0x101)), 0x67490014) == (object_id(1, 0x101),)
    assert {PidTagDisplayName, PidTagFolderId} <= set(
        client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), inbox).property_tags
    )
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, INBOX), inbox)
    assert properties(client, message, PidTagMessageFlags) == (9,)


def test_what_is_saved_can_be_listed_changed_and_deleted(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"<p>", b"x", (1,))
    values = (PropertyValue(PidTagMessageFlags, 0xFF), PropertyValue(0x8000101E, ("caf\u00e9", "b")))
    assert client.one(oxcprpt.RopSetPropertiesRequest(0, 0, values), message).problems == ()
    client.rops([oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)], [message, client.logon])
    assert properties(client, message, PidTagMessageFlags, 0x8000101E) == (0x3B, ("caf\u00e9", "b"))
    assert PidTagHtml in client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), message).property_tags
    assert (
        client.one(oxcprpt.RopDeletePropertiesRequest(0, 0, (PidTagHtml, PidTagMid)), message)
        .problems[0]
        .index
        == 1
    )
    assert properties(client, message, PidTagHtml) == (PropertyError(0x8004010F),)
    attachment = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    listed = client.one(oxcprpt.RopGetPropertiesListRequest(0, 0), attachment).property_tags
    assert {PidTagAttachDataBinary, 0x0E210003} <= set(listed)
    assert client.one(oxcprpt.RopDeletePropertiesRequest(0, 0, (0x3707001E,)), attachment).problems == ()
    assert properties(client, attachment, 0x3707001F) == (PropertyError(0x8004010F),)


def test_a_message_cannot_be_saved_into_a_folder_that_is_gone(client: StoreClient) -> None:
    inbox = open_folder(client)
    made = client.rops([oxcfold.RopCreateFolderRequest(0, 0, 1, 1, True, False, "x")], [inbox, NO_HANDLE])[0][
        0
    ]
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, made.folder_id), client.logon)
    client.one(oxcfold.RopDeleteFolderRequest(0, 0, 5, made.folder_id), inbox)
    save = oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)
    assert client.rops([save], [message, client.logon])[0][0].return_value == 0x8004010A
