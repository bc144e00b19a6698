"""What the store refuses, and with which code ([MS-OXCDATA] 2.4): one table for all ROPs."""

from typing import Any

import pytest

from loadgen.wire import restrictions
from loadgen.wire.identifiers import AddressBookEntryId, object_id
from loadgen.wire.properties import (
    PidTagAccess,
    PidTagAttachDataBinary,
    PidTagAttachNumber,
    PidTagContentCount,
    PidTagDisplayName,
    PidTagHtml,
    PidTagMid,
    PidTagSubject,
    PropertyValue,
)
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl, oxomsg
from loadgen.wire.rop.buffer import NO_HANDLE
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from tests.mock_server.store_client import (
    INBOX,
    OUTBOX,
    SENT_ITEMS,
    StoreClient,
    Stores,
    attach,
    compose,
    online,
    private_logon,
    public_logon,
)

NULL_OBJECT = 0x4B9
NOT_SUPPORTED = 0x80040102
NOT_FOUND = 0x8004010F
INVALID = 0x80070057
ACCESS_DENIED = 0x80070005
COMPUTED = 0x8004011A

NOWHERE = object_id(1, 0x999999)
SUBJECT = restrictions.RestrictExist(PidTagSubject)

LOGON, FOLDER, MESSAGE, READ_ONLY_MESSAGE, FILE, STREAM, TABLE, HIERARCHY, FILES, NEW, BARE_TABLE, GONE = (
    range(12)
)
OUT = 12
"""Handle indexes in the table that :func:`handles` makes."""


@pytest.fixture(scope="module")
def stores() -> Stores:
    return Stores()


@pytest.fixture
def handles(client: StoreClient, stores: Stores) -> list[int]:
    """One object of each kind, at the index of its name above."""
    message = compose(client, stores, "saved", b"<p>", b"data", (1,))
    saved, _ = client.rops([oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)], [message, client.logon])
    mid = saved[0].message_id
    outbox = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, OUTBOX), client.logon)
    read_only = client.open(oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, OUTBOX, 0, mid), client.logon)
    file = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), read_only)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagAttachDataBinary), file)
    table = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1), outbox)
    hierarchy = client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1), outbox)
    files = client.open(oxcmsg.RopGetAttachmentTableRequest(0, 0, 1), read_only)
    new = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    bare = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1), outbox)
    gone = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, INBOX), client.logon)
    client.rops([RopReleaseRequest(0, 0)], [gone])
    for each, tag in ((table, PidTagMid), (hierarchy, PidTagDisplayName), (files, PidTagAttachNumber)):
        client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, (tag,)), each)
    return [
        client.logon,
        outbox,
        message,
        read_only,
        file,
        stream,
        table,
        hierarchy,
        files,
        new,
        bare,
        gone,
        NO_HANDLE,
    ]


REFUSALS: list[tuple[Any, int]] = [
    # Handles that are missing, of the wrong kind, or of another logon.
    (oxcfold.RopOpenFolderRequest(0, GONE, OUT, INBOX), NULL_OBJECT),
    (oxcfold.RopOpenFolderRequest(7, LOGON, OUT, INBOX), NULL_OBJECT),
    (oxcfold.RopOpenFolderRequest(0, MESSAGE, OUT, INBOX), NOT_SUPPORTED),
    (oxcfold.RopGetContentsTableRequest(0, LOGON, OUT), NOT_SUPPORTED),
    (oxcfold.RopGetHierarchyTableRequest(0, MESSAGE, OUT), NOT_SUPPORTED),
    (oxctabl.RopSetColumnsRequest(0, FOLDER, 0, (PidTagMid,)), NOT_SUPPORTED),
    (oxcmsg.RopGetAttachmentTableRequest(0, FOLDER, OUT), NOT_SUPPORTED),
    (oxcprpt.RopGetPropertiesSpecificRequest(0, STREAM, 0, 1, (PidTagMid,)), NOT_SUPPORTED),
    (oxcprpt.RopReadStreamRequest(0, MESSAGE, 100), NOT_SUPPORTED),
    (oxcprpt.RopWriteStreamRequest(0, MESSAGE, b"x"), NOT_SUPPORTED),
    (oxomsg.RopSubmitMessageRequest(0, FOLDER), NOT_SUPPORTED),
    (oxcstor.RopGetReceiveFolderRequest(0, FOLDER, ""), NOT_SUPPORTED),
    # Ids that name nothing.
    (oxcfold.RopOpenFolderRequest(0, LOGON, OUT, NOWHERE), NOT_FOUND),
    (oxcmsg.RopCreateMessageRequest(0, LOGON, OUT, 0x0FFF, NOWHERE), NOT_FOUND),
    (oxcmsg.RopOpenMessageRequest(0, LOGON, OUT, 0x0FFF, INBOX, 0, NOWHERE), NOT_FOUND),
    (oxcmsg.RopOpenMessageRequest(0, LOGON, OUT, 0x0FFF, NOWHERE, 0, NOWHERE), NOT_FOUND),
    (oxcmsg.RopOpenAttachmentRequest(0, MESSAGE, OUT, 0, 9), NOT_FOUND),
    (oxcmsg.RopReadRecipientsRequest(0, MESSAGE, 9), NOT_FOUND),
    (oxcfold.RopDeleteFolderRequest(0, FOLDER, 5, NOWHERE), NOT_FOUND),
    (oxcstor.RopLongTermIdFromIdRequest(0, LOGON, object_id(2, 5)), NOT_FOUND),
    (oxcstor.RopIdFromLongTermIdRequest(0, LOGON, bytes(24)), NOT_FOUND),
    (oxcstor.RopGetPerUserGuidRequest(0, LOGON, bytes(24)), NOT_FOUND),
    (oxcnotif.RopRegisterNotificationRequest(0, LOGON, OUT, 2, False, NOWHERE), NOT_FOUND),
    (oxcnotif.RopRegisterNotificationRequest(0, LOGON, OUT, 2, False, INBOX, NOWHERE), NOT_FOUND),
    (oxomsg.RopAbortSubmitRequest(0, LOGON, OUTBOX, NOWHERE), NOT_FOUND),
    (oxcprpt.RopOpenStreamRequest(0, READ_ONLY_MESSAGE, OUT, 0x10090102), NOT_FOUND),
    (oxctabl.RopFindRowRequest(0, TABLE, 0, restrictions.RestrictNot(SUBJECT)), NOT_FOUND),
    # Arguments that make no sense.
    (oxctabl.RopSetColumnsRequest(0, TABLE, 0, ()), INVALID),
    (oxctabl.RopSetColumnsRequest(0, TABLE, 0, (0x0E12000D,)), INVALID),
    (oxctabl.RopSortTableRequest(0, TABLE, 0, (oxctabl.SortOrder(PidTagSubject, 4),)), INVALID),
    (oxctabl.RopSeekRowRequest(0, TABLE, 7, 1), INVALID),
    (oxctabl.RopFindRowRequest(0, TABLE, 0, None), INVALID),
    (oxcmsg.RopOpenAttachmentRequest(0, MESSAGE, OUT, 9, 0), INVALID),
    (oxcmsg.RopModifyRecipientsRequest(0, MESSAGE, (0x3001_0000,), ()), INVALID),
    (oxcprpt.RopSetPropertiesRequest(0, MESSAGE, (PropertyValue(0x3001_000A, 5),)), INVALID),
    (oxcprpt.RopGetPropertyIdsFromNamesRequest(0, LOGON, 1, ()), INVALID),
    (oxcprpt.RopOpenStreamRequest(0, MESSAGE, OUT, PidTagHtml, 9), INVALID),
    (oxcprpt.RopSeekStreamRequest(0, STREAM, 0, -1), INVALID),
    (oxcprpt.RopSeekStreamRequest(0, STREAM, 9, 0), INVALID),
    (oxcstor.RopGetReceiveFolderRequest(0, LOGON, "IPM."), INVALID),
    (oxcstor.RopGetReceiveFolderRequest(0, LOGON, "x" * 300), INVALID),
    (oxcfold.RopCreateFolderRequest(0, FOLDER, OUT, 1, True, False, ""), INVALID),
    (oxcnotif.RopRegisterNotificationRequest(0, LOGON, OUT, 0x0001), INVALID),
    # What may not be.
    (
        oxcprpt.RopSetPropertiesRequest(0, READ_ONLY_MESSAGE, (PropertyValue(PidTagSubject, "x"),)),
        ACCESS_DENIED,
    ),
    (oxcprpt.RopSetPropertiesRequest(0, FILE, (PropertyValue(0x3707001F, "x"),)), ACCESS_DENIED),
    (oxcprpt.RopSetPropertiesRequest(0, LOGON, (PropertyValue(PidTagDisplayName, "x"),)), 0),
    (oxcprpt.RopDeletePropertiesRequest(0, FOLDER, (PidTagDisplayName,)), ACCESS_DENIED),
    (oxcprpt.RopWriteStreamRequest(0, STREAM, b"x"), ACCESS_DENIED),
    (oxcprpt.RopSetStreamSizeRequest(0, STREAM, 1), ACCESS_DENIED),
    (oxcprpt.RopOpenStreamRequest(0, READ_ONLY_MESSAGE, OUT, PidTagHtml, 2), ACCESS_DENIED),
    (oxcprpt.RopOpenStreamRequest(0, FOLDER, OUT, 0x0FFF0102, 1), COMPUTED),
    (oxcmsg.RopSaveChangesAttachmentRequest(0, READ_ONLY_MESSAGE, FILE, 0), ACCESS_DENIED),
    (oxcmsg.RopSaveChangesMessageRequest(0, LOGON, READ_ONLY_MESSAGE, 0), ACCESS_DENIED),
    (oxcmsg.RopRemoveAllRecipientsRequest(0, READ_ONLY_MESSAGE), ACCESS_DENIED),
    (oxcmsg.RopCreateAttachmentRequest(0, READ_ONLY_MESSAGE, OUT), ACCESS_DENIED),
    # What this store does not offer.
    (oxcprpt.RopOpenStreamRequest(0, MESSAGE, OUT, PidTagAccess), NOT_SUPPORTED),
    (oxcprpt.RopProgressRequest(0, LOGON), NOT_SUPPORTED),
    (oxcfold.RopCreateFolderRequest(0, FOLDER, OUT, 2, True, False, "search"), NOT_SUPPORTED),
    (oxctabl.RopSortTableRequest(0, HIERARCHY, 0, (oxctabl.SortOrder(PidTagDisplayName),)), NOT_SUPPORTED),
    (oxctabl.RopSortTableRequest(0, TABLE, 0, (oxctabl.SortOrder(PidTagSubject),), 1), NOT_SUPPORTED),
    (oxctabl.RopRestrictRequest(0, FILES, 0, SUBJECT), NOT_SUPPORTED),
    (oxctabl.RopRestrictRequest(0, TABLE, 0, restrictions.RestrictCount(1, SUBJECT)), 0x80040117),
    (oxcmsg.RopSetMessageReadFlagRequest(0, LOGON, NEW, 0), NOT_SUPPORTED),
    (oxcstor.RopGetOwningServersRequest(0, LOGON, INBOX), NOT_SUPPORTED),
    (oxcstor.RopPublicFolderIsGhostedRequest(0, LOGON, INBOX), NOT_SUPPORTED),
    # Tables without columns are no objects yet, and there are no bookmarks.
    (oxctabl.RopQueryRowsRequest(0, BARE_TABLE, 0, True, 1), NULL_OBJECT),
    (oxctabl.RopQueryPositionRequest(0, BARE_TABLE), NULL_OBJECT),
    (oxctabl.RopSeekRowRequest(0, TABLE, 3, 1), 0x80040405),
    # Sending.
    (oxomsg.RopSubmitMessageRequest(0, NEW), 0x80040607),
    (oxomsg.RopSubmitMessageRequest(0, GONE), NULL_OBJECT),
    (oxcprpt.RopSeekStreamRequest(0, STREAM, 2, 1 << 40), INVALID),
]


@pytest.mark.parametrize(("request_", "code"), REFUSALS, ids=lambda value: type(value).__name__)
def test_refusals(client: StoreClient, handles: list[int], request_: Any, code: int) -> None:
    (answer,), table = client.rops([request_], handles)
    assert hex(answer.return_value) == hex(code)
    assert table[OUT] == NO_HANDLE


def test_a_failed_rop_does_not_stop_the_next(client: StoreClient, handles: list[int]) -> None:
    answers, table = client.rops(
        [
            oxcfold.RopOpenFolderRequest(0, LOGON, OUT, NOWHERE),
            oxcfold.RopGetContentsTableRequest(0, OUT, OUT),
            oxcfold.RopGetContentsTableRequest(0, FOLDER, OUT),
        ],
        handles,
    )
    assert [answer.return_value for answer in answers] == [NOT_FOUND, NULL_OBJECT, 0]
    assert table[OUT] != NO_HANDLE


def test_moving_to_nowhere_names_the_missing_handle(client: StoreClient, handles: list[int]) -> None:
    move = oxcfold.RopMoveCopyMessagesRequest(0, FOLDER, GONE, ())
    (answer,), _ = client.rops([move], handles)
    assert (answer.return_value, answer.destination_handle_index) == (0x503, GONE)
    (answer,), _ = client.rops([oxcfold.RopMoveCopyMessagesRequest(0, FOLDER, TABLE, ())], handles)
    assert answer.return_value == NOT_SUPPORTED
    (answer,), _ = client.rops([oxcfold.RopMoveCopyMessagesRequest(0, GONE, FOLDER, ())], handles)
    assert (answer.return_value, answer.partial_completion) == (NULL_OBJECT, False)


def test_computed_properties_are_problems(client: StoreClient, handles: list[int]) -> None:
    values = (PropertyValue(PidTagSubject, "kept"), PropertyValue(PidTagMid, 5), PropertyValue(0x0E080003, 1))
    (answer,), _ = client.rops([oxcprpt.RopSetPropertiesRequest(0, MESSAGE, values)], handles)
    assert [(p.index, p.tag, p.error_code) for p in answer.problems] == [
        (1, PidTagMid, COMPUTED),
        (2, 0x0E080003, COMPUTED),
    ]
    get = oxcprpt.RopGetPropertiesSpecificRequest(0, MESSAGE, 0, 1, (PidTagSubject,))
    assert client.rops([get], handles)[0][0].row.values == ("kept",)
    delete = oxcprpt.RopDeletePropertiesRequest(0, FOLDER, (PidTagContentCount, 0x30040102))
    (answer,), _ = client.rops([delete], handles)
    assert [problem.index for problem in answer.problems] == [0]


LOGONS: list[tuple[Any, int]] = [
    (private_logon("/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=nobody"), 0x3EB),
    (private_logon("/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user00001"), 0x80040111),
    (oxcstor.RopLogonRequest(0, 0, oxcstor.PRIVATE, 0x01000406, essdn="x"), INVALID),
    (oxcstor.RopLogonRequest(0, 0, 0, 0x01000404), INVALID),
    (public_logon(essdn="/o=Contoso"), INVALID),
    (public_logon(logon_flags=oxcstor.GHOSTED), 0x80040111),
    (public_logon(), 0x478),
]


@pytest.mark.parametrize(("request_", "code"), LOGONS)
def test_logons_that_fail(stores: Stores, request_: Any, code: int) -> None:
    client = stores.client(0)
    client.connect()
    (answer,), table = client.rops([request_], [5])
    assert hex(answer.return_value) == hex(code)
    if code != 0x478:
        assert table == [NO_HANDLE]
    else:
        assert answer.server_name.endswith("/cn=Configuration/cn=Servers/cn=PF1")


def test_a_mailbox_on_another_server_redirects() -> None:
    stores = Stores(servers=("MBX1", "MBX2"))
    client = stores.client(1, "MBX1")
    client.connect()
    (answer,), _ = client.rops([private_logon(client.dn)], [NO_HANDLE])
    assert (answer.return_value, answer.logon_flags) == (0x478, 1)
    assert (
        answer.server_name == "/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Servers/cn=MBX2"
    )


def test_moving_from_one_store_to_another_is_not_supported() -> None:
    stores = Stores(public=("MBX1",))
    client = online(stores, 0)
    _, (public,) = client.rops([public_logon(0)], [NO_HANDLE])
    assert client.one(oxcfold.RopOpenFolderRequest(0, 0, 0, INBOX), client.logon).return_value == NULL_OBJECT
    assert client.one(oxcfold.RopOpenFolderRequest(0, 0, 0, object_id(1, 2)), public).return_value == 0


def test_a_message_is_opened_in_a_mode_that_exists(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "x", b"", b"x", (1,))
    save = oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)
    (saved,), _ = client.rops([save], [message, client.logon])
    for mode, code in ((0, 0), (1, 0), (3, 0), (2, INVALID), (4, NOT_FOUND)):
        open_ = oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, OUTBOX, mode, saved.message_id)
        answers, _ = client.rops([open_], [client.logon, NO_HANDLE])
        assert answers[0].return_value == code


def test_sending_for_others_is_denied(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "forged", b"", b"x", (1,))
    other = AddressBookEntryId(stores.directory.users[3].dn).encode()
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(0x00410102, other),)), message)
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == 0x4DC
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(0x00410102, b"no entry id"),)), message)
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == 0x4DC
    own = AddressBookEntryId(stores.directory.users[0].dn).encode()
    client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(0x00410102, own),)), message)
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == 0


def test_who_saves_last_must_know_what_changed(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "first", b"", b"x", (1,))
    save = oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, oxcmsg.KEEP_OPEN_READ_WRITE)
    (saved,), _ = client.rops([save], [message, client.logon])
    open_ = oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, OUTBOX, oxcmsg.READ_WRITE, saved.message_id)
    second = client.open(open_, client.logon)
    for handle, text in ((message, "mine"), (second, "theirs")):
        client.one(oxcprpt.RopSetPropertiesRequest(0, 0, (PropertyValue(PidTagSubject, text),)), handle)
    assert client.rops([save], [message, client.logon])[0][0].return_value == 0
    assert client.rops([save], [second, client.logon])[0][0].return_value == 0x80040109
    force = oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, oxcmsg.FORCE_SAVE | oxcmsg.KEEP_OPEN_READ_ONLY)
    assert client.rops([force], [second, client.logon])[0][0].return_value == 0
    assert client.rops([save], [second, client.logon])[0][0].return_value == ACCESS_DENIED
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, OUTBOX), client.logon)
    client.one(oxcfold.RopDeleteMessagesRequest(0, 0, False, False, (saved.message_id,)), folder)
    assert client.rops([save], [message, client.logon])[0][0].return_value == 0x8004010A
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == 0x8004010A


def test_streams_and_attachments_of_a_deleted_message_are_lost_quietly(
    client: StoreClient, stores: Stores
) -> None:
    message = compose(client, stores, "first", b"", b"x", (1,))
    (saved,), _ = client.rops([oxcmsg.RopSaveChangesMessageRequest(0, 1, 0, 0x0A)], [message, client.logon])
    stream = client.open(
        oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagHtml, oxcprpt.STREAM_READ_WRITE), message
    )
    client.one(oxcprpt.RopWriteStreamRequest(0, 0, b"late"), stream)
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, OUTBOX), client.logon)
    client.one(oxcfold.RopHardDeleteMessagesRequest(0, 0, False, False, (saved.message_id,)), folder)
    assert client.rops([RopReleaseRequest(0, 0)], [stream]) == ([], [stream])
    assert client.one(oxcprpt.RopCommitStreamRequest(0, 0), stream).return_value == NULL_OBJECT


def test_a_stream_may_not_grow_without_bound(client: StoreClient, stores: Stores) -> None:
    message = compose(client, stores, "big", b"", b"x", (1,))
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagHtml, oxcprpt.STREAM_CREATE), message)
    assert client.one(oxcprpt.RopSetStreamSizeRequest(0, 0, 1 << 31), stream).return_value == 0x80040305
    assert client.one(oxcprpt.RopSeekStreamRequest(0, 0, 0, 0x8000000), stream).return_value == 0
    assert client.one(oxcprpt.RopWriteStreamRequest(0, 0, b"x"), stream).return_value == 0x80040305


def test_a_message_on_a_public_logon_is_not_sent(stores: Stores) -> None:
    client = stores.client(0, "PF1")
    client.connect()
    (answer,), (client.logon,) = client.rops([public_logon()], [NO_HANDLE])
    folder = answer.folder_ids[oxcstor.PUBLIC_IPM_SUBTREE]
    message = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, folder), client.logon)
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == NOT_SUPPORTED
    attach(client, message, b"x")
    assert client.one(oxcstor.RopGetStoreStateRequest(0, 0), client.logon).return_value == NOT_SUPPORTED
    assert SENT_ITEMS not in client.server._store.public.folders
