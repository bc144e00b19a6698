"""A scripted client in cached mode: the copy of a folder that synchronisation keeps."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from loadgen.wire import emsmdb
from loadgen.wire.fasttransfer.changes import Deletions, FolderChange, MessageChange, ReadStateChanges
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import Attachment, MessageContent, value_of
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsReader, HierarchyReader
from loadgen.wire.identifiers import global_counter_of
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagChangeKey,
    PidTagLastModificationTime,
    PidTagMessageClass,
    PidTagMessageFlags,
    PidTagNormalizedSubject,
    PidTagPredecessorChangeList,
    PidTagSourceKey,
    PidTagSubject,
    PropertyValue,
)
from loadgen.wire.rop import oxcfold, oxcmsg
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as upload
from loadgen.wire.rop.base import RopRequest
from loadgen.wire.rop.buffer import NO_HANDLE
from mock_server.mailboxes.mailbox import Mailbox
from mock_server.mailboxes.message import Attachment as StoredAttachment
from mock_server.mailboxes.message import Message
from mock_server.mailboxes.message import MessageContent as StoredContent
from tests.mock_server.store_client import NO_PACKING, StoreClient

UNICODE = fx.SEND_UNICODE | fx.SEND_FORCE_UNICODE
CONTENTS_FLAGS = ics.SYNC_UNICODE | ics.SYNC_READ_STATE | ics.SYNC_FAI | ics.SYNC_NORMAL
EXTRAS = ics.EXTRA_EID | ics.EXTRA_MESSAGE_SIZE | ics.EXTRA_CHANGE_NUMBER
CLIENT_GUID = bytes.fromhex("1e3c9f5d77772b4d9b1a0102030405aa")


class Copy(msgspec.Struct, frozen=True):
    """What a client knows of a message."""

    subject: str
    data: tuple[bytes, ...]
    read: bool
    associated: bool

    @classmethod
    def of(cls, change: MessageChange) -> "Copy":
        properties, header = change.content.properties, change.header
        return cls(
            value_of(properties, PidTagSubject),
            tuple(value_of(each.properties, PidTagAttachDataBinary) for each in change.content.attachments),
            bool(value_of(properties, PidTagMessageFlags) & 1),
            header.associated,
        )


def truth(mailbox: Mailbox, folder_id: int) -> dict[int, Copy]:
    """What a perfect copy of a folder holds."""
    folder = mailbox.folders[folder_id]
    return {
        message.message_id: Copy(
            message.content.properties[PidTagSubject],
            tuple(each.properties[PidTagAttachDataBinary] for each in message.content.attachments),
            message.is_read,
            message.associated,
        )
        for message in (*folder.messages.values(), *folder.associated.values())
    }


def open_folder(client: StoreClient, folder_id: int) -> int:
    return client.open(oxcfold.RopOpenFolderRequest(0, 0, 1, folder_id), client.logon)


def upload_state(client: StoreClient, handle: int, state: State, piece: int = 1 << 20) -> None:
    """All properties of a state, each in pieces."""
    rops: list[RopRequest] = []
    for tag, data in state.values():
        rops.append(ics.RopSynchronizationUploadStateStreamBeginRequest(0, 0, tag, len(data)))
        rops += [
            ics.RopSynchronizationUploadStateStreamContinueRequest(0, 0, data[start : start + piece])
            for start in range(0, len(data), piece)
        ]
        rops.append(ics.RopSynchronizationUploadStateStreamEndRequest(0, 0))
    answers, _ = client.rops(rops, [handle])
    assert not any(answer.return_value for answer in answers)


def configure(
    client: StoreClient,
    folder_id: int,
    flags: int = CONTENTS_FLAGS,
    *,
    kind: int = ics.CONTENTS,
    options: int = UNICODE,
    extras: int = EXTRAS,
    restriction: Any = None,
    tags: tuple[int, ...] = (),
    state: State | None = None,
) -> int:
    request = ics.RopSynchronizationConfigureRequest(0, 0, 1, kind, options, flags, restriction, extras, tags)
    handle = client.open(request, open_folder(client, folder_id))
    if state is not None:
        upload_state(client, handle, state)
    return handle


def get_buffer(size: int) -> fx.RopFastTransferSourceGetBufferRequest:
    """An exact size, or the server's choice."""
    if size:
        return fx.RopFastTransferSourceGetBufferRequest(0, 0, size)
    return fx.RopFastTransferSourceGetBufferRequest(0, 0, fx.MAXIMUM_BUFFER_SIZE_FOLLOWS, 0x7BC0)


def fetch(
    client: StoreClient, handle: int, size: int = 0, *, most: int = 1 << 30
) -> tuple[list[bytes], bool]:
    """Buffers of a stream, at most so many calls; and whether it came to its end."""
    buffers: list[bytes] = []
    chain = emsmdb.CHAIN if not size else 0
    for _ in range(most):
        answers, _table = client.rops(
            [get_buffer(size)], [handle], flags=NO_PACKING | chain, out_max=0x18007 if chain else 0x8007
        )
        assert not any(answer.return_value for answer in answers)
        buffers += [answer.data for answer in answers]
        if answers[-1].transfer_status == fx.TRANSFER_DONE:
            return buffers, True
        assert answers[-1].transfer_status == fx.TRANSFER_PARTIAL
    return buffers, False


def items_of(client: StoreClient, handle: int, size: int = 0, *, hierarchy: bool = False) -> list[Any]:
    """A whole stream as objects."""
    buffers, done = fetch(client, handle, size)
    assert done
    reader: Any = HierarchyReader() if hierarchy else ContentsReader()
    found = [item for buffer in buffers for item in reader.feed(buffer)]
    reader.finish()
    return found


def transfer_state(client: StoreClient, handle: int) -> State:
    stream = client.open(ics.RopSynchronizationGetTransferStateRequest(0, 0, 1), handle)
    buffers, _ = fetch(client, stream)
    return State.decode(b"".join(buffers))


class Replica:
    """The copy of one folder, and the state that it has reached."""

    def __init__(self, client: StoreClient, folder_id: int) -> None:
        self.client = client
        self.folder_id = folder_id
        self.state = State()
        self.messages: dict[int, Copy] = {}
        self.predecessors: dict[int, bytes] = {}
        self.received: list[Any] = []

    def download(self, size: int = 0, *, most: int = 1 << 30, resume: bool = True, **wish: Any) -> bool:
        """Brings the copy up to date; returns whether it was not interrupted.

        After an interruption the copy goes on from a checkpoint, or from where it was before.
        """
        before = dict(self.messages)
        handle = configure(self.client, self.folder_id, state=self.state, **wish)
        buffers, done = fetch(self.client, handle, size, most=most)
        reader = ContentsReader()
        self.received = [item for buffer in buffers for item in reader.feed(buffer)]
        self._take(self.received, done=done)
        if done:
            reader.finish()
        elif resume:
            self.state = transfer_state(self.client, handle)
        else:
            self.messages = before
        return done

    def _take(self, items: Iterable[Any], *, done: bool) -> None:
        for item in items:
            if isinstance(item, MessageChange):
                self.messages[item.header.message_id] = Copy.of(item)
                self.predecessors[item.header.message_id] = item.header.predecessor_change_list
            elif isinstance(item, Deletions):
                for gone in [m for m in self.messages if m in item.deleted or m in item.no_longer_in_scope]:
                    del self.messages[gone]
            elif isinstance(item, ReadStateChanges):
                self._mark(item)
            elif isinstance(item, State) and done:
                self.state = item

    def _mark(self, changes: ReadStateChanges) -> None:
        for message_id, known in self.messages.items():
            if message_id in changes.read_ids or message_id in changes.unread_ids:
                read = message_id in changes.read_ids
                self.messages[message_id] = msgspec.structs.replace(known, read=read)

    def collector(self) -> int:
        folder = open_folder(self.client, self.folder_id)
        handle = self.client.open(upload.RopSynchronizationOpenCollectorRequest(0, 0, 1, True), folder)
        upload_state(self.client, handle, self.state)
        return handle

    def upload(self, *imports: RopRequest) -> list[int]:
        """Imports by one collector, whose state becomes the copy's; returns what each returned."""
        handle = self.collector()
        answers, _ = self.client.rops(imports, [handle])
        self.state = transfer_state(self.client, handle)
        return [answer.return_value for answer in answers]

    def write(
        self, values: tuple[PropertyValue, ...], copy: Copy, *, flag: int = 0, save: bool = True
    ) -> int:
        """Imports a message, whole; returns what the import returned."""
        collector = self.collector()
        request = upload.RopSynchronizationImportMessageChangeRequest(0, 0, 1, flag, values)
        (answer,), (_, message) = self.client.rops([request], [collector, NO_HANDLE])
        if answer.return_value:
            return int(answer.return_value)
        assert answer.message_id == 0
        put_stream(self.client, message, content_of(copy).encode())
        if save:
            saving = oxcmsg.RopSaveChangesMessageRequest(0, 0, 0, oxcmsg.KEEP_OPEN_READ_WRITE)
            assert self.client.one(saving, message).return_value == 0
        self.state = transfer_state(self.client, collector)
        return 0


def content_of(copy: Copy) -> MessageContent:
    """What a client uploads of its copy."""
    files = tuple(
        Attachment(number, (Property(PidTagAttachDataBinary, data),)) for number, data in enumerate(copy.data)
    )
    return MessageContent((Property(PidTagSubject, copy.subject),), (), files)


def put_stream(client: StoreClient, message: int, stream: bytes, piece: int = 0x7000) -> None:
    """Uploads a stream into an open message."""
    target = client.open(fx.RopFastTransferDestinationConfigureRequest(0, 0, 1, fx.SOURCE_COPY_TO), message)
    for start in range(0, len(stream), piece):
        data = stream[start : start + piece]
        answer = client.one(fx.RopFastTransferDestinationPutBufferRequest(0, 0, data), target)
        assert (answer.return_value, answer.buffer_used_size) == (0, len(data))


def change_values(
    source_key: bytes, change: int, modified: int, predecessors: bytes = b""
) -> tuple[PropertyValue, ...]:
    """What names a client's change: the ``change``-th one that it made."""
    xid = change_key(change)
    listed = predecessors + bytes((len(xid),)) + xid
    return (
        PropertyValue(PidTagSourceKey, source_key),
        PropertyValue(PidTagLastModificationTime, modified),
        PropertyValue(PidTagChangeKey, xid),
        PropertyValue(PidTagPredecessorChangeList, listed),
    )


def change_key(change: int) -> bytes:
    return CLIENT_GUID + change.to_bytes(4, "big")


def source_key(mailbox: Mailbox, identifier: int) -> bytes:
    return mailbox.identity.replica_guid + global_counter_of(identifier)


def reserve(client: StoreClient, count: int) -> int:
    """The first of so many ids for the client's own messages, as a counter."""
    answer = client.one(upload.RopGetLocalReplicaIdsRequest(0, 0, count), client.logon)
    assert answer.return_value == 0
    return int.from_bytes(answer.global_count, "big")


def folders_of(items: Sequence[Any]) -> list[str]:
    return [item.display_name for item in items if isinstance(item, FolderChange)]


def note(subject: str, size: int = 0, **more: Any) -> StoredContent:
    """A message in the store."""
    files = (StoredAttachment(0, {PidTagAttachDataBinary: subject[:1].encode() * size}),) if size else ()
    properties = {PidTagMessageClass: "IPM.Note", PidTagSubject: subject, PidTagNormalizedSubject: subject}
    return StoredContent.of({**properties, **more.get("properties", {})}, attachments=files)


def put(mailbox: Mailbox, *subjects: str, size: int = 0, **more: Any) -> list[Message]:
    """Messages in the Inbox."""
    for subject in subjects:
        mailbox.deliver(note(subject, size, **more))
    return list(mailbox.inbox.messages.values())[-len(subjects) :]
