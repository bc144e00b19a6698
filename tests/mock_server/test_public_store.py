"""Public folders over ROPs: the hierarchy, posts, views that tell of them, and free/busy messages."""

from typing import Any

import pytest

from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagContentCount,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagHtml,
    PidTagMessageClass,
    PidTagMessageDeliveryTime,
    PidTagMid,
    PidTagNormalizedSubject,
    PidTagSubfolders,
    PidTagSubject,
    PropertyValue,
)
from loadgen.wire.restrictions import EQUAL, RestrictProperty
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl
from loadgen.wire.rop.buffer import NO_HANDLE

from .store_client import StoreClient, Stores, public_logon, read_whole_stream

IPM_SUBTREE = object_id(1, 2)
FREE_BUSY = object_id(1, 5)
NOT_FOUND = 0x8004010F
VIEW = (PidTagMid, PidTagNormalizedSubject, PidTagMessageClass)
SCHEDULE_MONTHS = 0x68531003
SCHEDULE_BUSY = 0x68541102


def visitor(stores: Stores, index: int) -> StoreClient:
    client = stores.client(index, "PF1")
    client.connect()
    (answer,), (client.logon,) = client.rops([public_logon()], [NO_HANDLE])
    assert answer.return_value == 0
    return client


@pytest.fixture
def client(stores: Stores) -> StoreClient:
    return visitor(stores, 0)


def subfolders(client: StoreClient, folder_id: int) -> dict[str, Any]:
    """The rows of a hierarchy by name: (id, posts, whether there is more below)."""
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)
    table = client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1), folder)
    columns = (PidTagDisplayName, PidTagFolderId, PidTagContentCount, PidTagSubfolders)
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, columns), table)
    rows = client.one(oxctabl.RopQueryRowsRequest(0, 0, 0, True, 50), table).rows
    return {row.values[0]: tuple(row.values[1:]) for row in rows}


def view(client: StoreClient, folder_id: int, flags: int = 0) -> tuple[int, int]:
    """An open folder, and a table of its posts, newest first."""
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)
    table = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1, flags), folder)
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, VIEW), table)
    order = oxctabl.SortOrder(PidTagMessageDeliveryTime, oxctabl.DESCENDING)
    client.one(oxctabl.RopSortTableRequest(0, 0, 0, (order,)), table)
    return folder, table


def rows_of(client: StoreClient, table: int) -> list[tuple[Any, ...]]:
    answers, _ = client.rops(
        [oxctabl.RopSeekRowRequest(0, 0, 0, 0), oxctabl.RopQueryRowsRequest(0, 0, 0, True, 50)], [table]
    )
    return [tuple(row.values) for row in answers[1].rows]


def save(client: StoreClient, folder_id: int, **values: Any) -> int:
    """A new message with such properties (by tag, in hexadecimal); its id."""
    message = client.open(
        oxcmsg.RopCreateMessageRequest(0, 0, 1, oxcmsg.LOGON_CODE_PAGE, folder_id), client.logon
    )
    properties = tuple(PropertyValue(int(tag, 16), value) for tag, value in values.items())
    assert client.one(oxcprpt.RopSetPropertiesRequest(0, 0, properties), message).problems == ()
    (saved,), _ = client.rops([oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)], [message, client.logon])
    assert saved.return_value == 0
    message_id: int = saved.message_id
    return message_id


def post(client: StoreClient, folder_id: int, subject: str) -> int:
    return save(
        client,
        folder_id,
        **{f"{PidTagMessageClass:x}": "IPM.Post", f"{PidTagSubject:x}": subject},
    )


def test_folders_and_posts_from_the_start(client: StoreClient) -> None:
    assert subfolders(client, IPM_SUBTREE) == {
        "Announcements": (object_id(1, 0x10), 8, False),
        "Projects": (object_id(1, 0x11), 12, True),
        "Suppliers": (object_id(1, 0x12), 3, False),
        "Notice Board": (object_id(1, 0x13), 0, False),
    }
    assert subfolders(client, object_id(1, 0x11)) == {"Finished Projects": (object_id(1, 0x14), 2, False)}
    _, table = view(client, object_id(1, 0x12))
    rows = rows_of(client, table)
    assert [row[1:] for row in rows] == [(f"Suppliers, notice {number}", "IPM.Post") for number in (3, 2, 1)]
    message = client.open(
        oxcmsg.RopOpenMessageRequest(
            0, 0, 1, oxcmsg.LOGON_CODE_PAGE, object_id(1, 0x12), oxcmsg.READ_ONLY, rows[0][0]
        ),
        client.logon,
    )
    html = read_whole_stream(client, message, PidTagHtml)
    assert html.startswith(b"<html><head><title>Suppliers, notice 3</title>")
    assert html.endswith(b"</html>\r\n")


def test_posting_and_deleting_are_told_to_all_who_look(stores: Stores, client: StoreClient) -> None:
    folder_id = object_id(1, 0x13)
    reader = visitor(stores, 1)
    _, read_table = view(reader, folder_id)
    assert rows_of(reader, read_table) == []
    message_id = post(client, folder_id, "Lost: one umbrella")
    (added,) = reader.poll()
    assert (added.event.event_type, added.event.row.message_id) == (oxcnotif.TABLE_ROW_ADDED, message_id)
    assert rows_of(reader, read_table) == [(message_id, "Lost: one umbrella", "IPM.Post")]
    folder, own_table = view(client, folder_id)
    assert rows_of(client, own_table) == rows_of(reader, read_table)
    delete = oxcfold.RopDeleteMessagesRequest(0, 0, False, False, (message_id,))
    assert not client.one(delete, folder).partial_completion
    (gone,) = reader.poll()
    assert (gone.event.event_type, gone.event.row.message_id) == (oxcnotif.TABLE_ROW_DELETED, message_id)
    assert rows_of(reader, read_table) == []
    assert client.one(delete, folder).partial_completion


@pytest.mark.parametrize("folder", [IPM_SUBTREE, object_id(1, 0x10), FREE_BUSY, object_id(1, 7)])
def test_every_folder_has_its_replica_here(client: StoreClient, folder: int) -> None:
    assert client.one(oxcstor.RopPublicFolderIsGhostedRequest(0, 0, folder), client.logon).servers is None
    owners = client.one(oxcstor.RopGetOwningServersRequest(0, 0, folder), client.logon).servers
    assert owners.names == (f"{client.server._store.server.dn}/cn=Microsoft Public MDB",)
    assert owners.cheap_count == 1


def test_a_folder_that_is_not_there_has_no_replicas(client: StoreClient) -> None:
    for rop in (oxcstor.RopPublicFolderIsGhostedRequest, oxcstor.RopGetOwningServersRequest):
        assert client.one(rop(0, 0, object_id(1, 0x99)), client.logon).return_value == NOT_FOUND


def test_free_busy_has_a_folder_for_the_administrative_group_and_a_message_for_who_published(
    stores: Stores, client: StoreClient
) -> None:
    ((name, (folder_id, count, _)),) = subfolders(client, FREE_BUSY).items()
    assert (name, count) == ("EX:/o=Contoso/ou=First Administrative Group", 0)
    subject = "USER-/CN=RECIPIENTS/CN=USER00000"
    find = oxctabl.RopFindRowRequest(
        0,
        0,
        0,
        RestrictProperty(EQUAL, PidTagNormalizedSubject, PropertyValue(PidTagNormalizedSubject, subject)),
    )
    _, table = view(client, folder_id, oxcfold.NO_NOTIFICATIONS)
    assert client.one(find, table).return_value == NOT_FOUND
    busy = bytes.fromhex("1c025802")
    message_id = save(
        client,
        folder_id,
        **{
            f"{PidTagSubject:x}": subject,
            f"{SCHEDULE_MONTHS:x}": (2007 << 4 | 6,),
            f"{SCHEDULE_BUSY:x}": (busy,),
        },
    )
    colleague = visitor(stores, 1)
    _, table = view(colleague, folder_id, oxcfold.NO_NOTIFICATIONS)
    assert colleague.one(find, table).row.values[:2] == (message_id, subject)
    message = colleague.open(
        oxcmsg.RopOpenMessageRequest(
            0, 0, 1, oxcmsg.LOGON_CODE_PAGE, folder_id, oxcmsg.READ_ONLY, message_id
        ),
        colleague.logon,
    )
    row = colleague.one(
        oxcprpt.RopGetPropertiesSpecificRequest(0, 0, 0, 1, (SCHEDULE_MONTHS, SCHEDULE_BUSY)), message
    ).row
    assert tuple(row.values) == ((32118,), (busy,))
