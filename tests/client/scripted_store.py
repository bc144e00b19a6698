"""A store that lives in the test, of one mailbox or of public folders: it does as told, and remembers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from loadgen.client.store_session import StoreSession
from loadgen.protocol.emsmdb_session import EmsmdbSession
from loadgen.wire import emsmdb
from loadgen.wire import properties as p
from loadgen.wire.buffer import Writer
from loadgen.wire.extended_buffer import read_payloads, write_payload
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import PropertyError, PropertyRow
from loadgen.wire.rop import oxcfold, oxcmsg, oxcnotif, oxcprpt, oxcstor, oxctabl, oxomsg
from loadgen.wire.rop.base import RopErrorResponse, RopRequest
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests, write_responses
from loadgen.wire.rop.oxcrops import RopReleaseRequest
from loadgen.wire.typed_string import TypedString

from .scripted import Script, ScriptedConnection

FOLDER_IDS = tuple(object_id(1, 0x101 + place) for place in range(oxcstor.FOLDER_COUNT))
INBOX = FOLDER_IDS[oxcstor.INBOX]
NOT_FOUND = 0x8004010F
NULL_OBJECT = 0x4B9
CONTEXT = bytes(4) + b"emsmdb session 1"
ASYNC_CONTEXT = bytes(4) + b"emsmdb waiting 1"
DN_PREFIX = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn="
ROOM_FOR_DATA = 31 * 1024
"""Bytes of a stream that this store puts into one payload."""

Handler = Callable[[Any, list[int]], Any]
"""Takes a ROP and the handle table; gives its response, several if the last ones are chained, or None."""


class Item:
    """A folder, a message or an attachment: its properties, and what it holds."""

    def __init__(self, values: dict[int, Any] | None = None) -> None:
        self.values = values or {}
        self.items: list[Item] = []

    def row(self, columns: Sequence[int]) -> PropertyRow:
        values = [self.values.get(tag) for tag in columns]
        return PropertyRow.of(columns, [PropertyError(NOT_FOUND) if v is None else v for v in values])


class Table:
    """An open table over the rows that ``source`` gives."""

    def __init__(self, source: Callable[[], list[Item]]) -> None:
        self.source = source
        self.columns: Sequence[int] = ()
        self.place = 0


class Stream:
    """One property of an item, open."""

    def __init__(self, item: Item, tag: int) -> None:
        self.item = item
        self.tag = tag
        self.place = 0


class Call(Struct):
    """One EcDoRpcExt2 as it came."""

    rops: list[RopRequest]
    payload_size: int
    flags: int
    out_max: int

    @property
    def names(self) -> list[str]:
        return [type(rop).__name__.removeprefix("Rop").removesuffix("Request") for rop in self.rops]


class ScriptedStore(Script):
    """Answers as a store does; ROPs that a test wants answered otherwise it puts into ``rops``."""

    def __init__(self, owner: str = "User 00000", *, public: bool = False) -> None:
        super().__init__()
        self.connection: ScriptedConnection
        self.is_public = public
        self.calls: list[Call] = []
        self.submitted: list[Item] = []
        self.heard: list[Any] = []
        self.prefix_taken = ""
        self.events: list[oxcnotif.RopNotifyResponse] = []
        self.objects: dict[int, Any] = {}
        self.recipients: tuple[Any, ...] = ()
        self.last_handle = 0x10
        self._last_message = 0x2000
        self.folders = [
            Item({p.PidTagFolderId: folder_id, p.PidTagDisplayName: f"Folder {place}"})
            for place, folder_id in enumerate(FOLDER_IDS)
        ]
        self.inbox = self.folders[oxcstor.INBOX]
        self.root = Item({p.PidTagMailboxOwnerName: owner})
        self.answers = {
            emsmdb.EcDoConnectExRequest: self._connect,
            emsmdb.EcDoRpcExt2Request: self.execute,
            emsmdb.EcDoDisconnectRequest: lambda _: emsmdb.EcDoDisconnectResponse(),
            emsmdb.EcDoAsyncConnectExRequest: lambda _: emsmdb.EcDoAsyncConnectExResponse(ASYNC_CONTEXT),
            emsmdb.EcDoAsyncWaitExRequest: self._wait,
        }
        self.rops: dict[type, Handler] = {
            oxcstor.RopLogonRequest: self._log_on,
            oxcstor.RopGetReceiveFolderRequest: self._receive_folder,
            oxcfold.RopOpenFolderRequest: self._open_folder,
            oxcfold.RopGetHierarchyTableRequest: self._hierarchy,
            oxcfold.RopGetContentsTableRequest: self._contents,
            oxcfold.RopMoveCopyMessagesRequest: self._move,
            oxctabl.RopSetColumnsRequest: self._set_columns,
            oxctabl.RopSortTableRequest: agree,
            oxctabl.RopQueryRowsRequest: self._query_rows,
            oxctabl.RopSeekRowRequest: self._seek_row,
            oxctabl.RopQueryPositionRequest: self._position,
            oxcmsg.RopCreateMessageRequest: self._create_message,
            oxcmsg.RopOpenMessageRequest: self._open_message,
            oxcmsg.RopCreateAttachmentRequest: self._create_attachment,
            oxcmsg.RopOpenAttachmentRequest: self._open_attachment,
            oxcmsg.RopGetAttachmentTableRequest: self._attachments,
            oxcmsg.RopSaveChangesAttachmentRequest: agree,
            oxcmsg.RopRemoveAllRecipientsRequest: agree,
            oxcmsg.RopModifyRecipientsRequest: self._modify_recipients,
            oxcmsg.RopSetReadFlagsRequest: agree,
            oxcprpt.RopGetPropertiesSpecificRequest: self._get_properties,
            oxcprpt.RopSetPropertiesRequest: self._set_properties,
            oxcprpt.RopOpenStreamRequest: self._open_stream,
            oxcprpt.RopReadStreamRequest: self._read_stream,
            oxcprpt.RopWriteStreamRequest: self._write_stream,
            oxcprpt.RopCommitStreamRequest: agree,
            oxcnotif.RopRegisterNotificationRequest: self._register,
            oxomsg.RopSubmitMessageRequest: self._submit,
            RopReleaseRequest: self._release,
        }

    def alter(self, kind: type[RopRequest], **fields: Any) -> None:
        """From now on responses to this ROP are as before but for these fields."""
        before = self.rops[kind]
        self.rops[kind] = lambda rop, table: msgspec.structs.replace(before(rop, table), **fields)

    def refuse(self, kind: type[RopRequest], code: int) -> None:
        """From now on this ROP fails."""
        self.rops[kind] = lambda rop, _table: refusal(rop, code)

    def deliver(self, subject: str, html: bytes = b"", attachment: bytes = b"", *, tell: bool = True) -> int:
        """A message comes into the Inbox; its id is returned."""
        self._last_message += 1
        message_id = object_id(1, self._last_message)
        message = Item(
            {
                p.PidTagMid: message_id,
                p.PidTagMessageDeliveryTime: self._last_message,
                p.PidTagNormalizedSubject: subject,
                p.PidTagHtml: html,
            }
        )
        message.items.append(Item({p.PidTagAttachNumber: 0, p.PidTagAttachDataBinary: attachment}))
        self.inbox.items.append(message)
        if tell:
            self.tell_row(oxcnotif.TABLE_ROW_ADDED, message)
        return message_id

    def remove(self, message_id: int, *, tell: bool = True) -> None:
        """A message leaves the Inbox."""
        message = self.message(message_id)
        self.inbox.items.remove(message)
        if tell:
            self.tell_row(oxcnotif.TABLE_ROW_DELETED, message)

    def message(self, message_id: int) -> Item:
        return next(item for item in self.inbox.items if item.values[p.PidTagMid] == message_id)

    def tell_row(self, event_type: int, message: Item | None = None) -> None:
        """Every open view of the Inbox is told of an event."""
        row_id = oxcnotif.TableRowId(INBOX, message.values[p.PidTagMid]) if message else oxcnotif.TableRowId()
        for handle, table in self.objects.items():
            if isinstance(table, Table) and table.source == self._newest_first:
                writer = Writer()
                if message is not None and event_type != oxcnotif.TABLE_ROW_DELETED:
                    message.row(table.columns).write(writer)
                event = oxcnotif.TableEvent(event_type, True, row_id, row_data=writer.getvalue())
                self.tell(oxcnotif.RopNotifyResponse(handle, 0, event))

    def tell(self, event: oxcnotif.RopNotifyResponse) -> None:
        """Keep an event for the client, and end its wait."""
        self.events.append(event)
        self.end_wait(emsmdb.EcDoAsyncWaitExResponse(emsmdb.NOTIFICATION_PENDING))

    def end_wait(self, response: Any) -> None:
        """Answer the call that waits, if there is one."""
        for index, (request, _) in enumerate(self.connection.silent):
            if isinstance(request, emsmdb.EcDoAsyncWaitExRequest):
                self.connection.reply(response, index)
                return

    @property
    def is_waited_for(self) -> bool:
        return any(isinstance(each, emsmdb.EcDoAsyncWaitExRequest) for each, _ in self.connection.silent)

    def execute(self, request: emsmdb.EcDoRpcExt2Request) -> emsmdb.EcDoRpcExt2Response:
        """Carry out ROPs in order, and add what is new."""
        assert request.context_handle == CONTEXT
        (payload,) = read_payloads(request.rgb_in)
        rops, table = read_requests(payload, {0} if self.is_public else ())
        self.calls.append(Call(rops, len(payload), request.flags, request.out_max))
        first, *chained = self._carry_out(rops, table)
        events, self.events = self.events, []
        payloads = [write_responses([*first, *events], table)]
        payloads += [write_responses([more], table) for more in chained]
        last = len(payloads) - 1
        data = b"".join(write_payload(part, 0, last=place == last) for place, part in enumerate(payloads))
        assert len(data) <= request.out_max
        return emsmdb.EcDoRpcExt2Response(CONTEXT, data)

    def _carry_out(self, rops: Sequence[RopRequest], table: list[int]) -> list[Any]:
        responses: list[Any] = []
        chained: list[Any] = []
        for rop in rops:
            index = None if isinstance(rop, RopReleaseRequest) else getattr(rop, "input_handle_index", None)
            if index is not None and table[index] not in self.objects:
                response: Any = refusal(rop, NULL_OBJECT)
            else:
                response = self.rops[type(rop)](rop, table)
            if isinstance(response, list):
                response, *chained = response
            if response is not None:
                responses.append(response)
        return [responses, *chained]

    def open(self, opened: Any, index: int, table: list[int]) -> None:
        """Give an object a handle."""
        self.last_handle += 1
        self.objects[self.last_handle] = opened
        table[index] = self.last_handle

    def _connect(self, request: emsmdb.EcDoConnectExRequest) -> emsmdb.EcDoConnectExResponse:
        return emsmdb.EcDoConnectExResponse(
            context_handle=CONTEXT,
            polls_max_ms=45_000,
            retries=6,
            retry_delay_ms=10_000,
            session_index=1,
            dn_prefix=DN_PREFIX,
            display_name="User 00000",
            server_version=(0x800, 0x83F1, 0),
            best_version=request.client_version,
            time_stamp=1,
        )

    def _wait(self, request: emsmdb.EcDoAsyncWaitExRequest) -> emsmdb.EcDoAsyncWaitExResponse | None:
        assert request.async_context_handle == ASYNC_CONTEXT
        return emsmdb.EcDoAsyncWaitExResponse(emsmdb.NOTIFICATION_PENDING) if self.events else None

    def _log_on(self, rop: oxcstor.RopLogonRequest, table: list[int]) -> Any:
        self.open(self.root, rop.output_handle_index, table)
        if self.is_public:
            return oxcstor.RopLogonPublicResponse(
                rop.output_handle_index, rop.logon_flags, FOLDER_IDS, 1, bytes(16), bytes(16)
            )
        return oxcstor.RopLogonPrivateResponse(
            rop.output_handle_index, rop.logon_flags, FOLDER_IDS, 1, b"M" * 16, 1, b"R" * 16, bytes(8), 0
        )

    def _receive_folder(self, rop: oxcstor.RopGetReceiveFolderRequest, _table: list[int]) -> Any:
        return oxcstor.RopGetReceiveFolderResponse(rop.input_handle_index, INBOX, "IPM")

    def _open_folder(self, rop: oxcfold.RopOpenFolderRequest, table: list[int]) -> Any:
        self.open(self.folders[FOLDER_IDS.index(rop.folder_id)], rop.output_handle_index, table)
        return oxcfold.RopOpenFolderResponse(rop.output_handle_index)

    def _hierarchy(self, rop: oxcfold.RopGetHierarchyTableRequest, table: list[int]) -> Any:
        self.open(Table(lambda: self.folders), rop.output_handle_index, table)
        return oxcfold.RopGetHierarchyTableResponse(rop.output_handle_index, len(self.folders))

    def _newest_first(self) -> list[Item]:
        return self.inbox.items[::-1]

    def _contents(self, rop: oxcfold.RopGetContentsTableRequest, table: list[int]) -> Any:
        assert self.objects[table[rop.input_handle_index]] is self.inbox
        self.open(Table(self._newest_first), rop.output_handle_index, table)
        return oxcfold.RopGetContentsTableResponse(rop.output_handle_index, len(self.inbox.items))

    def _attachments(self, rop: oxcmsg.RopGetAttachmentTableRequest, table: list[int]) -> Any:
        message = self.objects[table[rop.input_handle_index]]
        self.open(Table(lambda: message.items), rop.output_handle_index, table)
        return oxcmsg.RopGetAttachmentTableResponse(rop.output_handle_index)

    def _set_columns(self, rop: oxctabl.RopSetColumnsRequest, table: list[int]) -> Any:
        self.objects[table[rop.input_handle_index]].columns = rop.property_tags
        return oxctabl.RopSetColumnsResponse(rop.input_handle_index)

    def _query_rows(self, rop: oxctabl.RopQueryRowsRequest, table: list[int]) -> Any:
        shown = self.objects[table[rop.input_handle_index]]
        rows = shown.source()[shown.place : shown.place + rop.row_count]
        shown.place += len(rows)
        return oxctabl.RopQueryRowsResponse(
            rop.input_handle_index, oxctabl.BOOKMARK_CURRENT, tuple(item.row(shown.columns) for item in rows)
        )

    def _seek_row(self, rop: oxctabl.RopSeekRowRequest, table: list[int]) -> Any:
        assert rop.origin == oxctabl.BOOKMARK_BEGINNING
        self.objects[table[rop.input_handle_index]].place = rop.row_count
        return oxctabl.RopSeekRowResponse(rop.input_handle_index, False, 0)

    def _position(self, rop: oxctabl.RopQueryPositionRequest, table: list[int]) -> Any:
        shown = self.objects[table[rop.input_handle_index]]
        return oxctabl.RopQueryPositionResponse(rop.input_handle_index, shown.place, len(shown.source()))

    def _create_message(self, rop: oxcmsg.RopCreateMessageRequest, table: list[int]) -> Any:
        self.open(Item({p.PidTagFolderId: rop.folder_id}), rop.output_handle_index, table)
        return oxcmsg.RopCreateMessageResponse(rop.output_handle_index)

    def _open_message(self, rop: oxcmsg.RopOpenMessageRequest, table: list[int]) -> Any:
        message = self.message(rop.message_id)
        self.open(message, rop.output_handle_index, table)
        none, subject = TypedString.of(""), TypedString.of(message.values[p.PidTagNormalizedSubject])
        return oxcmsg.RopOpenMessageResponse(rop.output_handle_index, False, none, subject, 0, (), ())

    def _create_attachment(self, rop: oxcmsg.RopCreateAttachmentRequest, table: list[int]) -> Any:
        attachment = Item()
        self.objects[table[rop.input_handle_index]].items.append(attachment)
        self.open(attachment, rop.output_handle_index, table)
        return oxcmsg.RopCreateAttachmentResponse(rop.output_handle_index, 0)

    def _open_attachment(self, rop: oxcmsg.RopOpenAttachmentRequest, table: list[int]) -> Any:
        message = self.objects[table[rop.input_handle_index]]
        self.open(message.items[rop.attachment_id], rop.output_handle_index, table)
        return oxcmsg.RopOpenAttachmentResponse(rop.output_handle_index)

    def _modify_recipients(self, rop: oxcmsg.RopModifyRecipientsRequest, _table: list[int]) -> Any:
        self.recipients = rop.rows
        return oxcmsg.RopModifyRecipientsResponse(rop.input_handle_index)

    def _get_properties(self, rop: oxcprpt.RopGetPropertiesSpecificRequest, table: list[int]) -> Any:
        item = self.objects[table[rop.input_handle_index]]
        self.inbox.values[p.PidTagContentCount] = len(self.inbox.items)
        return oxcprpt.RopGetPropertiesSpecificResponse(rop.input_handle_index, item.row(rop.property_tags))

    def _set_properties(self, rop: oxcprpt.RopSetPropertiesRequest, table: list[int]) -> Any:
        item = self.objects[table[rop.input_handle_index]]
        item.values |= {value.tag: value.value for value in rop.values}
        return oxcprpt.RopSetPropertiesResponse(rop.input_handle_index)

    def _open_stream(self, rop: oxcprpt.RopOpenStreamRequest, table: list[int]) -> Any:
        item = self.objects[table[rop.input_handle_index]]
        if rop.open_mode_flags == oxcprpt.STREAM_CREATE:
            item.values[rop.property_tag] = b""
        self.open(Stream(item, rop.property_tag), rop.output_handle_index, table)
        return oxcprpt.RopOpenStreamResponse(rop.output_handle_index, len(item.values[rop.property_tag]))

    def _read_stream(self, rop: oxcprpt.RopReadStreamRequest, table: list[int]) -> Any:
        stream = self.objects[table[rop.input_handle_index]]
        chained = rop.byte_count == oxcprpt.MAXIMUM_BYTE_COUNT_FOLLOWS
        wanted = rop.maximum_byte_count if chained else rop.byte_count
        data = stream.item.values[stream.tag][stream.place : stream.place + wanted]
        stream.place += len(data)
        if not chained:
            return oxcprpt.RopReadStreamResponse(rop.input_handle_index, data)
        parts = [data[at : at + ROOM_FOR_DATA] for at in range(0, len(data), ROOM_FOR_DATA)] or [b""]
        return [oxcprpt.RopReadStreamResponse(rop.input_handle_index, part) for part in parts]

    def _write_stream(self, rop: oxcprpt.RopWriteStreamRequest, table: list[int]) -> Any:
        stream = self.objects[table[rop.input_handle_index]]
        stream.item.values[stream.tag] += rop.data
        return oxcprpt.RopWriteStreamResponse(rop.input_handle_index, len(rop.data))

    def _register(self, rop: oxcnotif.RopRegisterNotificationRequest, table: list[int]) -> Any:
        self.open("subscription", rop.output_handle_index, table)
        return oxcnotif.RopRegisterNotificationResponse(rop.output_handle_index)

    def _submit(self, rop: oxomsg.RopSubmitMessageRequest, table: list[int]) -> Any:
        self.submitted.append(self.objects[table[rop.input_handle_index]])
        return oxomsg.RopSubmitMessageResponse(rop.input_handle_index)

    def _move(self, rop: oxcfold.RopMoveCopyMessagesRequest, table: list[int]) -> Any:
        source, target = table[rop.source_handle_index], table[rop.destination_handle_index]
        assert self.objects[source] is self.inbox
        assert self.objects[target] is self.folders[oxcstor.DELETED_ITEMS]
        for message_id in rop.message_ids:
            self.remove(message_id)
        return oxcfold.RopMoveCopyMessagesResponse(rop.source_handle_index)

    def _release(self, rop: RopReleaseRequest, table: list[int]) -> None:
        handle = table[rop.input_handle_index]
        if handle != NO_HANDLE:
            del self.objects[handle]


def agree(rop: Any, _table: list[int]) -> Any:
    return type(rop).response(_answer_index(rop))


def refusal(rop: Any, code: int) -> Any:
    response = type(rop).response
    if code not in response.fields_present_for:
        return RopErrorResponse(rop.rop_id, _answer_index(rop), code)
    nothing = (0,) if response is oxcprpt.RopWriteStreamResponse else ()
    return response(_answer_index(rop), *nothing, return_value=code)


def _answer_index(rop: Any) -> int:
    names = ("output_handle_index", "response_handle_index", "input_handle_index", "source_handle_index")
    index: int = next(getattr(rop, name) for name in names if hasattr(rop, name))
    return index


async def settle() -> None:
    """Lets everything happen that is already under way."""
    for _ in range(5):
        await asyncio.sleep(0)


def new_session(store: ScriptedStore, *, waits: bool = True) -> StoreSession:
    """A session with ``store`` over a connection of its own; the store's ``heard`` notes what it reports."""
    interfaces = (emsmdb.INTERFACE, emsmdb.ASYNC_INTERFACE) if waits else (emsmdb.INTERFACE,)
    store.connection = ScriptedConnection(store, interfaces)
    session = StoreSession(store.connection, EmsmdbSession(DN_PREFIX + "user00000", (12, 6206, 1000)))
    session.on_news = lambda: store.heard.append("news")
    session.on_failure = store.heard.append
    return session


async def open_session(store: ScriptedStore, *, waits: bool = True) -> StoreSession:
    """The same, and it has begun."""
    session = new_session(store, waits=waits)
    store.prefix_taken = await session.connect()
    if waits:
        await session.wait_for_news()
    return session
