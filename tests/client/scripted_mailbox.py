"""A mailbox that lives in the test and synchronises: streams by the rules of [MS-OXCFXICS], cut as told."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from loadgen.client.account import Account
from loadgen.client.content import Content
from loadgen.client.uploading import composed
from loadgen.errors import ConnectionLost
from loadgen.wire import emsmdb
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.changes import (
    Deletions,
    FolderChange,
    MessageChange,
    MessageChangeHeader,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import MessageContent, value_of
from loadgen.wire.fasttransfer.source import FastTransferSource
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import synchronization
from loadgen.wire.identifiers import MessageEntryId, counter_of, object_id
from loadgen.wire.idset import GlobSet, IdSetByReplGuid, IdSetByReplId
from loadgen.wire.rop import oxcfxics_download as ics
from loadgen.wire.rop import oxcfxics_transfer as fx
from loadgen.wire.rop import oxcfxics_upload as up
from loadgen.wire.rop import oxcmsg, oxcnotif, oxcstor, oxomsg

from .scripted import ScriptedConnection, make_account
from .scripted_store import CONTEXT, FOLDER_IDS, ScriptedStore, agree, refusal

REPLICA = b"R" * 16
"""As the scripted logon tells it."""
INBOX, SENT_ITEMS, DELETED_ITEMS = (
    FOLDER_IDS[place] for place in (oxcstor.INBOX, oxcstor.SENT_ITEMS, oxcstor.DELETED_ITEMS)
)
TRANSPORT = object_id(1, 0x190)
BACKGROUND = bytes(4) + b"emsmdb session 2"
OBJECT_DELETED = 0x80040800
READ = 0x1
SENDER = make_account(9)


def source_key(identifier: int) -> bytes:
    return REPLICA + counter_of(identifier).to_bytes(6, "big")


def written(key: str, size: int = 1_000, recipients: tuple[Account, ...] = (SENDER,)) -> MessageContent:
    """A message of the generator's own, as it is before it is sent."""
    return composed(SENDER, Content(key, size), recipients, 0x01C7A68AEC175C00)


class Mail(Struct):
    """A message as the server has it; numbers are counters of the replica."""

    content: MessageContent
    change_number: int = 0
    read: bool = False
    read_number: int = 0
    associated: bool = False
    change_key: bytes = b""
    predecessors: bytes = b""


class Context:
    """A download or a collector: the folder, the state that was uploaded, then the one that is reached."""

    def __init__(self, folder_id: int, rop: Any) -> None:
        self.folder_id = folder_id
        self.rop = rop
        self.values: list[tuple[int, bytes]] = []
        self.reached: State | None = None
        self.source: FastTransferSource | None = None

    @property
    def state(self) -> State:
        return self.reached or State.of(self.values)

    def add(self, **ids: bytes) -> None:
        """The client has these, too."""
        known = self.state
        sets = {
            name: (getattr(known, name) or IdSetByReplGuid()) | IdSetByReplGuid.of((source_key,))
            for name, source_key in ids.items()
        }
        self.reached = msgspec.structs.replace(known, **sets)


class Upload:
    """A message that is being written: bytes of its stream, and what becomes of it when it is saved."""

    def __init__(self, folder_id: int) -> None:
        self.folder_id = folder_id
        self.stream = b""
        self.context: Context | None = None
        self.mail = Mail(MessageContent(()))
        self.message_id = 0

    @property
    def content(self) -> MessageContent:
        return MessageContent.decode(self.stream)


class ScriptedMailbox(ScriptedStore):
    """Synchronises Inbox, Sent Items and Deleted Items; of two sessions the first hears of news.

    ``buffer_size`` is how many bytes of a stream go into a buffer; ``items`` may change what a stream tells.
    """

    def __init__(self, owner: str = "User 00000") -> None:
        super().__init__(owner)
        self._connections: list[ScriptedConnection] = []
        self.links: list[tuple[int, int]] = []
        self.sessions = 0
        self.mails: dict[int, dict[int, Mail]] = {INBOX: {}, SENT_ITEMS: {}, DELETED_ITEMS: {}}
        self.folder_numbers = dict.fromkeys(
            (folder_id for folder_id in FOLDER_IDS if folder_id != FOLDER_IDS[oxcstor.IPM_SUBTREE]), 1
        )
        self.counter = 0x1000
        self.reserved = 0x5000
        self.buffer_size = 0x7BC0
        self.outgoing: list[MessageContent] = []
        self.downloaded: list[int] = []
        self.items = lambda items: items
        self.is_lost = False
        self.rops |= {
            oxomsg.RopGetTransportFolderRequest: lambda rop, _: oxomsg.RopGetTransportFolderResponse(
                rop.input_handle_index, TRANSPORT
            ),
            oxomsg.RopTransportSendRequest: self._transport_send,
            oxcmsg.RopSaveChangesMessageRequest: self._save,
            ics.RopSynchronizationConfigureRequest: self._configure,
            ics.RopSynchronizationUploadStateStreamBeginRequest: self._begin_state,
            ics.RopSynchronizationUploadStateStreamContinueRequest: self._continue_state,
            ics.RopSynchronizationUploadStateStreamEndRequest: agree,
            ics.RopSynchronizationGetTransferStateRequest: self._transfer_state,
            fx.RopFastTransferSourceGetBufferRequest: self._get_buffer,
            fx.RopFastTransferDestinationConfigureRequest: self._open_target,
            fx.RopFastTransferDestinationPutBufferRequest: self._put_buffer,
            up.RopGetLocalReplicaIdsRequest: self._reserve,
            up.RopSynchronizationOpenCollectorRequest: self._open_collector,
            up.RopSynchronizationImportReadStateChangesRequest: self._import_reads,
            up.RopSynchronizationImportMessageMoveRequest: self._import_move,
            up.RopSynchronizationImportMessageChangeRequest: self._import_message,
        }

    @property
    def connection(self) -> ScriptedConnection:
        """The one that hears of news: the first."""
        return self._connections[0]

    @connection.setter
    def connection(self, connection: ScriptedConnection) -> None:
        self._connections.append(connection)

    def forget_sessions(self) -> None:
        """All sessions are over; whoever connects next is the first again."""
        self.is_lost = False
        self.sessions = 0
        self.objects.clear()
        self.events.clear()
        self._connections.clear()

    def lose(self) -> None:
        """What is under way is still done, but nobody hears of it any more."""
        self.is_lost = True

    def execute(self, request: emsmdb.EcDoRpcExt2Request) -> Any:
        answer = ConnectionLost("gone") if self.is_lost else self._execute(request)
        return ConnectionLost("gone") if self.is_lost else answer

    def _execute(self, request: emsmdb.EcDoRpcExt2Request) -> emsmdb.EcDoRpcExt2Response:
        if request.context_handle != BACKGROUND:
            return super().execute(request)
        events, self.events = self.events, []
        answer = super().execute(msgspec.structs.replace(request, context_handle=CONTEXT))
        self.events = events
        return msgspec.structs.replace(answer, context_handle=BACKGROUND)

    def _connect(self, request: emsmdb.EcDoConnectExRequest) -> emsmdb.EcDoConnectExResponse:
        self.links.append((request.session_index_link, request.time_stamp))
        self.sessions += 1
        context = CONTEXT if self.sessions == 1 else BACKGROUND
        return msgspec.structs.replace(
            super()._connect(request),
            context_handle=context,
            session_index=self.sessions,
            time_stamp=self.sessions * 100,
        )

    def put(self, content: MessageContent, folder_id: int = INBOX, **fields: Any) -> int:
        """A message comes into a folder; its id is returned."""
        message_id = object_id(1, self._number())
        self._insert(folder_id, message_id, Mail(content, **fields))
        return message_id

    def mail_comes(self, key: str, size: int = 1_000) -> int:
        """Mail of the generator's own comes into the Inbox, and the client is told."""
        message_id = self.put(written(key, size))
        event = oxcnotif.ObjectEvent(oxcnotif.NEW_MAIL, INBOX, message_id, message_class="IPM.Note")
        self.tell(oxcnotif.RopNotifyResponse(0x11, 0, event))
        return message_id

    def change(self, message_id: int, content: MessageContent, folder_id: int = INBOX) -> None:
        mail = self.mails[folder_id].pop(message_id)
        self._insert(folder_id, message_id, Mail(content, read=mail.read, associated=mail.associated))

    def mark(self, message_id: int, *, read: bool, folder_id: int = INBOX) -> None:
        mail = self.mails[folder_id][message_id]
        mail.read, mail.read_number = read, self._number()

    def take_away(self, message_id: int, folder_id: int = INBOX) -> None:
        del self.mails[folder_id][message_id]

    def _number(self) -> int:
        self.counter += 1
        return self.counter

    def _insert(self, folder_id: int, message_id: int, mail: Mail) -> None:
        mail.change_number = self._number()
        if not mail.change_key:
            mail.change_key = source_key(object_id(1, mail.change_number))
            mail.predecessors = b"\x16" + mail.change_key
        self.mails[folder_id][message_id] = mail

    def _configure(self, rop: ics.RopSynchronizationConfigureRequest, table: list[int]) -> Any:
        opened = self.objects[table[rop.input_handle_index]]
        folder_id = opened.values[p.PidTagFolderId]
        self.open(Context(folder_id, rop), rop.output_handle_index, table)
        return ics.RopSynchronizationConfigureResponse(rop.output_handle_index)

    def _begin_state(self, rop: ics.RopSynchronizationUploadStateStreamBeginRequest, table: list[int]) -> Any:
        self.objects[table[rop.input_handle_index]].values.append((rop.state_property, b""))
        return agree(rop, table)

    def _continue_state(
        self, rop: ics.RopSynchronizationUploadStateStreamContinueRequest, table: list[int]
    ) -> Any:
        values = self.objects[table[rop.input_handle_index]].values
        values[-1] = (values[-1][0], rop.stream_data)
        return agree(rop, table)

    def _get_buffer(self, rop: fx.RopFastTransferSourceGetBufferRequest, table: list[int]) -> Any:
        assert rop.buffer_size == fx.MAXIMUM_BUFFER_SIZE_FOLLOWS
        context = self.objects[table[rop.input_handle_index]]
        if context.source is None:
            context.source = FastTransferSource(synchronization(self.items(list(self._items(context)))))
        size = min(self.buffer_size, rop.maximum_buffer_size)
        buffers = []
        for _ in range(3 if self.calls[-1].flags & emsmdb.CHAIN else 1):
            data = context.source.read(size)
            done = context.source.exhausted
            status = fx.TRANSFER_DONE if done else fx.TRANSFER_PARTIAL
            buffers.append(
                fx.RopFastTransferSourceGetBufferResponse(rop.input_handle_index, status, data=data)
            )
            if done:
                break
        return buffers if len(buffers) > 1 else buffers[0]

    def _items(self, context: Context) -> Iterator[Any]:
        if context.rop.synchronization_type == ics.HIERARCHY:
            yield from self._folders(context)
        else:
            yield from self._contents_of(context)

    def _folders(self, context: Context) -> Iterator[Any]:
        state = context.state
        for folder_id, number in self.folder_numbers.items():
            key = source_key(object_id(1, number))
            if key not in state.cnset_seen:
                yield FolderChange(
                    b"", source_key(folder_id), 0, key, b"\x16" + key, f"{folder_id:X}", folder_id
                )
        gone = [key for key in state.idset_given if key not in map(source_key, self.folder_numbers)]
        if gone:
            yield Deletions(_by_number(gone))
        numbers = (source_key(object_id(1, number)) for number in self.folder_numbers.values())
        given = IdSetByReplGuid.of(map(source_key, self.folder_numbers))
        yield State(given, state.cnset_seen | IdSetByReplGuid.of(numbers))

    def _contents_of(self, context: Context) -> Iterator[Any]:
        state, mails = context.state, self.mails[context.folder_id]
        seen = {True: state.cnset_seen_fai or IdSetByReplGuid(), False: state.cnset_seen}
        known = {key: source_key(object_id(1, mail.change_number)) for key, mail in mails.items()}
        for message_id, mail in sorted(mails.items(), key=lambda pair: pair[1].change_number):
            if known[message_id] not in seen[mail.associated]:
                self.downloaded.append(message_id)
                yield self._change(message_id, mail, context.rop)
        gone = [key for key in state.idset_given if key not in map(source_key, mails)]
        if gone:
            yield Deletions(_by_number(gone))
        marked = {
            message_id: mail
            for message_id, mail in mails.items()
            if mail.read_number
            and known[message_id] in state.cnset_seen
            and source_key(object_id(1, mail.read_number)) not in (state.cnset_read or ())
        }
        if marked:
            yield ReadStateChanges(
                IdSetByReplId.of(key for key, mail in marked.items() if mail.read),
                IdSetByReplId.of(key for key, mail in marked.items() if not mail.read),
            )
        everything = IdSetByReplGuid.of_counters({REPLICA: GlobSet.of_ranges([(1, self.counter)])})
        given = IdSetByReplGuid.of(map(source_key, mails))
        yield State(given, *(everything | (ids or IdSetByReplGuid()) for ids in _change_sets(state)))

    def _change(self, message_id: int, mail: Mail, rop: Any) -> MessageChange:
        flags = Property(p.PidTagMessageFlags, READ if mail.read else 0)
        own = tuple(each for each in mail.content.properties if each.tag != p.PidTagMessageFlags)
        content = msgspec.structs.replace(mail.content, properties=(*own, flags))
        if rop.synchronization_flags & ics.SYNC_ONLY_SPECIFIED_PROPERTIES:
            wanted = tuple(each for each in content.properties if each.tag in rop.property_tags)
            content = MessageContent(wanted)
        change_number = object_id(1, mail.change_number)
        header = MessageChangeHeader(
            source_key(message_id),
            0,
            mail.change_key,
            mail.predecessors,
            mail.associated,
            message_id,
            1_000,
            change_number,
        )
        return MessageChange(header, content)

    def _transfer_state(self, rop: ics.RopSynchronizationGetTransferStateRequest, table: list[int]) -> Any:
        state = self.objects[table[rop.input_handle_index]].state
        stream = Context(0, rop)
        stream.source = FastTransferSource(state.elements())
        self.open(stream, rop.output_handle_index, table)
        return ics.RopSynchronizationGetTransferStateResponse(rop.output_handle_index)

    def _open_collector(self, rop: up.RopSynchronizationOpenCollectorRequest, table: list[int]) -> Any:
        assert rop.is_contents_collector
        opened = self.objects[table[rop.input_handle_index]]
        self.open(Context(opened.values[p.PidTagFolderId], rop), rop.output_handle_index, table)
        return up.RopSynchronizationOpenCollectorResponse(rop.output_handle_index)

    def _import_reads(self, rop: up.RopSynchronizationImportReadStateChangesRequest, table: list[int]) -> Any:
        context = self.objects[table[rop.input_handle_index]]
        mails = {source_key(key): key for key in self.mails[context.folder_id]}
        for change in rop.message_read_states:
            if change.message_id in mails:
                self.mark(mails[change.message_id], read=change.mark_as_read, folder_id=context.folder_id)
                context.add(cnset_read=source_key(object_id(1, self.counter)))
        return agree(rop, table)

    def _import_move(self, rop: up.RopSynchronizationImportMessageMoveRequest, table: list[int]) -> Any:
        context = self.objects[table[rop.input_handle_index]]
        folders = {source_key(folder_id): mails for folder_id, mails in self.mails.items()}
        mails = folders[rop.source_folder_id]
        moved = next((key for key in mails if source_key(key) == rop.source_message_id), None)
        if moved is None:
            return refusal(rop, OBJECT_DELETED)
        mail = mails.pop(moved)
        assert rop.predecessor_change_list == mail.predecessors
        assert len(rop.change_number) == 20
        predecessors = mail.predecessors + b"\x14" + rop.change_number
        new_id = object_id(1, int.from_bytes(rop.destination_message_id[16:], "big"))
        number = self._file(
            context.folder_id, new_id, mail.content, rop.change_number, predecessors, mail.read
        )
        context.add(idset_given=rop.destination_message_id, cnset_seen=source_key(object_id(1, number)))
        return up.RopSynchronizationImportMessageMoveResponse(rop.input_handle_index)

    def _file(
        self, folder_id: int, message_id: int, content: MessageContent, key: bytes, before: bytes, read: bool
    ) -> int:
        assert self.reserved <= counter_of(message_id) < self.reserved + 0x10000
        mail = Mail(content, read=read, change_key=key, predecessors=before)
        self._insert(folder_id, message_id, mail)
        return mail.change_number

    def _import_message(self, rop: up.RopSynchronizationImportMessageChangeRequest, table: list[int]) -> Any:
        context = self.objects[table[rop.input_handle_index]]
        assert [value.tag for value in rop.values] == [
            p.PidTagSourceKey,
            p.PidTagLastModificationTime,
            p.PidTagChangeKey,
            p.PidTagPredecessorChangeList,
        ]
        key, _, change_key, predecessors = (value.value for value in rop.values)
        upload = Upload(context.folder_id)
        upload.message_id = object_id(1, int.from_bytes(key[16:], "big"))
        upload.mail.change_key, upload.mail.predecessors = change_key, predecessors
        upload.context = context
        self.open(upload, rop.output_handle_index, table)
        return up.RopSynchronizationImportMessageChangeResponse(rop.output_handle_index)

    def _create_message(self, rop: oxcmsg.RopCreateMessageRequest, table: list[int]) -> Any:
        self.open(Upload(rop.folder_id), rop.output_handle_index, table)
        return oxcmsg.RopCreateMessageResponse(rop.output_handle_index)

    def _open_target(self, rop: fx.RopFastTransferDestinationConfigureRequest, table: list[int]) -> Any:
        assert rop.source_operation == fx.SOURCE_COPY_TO
        self.open(self.objects[table[rop.input_handle_index]], rop.output_handle_index, table)
        return fx.RopFastTransferDestinationConfigureResponse(rop.output_handle_index)

    def _put_buffer(self, rop: fx.RopFastTransferDestinationPutBufferRequest, table: list[int]) -> Any:
        self.objects[table[rop.input_handle_index]].stream += rop.data
        return fx.RopFastTransferDestinationPutBufferResponse(
            rop.input_handle_index, fx.TRANSFER_DONE, 0, 0, 0, len(rop.data)
        )

    def _save(self, rop: oxcmsg.RopSaveChangesMessageRequest, table: list[int]) -> Any:
        upload = self.objects[table[rop.input_handle_index]]
        mail = upload.mail
        number = self._file(
            upload.folder_id, upload.message_id, upload.content, mail.change_key, mail.predecessors, read=True
        )
        upload.context.add(
            idset_given=source_key(upload.message_id), cnset_seen=source_key(object_id(1, number))
        )
        return oxcmsg.RopSaveChangesMessageResponse(
            rop.response_handle_index, rop.input_handle_index, upload.message_id
        )

    def _transport_send(self, rop: oxomsg.RopTransportSendRequest, table: list[int]) -> Any:
        upload = self.objects[table[rop.input_handle_index]]
        assert upload.folder_id == TRANSPORT
        content = upload.content
        self.outgoing.append(content)
        target = value_of(content.properties, p.PidTagTargetEntryId)
        if target is not None:
            self._file_target(MessageEntryId.decode(target), content)
        else:
            assert value_of(content.properties, p.PidTagDeleteAfterSubmit)
        return oxomsg.RopTransportSendResponse(rop.input_handle_index, True)

    def _file_target(self, target: MessageEntryId, content: MessageContent) -> None:
        assert target.provider == b"M" * 16
        folder_id, message_id = (
            object_id(1, int.from_bytes(long_term[16:22], "big"))
            for long_term in (target.folder, target.message)
        )
        kept = tuple(each for each in content.properties if each.tag != p.PidTagTargetEntryId)
        self._file(
            folder_id, message_id, msgspec.structs.replace(content, properties=kept), b"", b"", read=True
        )

    def _reserve(self, rop: up.RopGetLocalReplicaIdsRequest, _table: list[int]) -> Any:
        assert rop.id_count == 0x10000
        return up.RopGetLocalReplicaIdsResponse(
            rop.input_handle_index, REPLICA, self.reserved.to_bytes(6, "big")
        )


def _by_number(keys: list[bytes]) -> IdSetByReplId:
    return IdSetByReplId.of(object_id(1, int.from_bytes(key[16:], "big")) for key in keys)


def _change_sets(state: State) -> tuple[IdSetByReplGuid | None, ...]:
    return state.cnset_seen, state.cnset_seen_fai, state.cnset_read
