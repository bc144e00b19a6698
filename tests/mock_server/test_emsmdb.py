"""Sessions, limits of calls, and whole stories over EMSMDB, told in wire values."""

import asyncio
import random
from collections.abc import Callable

import pytest
from msgspec.structs import fields, replace

from loadgen.errors import RpcFault, WireError
from loadgen.wire import emsmdb as wire
from loadgen.wire.auxiliary import ClientControl, ExOrgInfo, OsVersionInfo, read_blocks
from loadgen.wire.extended_buffer import COMPRESSED, read_payloads, write_payload
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagAttachLongFilename,
    PidTagAttachNumber,
    PidTagAttachSize,
    PidTagContentCount,
    PidTagContentUnreadCount,
    PidTagHtml,
    PidTagMessageDeliveryTime,
    PidTagMessageFlags,
    PidTagMid,
    PidTagReceivedByName,
    PidTagSenderName,
    PidTagSubject,
)
from loadgen.wire.recipients import BCC
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl, oxomsg
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests, write_requests
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from mock_server.rpc import emsmdb
from mock_server.rpc.emsmdb import EmsmdbServer
from tests.mock_server.store_client import (
    DELETED_ITEMS,
    INBOX,
    NO_PACKING,
    OUTBOX,
    OUTLOOK_2007,
    SENT_ITEMS,
    StoreClient,
    Stores,
    compose,
    online,
    private_logon,
    read_whole_stream,
    recipients,
    send,
)

Vector = Callable[[str], bytes]


def folder_counts(client: StoreClient, folder_id: int) -> tuple[int, int]:
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)
    tags = (PidTagContentCount, PidTagContentUnreadCount)
    row = client.one(oxcprpt.RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags), folder).row
    client.rops([RopReleaseRequest(0, 0)], [folder])
    return row.values


def inbox_rows(client: StoreClient, *tags: int) -> list[tuple[object, ...]]:
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, INBOX), client.logon)
    table = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1), folder)
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, tags), table)
    rows = client.one(oxctabl.RopQueryRowsRequest(0, 0, 0, True, 100), table).rows
    client.rops([RopReleaseRequest(0, 0), RopReleaseRequest(0, 1)], [table, folder])
    return [row.values for row in rows]


def test_connecting_tells_what_the_client_must_know(stores: Stores) -> None:
    client = stores.client(3)
    answer = client.connect()
    assert answer.return_value == 0
    assert answer.context_handle[:4] == bytes(4)
    assert (answer.polls_max_ms, answer.retries, answer.retry_delay_ms) == (60000, 6, 10000)
    assert answer.dn_prefix == "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn="
    assert answer.display_name == "User 00003"
    assert answer.server_version == (0x0801, 0x80F0, 0x0006)
    assert answer.best_version == OUTLOOK_2007
    (payload,) = read_payloads(answer.aux_out)
    assert [type(block) for block in read_blocks(payload)] == [ClientControl, OsVersionInfo, ExOrgInfo]
    second = stores.client(4)
    assert second.connect().session_index != answer.session_index
    assert stores.servers["MBX1"].sessions == 2


def test_an_older_client_hears_nothing_of_the_organisation(stores: Stores) -> None:
    answer = stores.client(0).connect(client_version=(0x000B, 0x1FE1, 0))
    (payload,) = read_payloads(answer.aux_out)
    assert [type(block) for block in read_blocks(payload)] == [ClientControl, OsVersionInfo]
    assert stores.client(0).connect(aux_out_max=8).aux_out == b""


def test_sessions_end_with_their_numbers(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session index is 16 bits wide, and 0xFFFF means none."""
    monkeypatch.setattr(emsmdb, "_NO_INDEX", 3)
    assert [stores.client(index).connect().return_value for index in range(3)] == [0, 0, 0x4DE]
    assert stores.servers["MBX1"].report()["MSExchangeIS\\User Count"] == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"user_dn": "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=nobody"}, 0x3EB),
        ({"user_dn": ""}, 0x3EB),
        ({"client_version": (0x000A, 0x1000, 0)}, 0x80040110),
        ({"aux_in": bytes(0x1009)}, 0x80040110),
        ({"aux_in": b"\1" * 12}, 0x4B6),
        ({"flags": 1}, 0x3F2),
    ],
)
def test_connecting_is_refused(stores: Stores, changes: dict[str, object], code: int) -> None:
    client = stores.client(0)
    answer = client.connect(**changes)
    assert answer.return_value == code
    assert answer.context_handle == wire.NO_CONTEXT
    if code == 0x80040110:
        assert answer.best_version == (11, 0, 0)
    assert stores.servers["MBX1"].sessions == 0


def test_an_outlook_tells_of_its_machine(stores: Stores, vector: Vector) -> None:
    request = wire.EcDoConnectExRequest.decode(vector("emsmdb/connect-ex-request.hex"))
    assert stores.client(0).connect(aux_in=request.aux_in).return_value == 0
    with pytest.raises(RpcFault) as caught:
        stores.client(0).connect(aux_out_max=0x1009)
    assert caught.value.status == 0x6F7


def test_a_short_aux_buffer_passes(stores: Stores) -> None:
    assert stores.client(0).connect(aux_in=b"\1\2\3").return_value == 0


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ("user00001", 0),
        ("user00002", 0x80070005),
        ("ANONYMOUS LOGON", 0x80070005),
    ],
)
def test_an_authenticated_user_opens_no_session_of_others(stores: Stores, user: str, code: int) -> None:
    assert stores.client(1, user=user).connect().return_value == code


def test_stale_handles_fault(stores: Stores) -> None:
    client = stores.client(0)
    client.connect()
    handle = client.handle
    wait = wire.EcDoAsyncConnectExRequest(handle)
    async_handle = client.call(wait).async_context_handle
    assert client.call(wait).async_context_handle == async_handle
    assert client.call(wire.EcDoDisconnectRequest(handle)).context_handle == wire.NO_CONTEXT
    assert stores.servers["MBX1"].sessions == 0
    for request in (
        wire.EcDoDisconnectRequest(handle),
        wire.EcDoRpcExt2Request(handle, write_payload(write_requests([], []))),
        wire.EcDoAsyncConnectExRequest(handle),
        wire.EcDoAsyncWaitExRequest(async_handle),
        wire.EcDoAsyncWaitExRequest(handle),
        wire.EcRRegisterPushNotificationRequest(handle, b"12345678", bytes(16)),
    ):
        with pytest.raises(RpcFault) as caught:
            client.start(request)
        assert caught.value.status == 0x1C00001A


def test_handles_of_two_kinds_are_not_mixed_up(stores: Stores) -> None:
    client = stores.client(0)
    client.connect()
    async_handle = client.call(wire.EcDoAsyncConnectExRequest(client.handle)).async_context_handle
    with pytest.raises(RpcFault):
        client.start(wire.EcDoDisconnectRequest(async_handle))


def test_the_session_goes_with_its_association(stores: Stores) -> None:
    client = online(stores, 0)
    client.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x00FE), client.logon)
    folder = client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, INBOX), client.logon)
    client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1), folder)
    client.open(oxcfold.RopGetHierarchyTableRequest(0, 0, 1), folder)
    mailbox = stores.stores["MBX1"].mailbox(stores.directory.users[0])
    assert (len(mailbox.listeners), len(mailbox.inbox.listeners)) == (2, 1)
    client.group.run_down()
    assert (mailbox.listeners, mailbox.inbox.listeners) == ([], [])
    assert stores.servers["MBX1"].sessions == 0
    with pytest.raises(RpcFault):
        client.poll()


def test_the_stores_of_a_server_are_served_by_two_interfaces(stores: Stores) -> None:
    interfaces = EmsmdbServer(stores.stores["MBX1"], stores.transport).interfaces
    assert [interface.interface for interface in interfaces] == [wire.INTERFACE, wire.ASYNC_INTERFACE]


def test_the_little_calls(stores: Stores) -> None:
    client = stores.client(0)
    assert client.call(wire.EcDummyRpcRequest()).return_value == 0
    client.connect()
    push = wire.EcRRegisterPushNotificationRequest(client.handle, b"12345678", bytes(16))
    assert client.call(push).return_value == 0x80040102
    opnums = [sorted(interface.methods) for interface in client.server.interfaces]
    assert opnums == [[1, 4, 6, 10, 11, 14], [0]]


def test_a_bad_stub_is_no_call(stores: Stores) -> None:
    client = stores.client(0)
    for (_, opnum), method in client.methods.items():
        with pytest.raises(WireError):
            method(client.context, b"\1" if opnum == 6 else b"")


PAYLOAD = write_payload(write_requests([], []), 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rgb_in": PAYLOAD[:7]}, 0x80040115),
        ({"rgb_in": bytes(0x8008)}, 0x4B6),
        ({"out_max": 0x8006}, 0x4B6),
        ({"rgb_in": PAYLOAD[:-1]}, 0x4B6),
        ({"rgb_in": write_payload(write_requests([], []), 0, last=False) + PAYLOAD}, 0x4B6),
        ({"rgb_in": write_payload(b"\1\0", 0)}, 0x4B6),
        ({"rgb_in": write_payload(b"\3\0\xee", 0)}, 0x4B6),
        ({"rgb_in": write_payload(write_requests([RopReleaseRequest(0, 3)], [1]), 0)}, 0x4B6),
        ({"rgb_in": write_payload(write_requests([private_logon("/o=x")], []), 0)}, 0x4B6),
    ],
)
def test_an_unreadable_rop_buffer_fails_the_call(
    stores: Stores, changes: dict[str, object], code: int
) -> None:
    client = stores.client(0)
    client.connect()
    request = wire.EcDoRpcExt2Request(**{"context_handle": client.handle, "rgb_in": PAYLOAD, **changes})
    answer = client.call(request)
    assert (answer.return_value, answer.rgb_out) == (code, b"")
    assert client.poll() == []


@pytest.mark.parametrize(
    "changes", [{"out_max": 0x40001}, {"aux_in": bytes(0x1009)}, {"aux_out_max": 0x1009}]
)
def test_sizes_out_of_range_fault(stores: Stores, changes: dict[str, object]) -> None:
    client = stores.client(0)
    client.connect()
    with pytest.raises(RpcFault) as caught:
        client.start(wire.EcDoRpcExt2Request(client.handle, PAYLOAD, **changes))
    assert caught.value.status == 0x6F7


def test_the_flags_decide_how_the_answer_is_packed(stores: Stores) -> None:
    client = stores.client(0)
    client.connect()
    logon = write_payload(write_requests([private_logon(client.dn)], [NO_HANDLE]))
    for flags, packing in [
        (0, COMPRESSED),
        (wire.NO_COMPRESSION, 2),
        (wire.NO_XOR_MAGIC, COMPRESSED),
        (3, 0),
    ]:
        answer = client.call(wire.EcDoRpcExt2Request(client.handle, logon, flags))
        assert answer.rgb_out[2] == 4 | packing
        assert len(read_payloads(answer.rgb_out)[0]) == 172


def test_mail_with_an_attachment_reaches_four_people(stores: Stores) -> None:
    random_bytes = random.Random(7).randbytes(48_000)
    sender = online(stores, 0)
    readers = [online(stores, index) for index in (1, 2, 3, 4)]
    for reader in readers:
        reader.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x00FE), reader.logon)
    html = b"<html>" + b"hello " * 300 + b"</html>"
    message = compose(sender, stores, "RE: Quarterly figures", html, random_bytes, (1, 2, 3, 4))
    send(sender, message)

    assert folder_counts(sender, OUTBOX) == (0, 0)
    assert folder_counts(sender, SENT_ITEMS) == (1, 0)
    for reader in readers:
        new_mail, created, counts = (notify.event for notify in reader.poll())
        assert (new_mail.kind, new_mail.folder_id, new_mail.message_class) == (0x0002, INBOX, "IPM.Note")
        assert (created.kind, created.message_id) == (0x0004, new_mail.message_id)
        assert (counts.flags, counts.total_count, counts.unread_count) == (0x3010, 1, 1)
        opened, (_, handle) = reader.rops(
            [oxcmsg.RopOpenMessageRequest(0, 0, 1, 0x0FFF, INBOX, 0, new_mail.message_id)],
            [reader.logon, NO_HANDLE],
        )
        assert opened[0].subject_prefix.text + opened[0].normalized_subject.text == "RE: Quarterly figures"
        assert [row.recipient.display_name for row in opened[0].recipients] == [
            f"User 0000{i}" for i in (1, 2, 3, 4)
        ]
        tags = (PidTagSenderName, PidTagReceivedByName, PidTagMessageFlags)
        row = reader.one(oxcprpt.RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags), handle).row
        assert row.values[0] == "User 00000"
        assert row.values[1] == stores.directory.by_dn(reader.dn).display_name
        assert row.values[2] == 0x10
        assert read_whole_stream(reader, handle, PidTagHtml) == html
        table = reader.open(oxcmsg.RopGetAttachmentTableRequest(0, 0, 1), handle)
        columns = (PidTagAttachNumber, PidTagAttachLongFilename, PidTagAttachSize)
        reader.one(oxctabl.RopSetColumnsRequest(0, 0, 0, columns), table)
        (file,) = reader.one(oxctabl.RopQueryRowsRequest(0, 0, 0, True, 32), table).rows
        assert file.values[:2] == (0, "report.bin")
        assert file.values[2] > len(random_bytes)
        attachment = reader.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), handle)
        assert read_whole_stream(reader, attachment, PidTagAttachDataBinary) == random_bytes
        reader.rops([RopReleaseRequest(0, 0), RopReleaseRequest(0, 1)], [attachment, handle])

    reader = readers[0]
    (mid,), *_ = inbox_rows(reader, PidTagMid)
    folder = reader.open(oxcfold.RopOpenFolderRequest(0, 0, 1, INBOX), reader.logon)
    trash = reader.open(oxcfold.RopOpenFolderRequest(0, 0, 1, DELETED_ITEMS), reader.logon)
    assert not reader.one(oxcmsg.RopSetReadFlagsRequest(0, 0, False, 0, (mid,)), folder).partial_completion
    assert folder_counts(reader, INBOX) == (1, 0)
    moved, _ = reader.rops([oxcfold.RopMoveCopyMessagesRequest(0, 0, 1, (mid,))], [folder, trash])
    assert (moved[0].return_value, moved[0].partial_completion) == (0, False)
    assert folder_counts(reader, INBOX) == (0, 0)
    assert folder_counts(reader, DELETED_ITEMS) == (1, 0)
    reader.rops([RopReleaseRequest(0, 0)], [reader.logon])
    assert reader.call(wire.EcDoDisconnectRequest(reader.handle)).return_value == 0


def test_copies_share_their_bytes(stores: Stores) -> None:
    sender = online(stores, 0)
    send(sender, compose(sender, stores, "once", b"<p>", bytes(50_000), (1, 2, 3, 4)))
    store = stores.stores["MBX1"]
    contents = [
        message.content
        for user in stores.directory.users[:5]
        for folder in (store.mailbox(user).inbox, store.mailbox(user).sent_items)
        for message in folder.messages.values()
    ]
    assert len(contents) == 5
    assert len({id(content.attachments[0].properties[PidTagAttachDataBinary]) for content in contents}) == 1
    assert len({id(content) for content in contents}) == 1


def test_mail_crosses_to_another_server() -> None:
    stores = Stores(servers=("MBX1", "MBX2"))
    sender = online(stores, 0)
    send(sender, compose(sender, stores, "far", b"<b>away</b>", b"12345", (1, 2, 3)))
    for index in (1, 2, 3):
        reader = online(stores, index)
        assert inbox_rows(reader, PidTagSubject) == [("far",)]


def test_blind_copies_are_seen_by_the_sender_alone(stores: Stores) -> None:
    sender = online(stores, 0)
    message = compose(sender, stores, "secret", b"", b"x", (1,))
    rows = recipients(stores, 1, 2, kind=BCC).rows
    sender.one(oxcmsg.RopModifyRecipientsRequest(0, 0, (), (rows[1],)), message)
    send(sender, message)
    store = stores.stores["MBX1"]
    for index, shown in [(1, 1), (2, 1)]:
        (got,) = store.mailbox(stores.directory.users[index]).inbox.messages.values()
        assert len(got.content.recipients) == shown
    (kept,) = store.mailbox(stores.directory.users[0]).sent_items.messages.values()
    assert len(kept.content.recipients) == 2


def test_an_unknown_recipient_comes_back_as_a_report(stores: Stores) -> None:
    sender = online(stores, 0)
    message = compose(sender, stores, "lost", b"", b"x", (1,))
    row = recipients(stores, 1).rows[0]
    nobody = replace(row, row_id=5, recipient=replace(row.recipient, x500_dn="nobody", display_name="Nobody"))
    sender.one(oxcmsg.RopModifyRecipientsRequest(0, 0, (), (nobody,)), message)
    send(sender, message)
    assert inbox_rows(sender, PidTagSubject) == [("Undeliverable: lost",)]
    assert inbox_rows(online(stores, 1), PidTagSubject) == [("lost",)]


async def test_a_wait_ends_with_news(stores: Stores) -> None:
    reader = online(stores, 1)
    reader.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x0002), reader.logon)
    handle = reader.call(wire.EcDoAsyncConnectExRequest(reader.handle)).async_context_handle
    wait = reader.start(wire.EcDoAsyncWaitExRequest(handle))
    assert not wait.done()
    assert reader.call(wire.EcDoAsyncWaitExRequest(handle)).return_value == 0x7EE
    sender = online(stores, 0)
    send(sender, compose(sender, stores, "news", b"", b"x", (1,)))
    answer = wire.EcDoAsyncWaitExResponse.decode(wait.result())
    assert (answer.flags, answer.return_value) == (1, 0)
    assert stores.timers.due == []
    assert reader.call(wire.EcDoAsyncWaitExRequest(handle)).flags == 1
    assert [notify.event.kind for notify in reader.poll()] == [0x0002]
    again = reader.start(wire.EcDoAsyncWaitExRequest(handle))
    assert not again.done()
    again.cancel()
    await asyncio.sleep(0)
    assert stores.timers.due == []
    assert not reader.start(wire.EcDoAsyncWaitExRequest(handle)).done()


async def test_a_wait_runs_out_five_minutes_after_the_last_call(stores: Stores) -> None:
    client = online(stores, 1)
    handle = client.call(wire.EcDoAsyncConnectExRequest(client.handle)).async_context_handle
    wait = client.start(wire.EcDoAsyncWaitExRequest(handle))
    stores.timers.advance(200)
    client.poll()
    stores.timers.advance(100)
    assert not wait.done()
    stores.timers.advance(199)
    assert not wait.done()
    stores.timers.advance(1)
    assert wire.EcDoAsyncWaitExResponse.decode(wait.result()) == wire.EcDoAsyncWaitExResponse()
    again = client.start(wire.EcDoAsyncWaitExRequest(handle))
    stores.timers.advance(299)
    assert not again.done()
    stores.timers.advance(1)
    assert again.done()


async def test_a_wait_ends_with_its_session(stores: Stores) -> None:
    client = online(stores, 1)
    handle = client.call(wire.EcDoAsyncConnectExRequest(client.handle)).async_context_handle
    wait = client.start(wire.EcDoAsyncWaitExRequest(handle))
    client.call(wire.EcDoDisconnectRequest(client.handle))
    assert wire.EcDoAsyncWaitExResponse.decode(wait.result()).return_value == 0x3ED


async def test_news_that_a_call_brings_along_wakes_nobody(stores: Stores) -> None:
    client = online(stores, 1)
    client.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x0002), client.logon)
    handle = client.call(wire.EcDoAsyncConnectExRequest(client.handle)).async_context_handle
    wait = client.start(wire.EcDoAsyncWaitExRequest(handle))
    send(client, compose(client, stores, "to myself", b"", b"x", (1,)))
    assert not wait.done()
    assert [notify.event.kind for notify in client.notified] == [0x0002]


def test_a_long_stream_comes_in_a_chain(stores: Stores) -> None:
    data = random.Random(1).randbytes(100_000)
    client = online(stores, 0)
    message = compose(client, stores, "long", b"", data, (1,))
    attachment = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    stream = client.open(oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagAttachDataBinary), attachment)
    read = oxcprpt.RopReadStreamRequest(0, 0, 0xBABE, 100_000)
    payloads = client.raw(write_requests([read], [stream]), NO_PACKING | wire.CHAIN, 0x18008)
    assert [len(payload) <= 0x7FFF for payload in payloads] == [True] * 3
    assert sum(8 + len(payload) for payload in payloads) <= 0x18008
    got = sum(len(payload) - 14 for payload in payloads)
    assert 0x18008 - 0x2000 < got < 0x18008
    rest, _ = client.rops([oxcprpt.RopReadStreamRequest(0, 0, 0xFFFF)], [stream])
    assert rest[0].data == data[got : got + len(rest[0].data)]
    without = client.raw(
        write_requests([oxcprpt.RopSeekStreamRequest(0, 0, 0, 0), read], [stream]), NO_PACKING, 0x40000
    )
    assert len(without) == 1


def test_notifications_that_do_not_fit_are_pending(stores: Stores) -> None:
    reader = online(stores, 1)
    reader.open(oxcnotif.RopRegisterNotificationRequest(0, 0, 1, 0x00FE), reader.logon)
    mailbox = stores.stores["MBX1"].mailbox(stores.directory.users[1])
    sender = online(stores, 0)
    send(sender, compose(sender, stores, "seed", b"", b"x", (1,)))
    (seed,) = mailbox.inbox.messages.values()
    for _ in range(600):
        mailbox.deliver(seed.content)
    reader.rops([])
    assert len(reader.pending) == 1
    assert reader.pending[0].session_index == 1
    while len(reader.pending) == 1:
        reader.pending.clear()
        reader.rops([])
    kinds = [notify.event.kind for notify in reader.notified]
    assert (kinds.count(0x0002), kinds.count(0x0004)) == (601, 601)
    assert 1 <= kinds.count(0x0010) < 10
    assert reader.notified[-1].event.total_count == 601


REPLAYED_LOGON = "basic-02-logon"
RECORDED = [
    "basic-03-open-folder",
    "basic-04-hierarchy-table",
    "basic-05-set-columns",
    "basic-06-query-rows",
    "basic-07-release",
    "basic-08-create-message",
    "basic-09-set-properties",
    "basic-10-modify-recipients",
    "basic-11-save-message",
    "basic-12-submit-message",
    "basic-14-open-inbox",
    "basic-15-contents-table",
    "basic-16-set-inbox-columns",
    "basic-17-query-inbox",
]


def recorded_rops(vector: Vector, name: str) -> tuple[list[object], list[int]]:
    request = wire.EcDoRpcExt2Request.decode(vector(f"emsmdb/gromox/{name}-request.hex"))
    (payload,) = read_payloads(request.rgb_in)
    return read_requests(payload)


def test_a_recorded_conversation_can_be_had_with_us(stores: Stores, vector: Vector) -> None:
    """The client's half of a conversation with another server; ids, handles and names are put in our way."""
    client = online(stores, 0)
    recorded = wire.EcDoConnectExRequest.decode(vector("emsmdb/gromox/basic-01-connect-request.hex"))
    theirs = {field.name: getattr(recorded, field.name) for field in fields(recorded)}
    assert client.connect(**{**theirs, "user_dn": client.dn}).return_value == 0
    (logon,), table = recorded_rops(vector, REPLAYED_LOGON)
    (answer,), ours = client.rops([replace(logon, essdn=client.dn)], table)
    assert answer.return_value == 0
    handles = recorded_handles(vector, REPLAYED_LOGON, ours, {})
    folders = {0x0D: INBOX, 0x09: answer.folder_ids[oxcstor.IPM_SUBTREE], 0x0C: OUTBOX}
    for name in RECORDED:
        requests, table = recorded_rops(vector, name)
        requests = [translate(request, folders) for request in requests]
        answers, ours = client.rops(
            requests, [handles.get(handle, handle) for handle in table], flags=NO_PACKING
        )
        assert [hex(answer.return_value) for answer in answers] == ["0x0"] * len(answers), name
        recorded_handles(vector, name, ours, handles)


def translate(request: object, folders: dict[int, int]) -> object:
    if hasattr(request, "folder_id"):
        return replace(request, folder_id=folders[request.folder_id >> 56])
    return request


def recorded_handles(vector: Vector, name: str, ours: list[int], known: dict[int, int]) -> dict[int, int]:
    """The recorded server's handles, each with the one that we gave in its place."""
    stub = wire.EcDoRpcExt2Response.decode(vector(f"emsmdb/gromox/{name}-response.hex"))
    (payload,) = read_payloads(stub.rgb_out)
    size = int.from_bytes(payload[:2], "little")
    theirs = [int.from_bytes(payload[i : i + 4], "little") for i in range(size, len(payload), 4)]
    known.update(zip(theirs, ours, strict=True))
    return known


def test_a_submitted_message_can_still_be_asked_for_its_change_key(stores: Stores) -> None:
    client = online(stores, 0)
    message = compose(client, stores, "key", b"", b"x", (1,))
    submit = oxomsg.RopSubmitMessageRequest(0, 0)
    key = oxcprpt.RopGetPropertiesSpecificRequest(0, 0, 0, 0, (0x65E20102, PidTagMessageDeliveryTime))
    (sent, properties), _ = client.rops([submit, key], [message])
    assert sent.return_value == 0
    assert len(properties.row.values[0]) == 22
    assert client.one(submit, message).return_value == 0x8004010A
