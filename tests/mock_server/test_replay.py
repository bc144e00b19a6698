"""Requests that others wrote: the reference's own ROP buffers, and a conversation with another server.

The reference's objects get a place in our store: its user, its ids, and for each of its handles one of ours.
"""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from loadgen.wire import emsmdb as wire
from loadgen.wire.extended_buffer import read_payloads
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PidTagBody, PidTagMid, PidTagNormalizedSubject, PidTagSubject
from loadgen.wire.rop import oxcfold, oxcmsg, oxctabl
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests
from loadgen.wire.rop.oxcnotif import ObjectEvent
from mock_server.directory import Directory, Organisation
from mock_server.mailboxes.mailbox import Mailbox, MailboxStore
from mock_server.mailboxes.message import MessageContent
from mock_server.rpc.emsmdb import EmsmdbServer
from tests.mock_server.store_client import (
    DELETED_ITEMS,
    INBOX,
    OUTBOX,
    StoreClient,
    Stores,
    attach,
    online,
)

Vector = Callable[[str], bytes]
FIRST_MESSAGE = 0x2100
REPLICA_GUID = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")


@pytest.fixture
def stores() -> Stores:
    """The reference's organisation: aliases are user000, user001, ..."""
    stores = Stores(users=4)
    stores.directory = Directory(Organisation(alias="user{index:03d}"), 4)
    store = MailboxStore("MBX1", stores.directory, clock=stores._clock)
    stores.transport.add(store)
    stores.stores["MBX1"] = store
    stores.servers["MBX1"] = EmsmdbServer(store, stores.transport, timers=stores.timers)
    return stores


@pytest.fixture
def mailbox(stores: Stores) -> Mailbox:
    """Three messages under the reference's ids."""
    mailbox = stores.stores["MBX1"].mailbox(stores.directory.users[1])
    mailbox._next_counter = FIRST_MESSAGE
    subject = "Quarterly figures"
    body = "Update people however before f\0".removesuffix("\0")
    content = MessageContent.of(
        {0x001A001F: "IPM.Note", PidTagSubject: subject, PidTagNormalizedSubject: subject, PidTagBody: body}
    )
    for _ in range(3):
        mailbox.deliver(content)
    mailbox._next_counter = 0x10000
    mailbox.identity = replace(mailbox.identity, replica_guid=REPLICA_GUID)
    return mailbox


@pytest.fixture
def client(stores: Stores, mailbox: Mailbox) -> StoreClient:
    return online(stores, 1)


@pytest.fixture
def handles(client: StoreClient) -> dict[int, int]:
    """Ours in the place of the reference's: what 0x11, 0x12, ... are in its dumps."""

    def folder(folder_id: int) -> int:
        return client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)

    inbox = folder(INBOX)
    table = client.open(oxcfold.RopGetContentsTableRequest(0, 0, 1), inbox)
    client.one(oxctabl.RopSetColumnsRequest(0, 0, 0, (PidTagMid,)), table)
    open_ = oxcmsg.RopOpenMessageRequest(
        0, 0, 1, 0x0FFF, INBOX, oxcmsg.READ_WRITE, object_id(1, FIRST_MESSAGE)
    )
    message = client.open(open_, client.logon)
    attach(client, message, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(0x5000 - 8))
    draft = client.open(oxcmsg.RopCreateMessageRequest(0, 0, 1, 0x0FFF, OUTBOX), client.logon)
    return {
        0x10: client.logon,
        0x11: inbox,
        0x12: table,
        0x14: folder(DELETED_ITEMS),
        0x31: message,
        0x40: draft,
        NO_HANDLE: NO_HANDLE,
    }


def answer(client: StoreClient, handles: dict[int, int], payload: bytes) -> bytes:
    """The ROP list that answers a request payload, whose handles are changed for ours and nothing else."""
    size = int.from_bytes(payload[:2], "little")
    theirs = [int.from_bytes(payload[i : i + 4], "little") for i in range(size, len(payload), 4)]
    table = b"".join(handles[handle].to_bytes(4, "little") for handle in theirs)
    (response,) = client.raw(payload[:size] + table)
    return response[: int.from_bytes(response[:2], "little")]


@pytest.mark.parametrize(
    "name",
    [
        "create-attachment",
        "create-message",
        "delete-messages",
        "find-row",
        "long-term-ids",
        "move-messages",
        "named-properties",
        "open-attachment",
        "read-flags",
        "register-notification",
        "release",
        "restrict",
        "write-stream",
    ],
)
def test_the_reference_gets_the_answer_that_it_prints(
    client: StoreClient, handles: dict[int, int], vector: Vector, name: str
) -> None:
    expected = vector(f"rop/{name}-response.hex")
    size = int.from_bytes(expected[:2], "little")
    assert answer(client, handles, vector(f"rop/{name}-request.hex")).hex() == expected[:size].hex()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("all-properties", None),
        ("attachment-table", None),
        ("contents-table", None),
        ("hierarchy-table", None),
        ("logon-private", 168),
        ("open-folder", None),
        ("open-message", None),
        ("poll", 2),
        ("read-stream", None),
        ("receive-folders", 133),
        ("submit", 59),
    ],
)
def test_the_reference_is_understood(
    client: StoreClient, handles: dict[int, int], vector: Vector, name: str, sizes: int | None
) -> None:
    """Where the answer holds ids, times or texts of ours its size tells, and no ROP fails."""
    payload = vector(f"rop/{name}-request.hex")
    requests, table = read_requests(payload)
    if sizes is not None:
        assert len(answer(client, handles, payload)) == sizes
        return
    answers, _ = client.rops(requests, [handles[handle] for handle in table])
    assert [hex(response.return_value) for response in answers] == ["0x0"] * len(answers)


def test_the_message_of_the_reference_reaches_its_recipient(
    client: StoreClient, stores: Stores, handles: dict[int, int], vector: Vector
) -> None:
    """Recipient, prefix and subject stand in bytes that Outlook 2007 laid out."""
    answer(client, handles, vector("rop/submit-request.hex"))
    reader = stores.stores["MBX1"].mailbox(stores.directory.users[2])
    (message,) = reader.inbox.messages.values()
    assert message.get(PidTagSubject) == "Quarterly figures"
    (recipient,) = message.content.recipients
    assert recipient.row.legacy_dn(stores.stores["MBX1"].dn_prefix) == stores.directory.users[2].dn
    assert recipient.row.row.get(0x39FE001F) == "bob.brown@contoso.test"


async def test_a_recorded_wait_ends_with_a_notification(
    client: StoreClient, mailbox: Mailbox, vector: Vector
) -> None:
    """Registers, waits and fetches as a client did that was recorded with another server."""

    def recorded(name: str) -> wire.EcDoRpcExt2Request:
        stub = vector(f"emsmdb/gromox/notify-async-{name}-request.hex")
        return replace(wire.EcDoRpcExt2Request.decode(stub), context_handle=client.handle)

    (payload,) = read_payloads(recorded("03-register-notification").rgb_in)
    (register,), _ = read_requests(payload)
    handle = client.open(register, client.logon)
    ask = wire.EcDoAsyncConnectExRequest.decode(
        vector("emsmdb/gromox/notify-async-08-async-connect-request.hex")
    )
    async_handle = client.call(replace(ask, context_handle=client.handle)).async_context_handle
    wait = wire.EcDoAsyncWaitExRequest.decode(vector("emsmdb/gromox/notify-async-08b-async-wait-request.hex"))
    waiting = client.start(replace(wait, async_context_handle=async_handle))
    assert isinstance(waiting, asyncio.Future)
    (message, *_) = mailbox.inbox.messages.values()
    mailbox.deliver(message.content)
    assert await waiting == vector("emsmdb/gromox/notify-async-08b-async-wait-response.hex")
    assert client.call(recorded("09-notify")).return_value == 0
    assert client.poll() == []
    mailbox.deliver(message.content)
    events = [notify.event for notify in client.poll() if notify.notification_handle == handle]
    assert all(isinstance(event, ObjectEvent) for event in events)
    assert {event.kind for event in events} <= {2, 4, 0x10}
    assert events
