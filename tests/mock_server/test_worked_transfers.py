"""The reference's worked examples of download, upload and sending, put to a mailbox of ours."""

from collections.abc import Callable

from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsReader
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PidTagSubject
from loadgen.wire.rop import oxcfxics_upload as upload
from loadgen.wire.rop import oxcmsg
from loadgen.wire.rop.buffer import NO_HANDLE
from mock_server.mailboxes.mailbox import Mailbox
from tests.mock_server.cached_client import CLIENT_GUID, note, open_folder
from tests.mock_server.store_client import DELETED_ITEMS, INBOX, OUTBOX, StoreClient

REFERENCE_REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
Vector = Callable[[str], bytes]


def asked(request: bytes, mailbox: Mailbox, *handles: int) -> bytes:
    """A request of the reference for a store of ours: other GUIDs and handles."""
    ours = request.replace(REFERENCE_REPLICA, mailbox.identity.replica_guid)
    return ours[: -4 * len(handles)] + b"".join(handle.to_bytes(4, "little") for handle in handles)


def rop_list(payload: bytes) -> bytes:
    return payload[: int.from_bytes(payload[:2], "little")]


def handles_in(payload: bytes) -> list[int]:
    table = payload[int.from_bytes(payload[:2], "little") :]
    return [int.from_bytes(table[start : start + 4], "little") for start in range(0, len(table), 4)]


def test_the_worked_download(client: StoreClient, mailbox: Mailbox, vector: Vector) -> None:
    mailbox.deliver(note("one", 1000))
    (message_id,) = mailbox.inbox.messages
    inbox = open_folder(client, INBOX)
    request = asked(vector("rop/synchronization-configure-request.hex"), mailbox, inbox, NO_HANDLE)
    (payload,) = client.raw(request)
    assert rop_list(payload) == rop_list(vector("rop/synchronization-configure-response.hex"))
    _, source = handles_in(payload)
    (payload,) = client.raw(asked(vector("rop/get-buffer-request.hex"), mailbox, source), 7, 0x18007)
    expected = vector("rop/get-buffer-response.hex")
    assert payload[2:15] == expected[2:15]
    reader = ContentsReader()
    total, progress, change, deletions, state = reader.feed(rop_list(payload)[17:])
    reader.finish()
    assert (total.normal_count, progress.associated) == (1, False)
    assert (change.header.message_id, change.header.change_number is None) == (message_id, False)
    assert len(deletions.deleted) == 0xD6
    assert len(state.idset_given) == 1
    request = asked(vector("rop/transfer-state-request.hex"), mailbox, source, NO_HANDLE)
    (payload,) = client.raw(request)
    assert payload[2:21] == vector("rop/transfer-state-response.hex")[2:21]
    assert State.decode(rop_list(payload)[23:]) == state


def test_the_worked_upload(client: StoreClient, mailbox: Mailbox, vector: Vector) -> None:
    mailbox.reserved = mailbox.reserved.with_range(0x500010, 0x500011)

    def ask(name: str, *handles: int) -> bytes:
        (payload,) = client.raw(asked(vector(f"rop/{name}-request.hex"), mailbox, *handles))
        assert rop_list(payload) == rop_list(vector(f"rop/{name}-response.hex"))
        return payload

    payload = ask("import-message-change", open_folder(client, INBOX), NO_HANDLE, NO_HANDLE)
    _, collector, message = handles_in(payload)
    saving = oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, oxcmsg.KEEP_OPEN_READ_WRITE)
    assert client.one(saving, message).message_id == object_id(1, 0x500010)
    made = mailbox.inbox.messages[object_id(1, 0x500010)]
    assert made.history.change_key == CLIENT_GUID + bytes.fromhex("01100000")
    assert made.modified == 0x01C7A68AEC175C00
    # The messages that the examples mark, delete and move have the numbers of the reference.
    deleted, marked = (mailbox.new_message(mailbox.inbox, made.content, counter=n) for n in (0x2100, 0x2101))
    for each in (deleted, marked):
        mailbox.add_message(each)
    ask("import-deletes", collector)
    assert (deleted.deleted, marked.is_read) == (True, True)
    moving = mailbox.new_message(mailbox.inbox, made.content, counter=0x2100)
    mailbox.add_message(moving)
    moving.change_counter = 0x4001
    opening = upload.RopSynchronizationOpenCollectorRequest(0, 0, 1, True)
    ask("import-message-move", client.open(opening, open_folder(client, DELETED_ITEMS)))
    moved = mailbox.deleted_items.messages[object_id(1, 0x500011)]
    assert moved.history.change_key == CLIENT_GUID + bytes.fromhex("01100000")
    assert len(moved.history.latest) == 2


def test_the_worked_sending(client: StoreClient, mailbox: Mailbox, vector: Vector) -> None:
    request = vector("rop/upload-message-request.hex").replace(
        bytes.fromhex("0100000000000190"), OUTBOX.to_bytes(8, "little")
    )
    (payload,) = client.raw(asked(request, mailbox, client.logon, NO_HANDLE, NO_HANDLE))
    assert rop_list(payload) == rop_list(vector("rop/upload-message-response.hex"))
    # Nobody here has the name that the reference sends to.
    (report,) = mailbox.inbox.messages.values()
    assert report.content.properties[PidTagSubject] == "Undeliverable: Hi"
    assert "Bob Brown" in report.content.properties[0x1000001F]
