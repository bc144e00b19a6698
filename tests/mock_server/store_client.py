"""A scripted client: wire values in, wire values out, with no connection between them."""

from collections.abc import Sequence
from typing import Any

from loadgen.wire import emsmdb as wire
from loadgen.wire.extended_buffer import read_payloads, write_payload
from loadgen.wire.identifiers import object_id
from loadgen.wire.properties import (
    PidTagAttachDataBinary,
    PidTagAttachLongFilename,
    PidTagAttachMethod,
    PidTagHtml,
    PidTagMessageClass,
    PidTagSubject,
    PropertyRow,
    PropertyTag,
    PropertyValue,
)
from loadgen.wire.recipients import TO, exchange_recipient
from loadgen.wire.rop import oxcmsg, oxcprpt, oxcstor, oxomsg
from loadgen.wire.rop.base import RopRequest
from loadgen.wire.rop.buffer import NO_HANDLE, read_responses, write_requests
from loadgen.wire.rop.oxcnotif import RopNotifyResponse
from loadgen.wire.rop.oxctabl import RopSetColumnsRequest
from mock_server.directory import Directory, Organisation
from mock_server.mailboxes.mail import LocalTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.emsmdb import EmsmdbServer

OUTLOOK_2007 = (0x000C, 0x183E, 0x03E8)
NO_PACKING = wire.NO_COMPRESSION | wire.NO_XOR_MAGIC
NEW_YEAR = 0x01C72D3E00000000

INBOX = object_id(1, 0x105)
OUTBOX = object_id(1, 0x106)
SENT_ITEMS = object_id(1, 0x107)
DELETED_ITEMS = object_id(1, 0x108)


class FakeTimers:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> Any:
        entry = (self.now + delay, callback)
        self.due.append(entry)
        return _Entry(self, entry)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for entry in [e for e in self.due if e[0] <= self.now]:
            self.due.remove(entry)
            entry[1]()


class _Entry:
    def __init__(self, timers: FakeTimers, entry: tuple[float, Any]) -> None:
        self.timers = timers
        self.entry = entry

    def cancel(self) -> None:
        if self.entry in self.timers.due:
            self.timers.due.remove(self.entry)


class Stores:
    """The mailbox and public folder servers of an organisation, joined by a transport without sockets."""

    def __init__(
        self, users: int = 8, servers: tuple[str, ...] = ("MBX1",), public: tuple[str, ...] = ("PF1",)
    ) -> None:
        self.directory = Directory(Organisation(servers=servers, public_servers=public), users)
        self.time = NEW_YEAR
        self.timers = FakeTimers()
        self.transport = LocalTransport()
        self.stores: dict[str, MailboxStore] = {}
        self.servers: dict[str, EmsmdbServer] = {}
        for name in dict.fromkeys(servers + public):
            store = MailboxStore(name, self.directory, public_folders=name in public, clock=self._clock)
            self.transport.add(store)
            self.stores[name] = store
            self.servers[name] = EmsmdbServer(store, self.transport, timers=self.timers)

    def _clock(self) -> int:
        self.time += 10_000_000
        return self.time

    def client(self, index: int, server: str | None = None, **options: Any) -> "StoreClient":
        user = self.directory.users[index]
        name = server or user.home_server
        return StoreClient(self.servers[name], user.dn, name, **options)


class StoreClient:
    """One session; :meth:`rops` sends ROPs over the handles given and remembers the columns of tables."""

    def __init__(self, server: EmsmdbServer, dn: str, server_name: str, user: str = "") -> None:
        self.server = server
        self.dn = dn
        self.group = AssociationGroup(1)
        self.context = CallContext(user=user, association=self.group, server_name=server_name)
        self.methods = {
            (interface.interface, opnum): method
            for interface in server.interfaces
            for opnum, method in interface.methods.items()
        }
        self.handle = wire.NO_CONTEXT
        self.columns: dict[int, Sequence[PropertyTag]] = {}
        self.notified: list[Any] = []
        self.pending: list[Any] = []
        self.logon = NO_HANDLE

    def start(self, request: Any) -> Any:
        """What the method returns: a stub, or something to wait for."""
        return self.methods[request.interface, request.opnum](self.context, request.encode())

    def call(self, request: Any) -> Any:
        return request.decode_response(self.start(request))

    def connect(self, **changes: Any) -> wire.EcDoConnectExResponse:
        answer = self.call(
            wire.EcDoConnectExRequest(**{"user_dn": self.dn, "client_version": OUTLOOK_2007, **changes})
        )
        self.handle = answer.context_handle
        return answer

    def raw(self, payload: bytes, flags: int = NO_PACKING, out_max: int = 0x8007) -> list[bytes]:
        request = wire.EcDoRpcExt2Request(self.handle, write_payload(payload, 0), flags, out_max)
        answer = self.call(request)
        assert answer.return_value == 0, hex(answer.return_value)
        assert len(answer.rgb_out) <= out_max
        return read_payloads(answer.rgb_out)

    def rops(
        self,
        requests: Sequence[RopRequest],
        handles: Sequence[int] = (),
        *,
        flags: int = NO_PACKING,
        out_max: int = 0x8007,
    ) -> tuple[list[Any], list[int]]:
        """The responses of all payloads, without what nobody asked for, and the handles."""
        answers: list[Any] = []
        table = list(handles)
        rest = list(requests)
        for payload in self.raw(write_requests(requests, handles), flags, out_max):

            def columns_of(index: int, now: list[int] = table) -> Sequence[PropertyTag]:
                return self.columns[now[index]]

            found, table = read_responses(payload, rest, columns_of)
            rest = [requests[-1]] if requests else []
            for response in found:
                self._sort_in(response, answers)
        for request in requests:
            if isinstance(request, RopSetColumnsRequest):
                self.columns[table[request.input_handle_index]] = request.property_tags
        return answers, table

    def _sort_in(self, response: Any, answers: list[Any]) -> None:
        if isinstance(response, RopNotifyResponse):
            self.notified.append(response)
        elif response.rop_id == 0x6E:
            self.pending.append(response)
        else:
            answers.append(response)

    def one(self, request: RopRequest, *handles: int, **options: Any) -> Any:
        """The response to a single ROP."""
        (response,), _ = self.rops([request], handles, **options)
        return response

    def open(self, request: RopRequest, *handles: int) -> int:
        """The handle that a ROP opens at the index behind those of ``handles``."""
        (response, *_), table = self.rops([request], [*handles, NO_HANDLE])
        assert response.return_value == 0, hex(response.return_value)
        return table[-1]

    def log_on(self) -> oxcstor.RopLogonPrivateResponse:
        (answer,), (self.logon,) = self.rops([private_logon(self.dn)], [NO_HANDLE])
        assert answer.return_value == 0, hex(answer.return_value)
        return answer

    def poll(self) -> list[Any]:
        """What has been notified since the last poll."""
        self.rops([])
        news, self.notified = self.notified, []
        return news


def private_logon(dn: str, logon_id: int = 0) -> oxcstor.RopLogonRequest:
    return oxcstor.RopLogonRequest(logon_id, 0, oxcstor.PRIVATE, 0x0100040C, essdn=dn)


def public_logon(logon_id: int = 0, **changes: Any) -> oxcstor.RopLogonRequest:
    return oxcstor.RopLogonRequest(
        **{
            "logon_id": logon_id,
            "output_handle_index": 0,
            "logon_flags": 0,
            "open_flags": 0x01000406,
            **changes,
        }
    )


def online(stores: Stores, index: int) -> StoreClient:
    """A client that is connected and logged on."""
    client = stores.client(index)
    client.connect()
    client.log_on()
    return client


def recipients(stores: Stores, *indexes: int, kind: int = TO) -> oxcmsg.RopModifyRecipientsRequest:
    """RopModifyRecipients on handle index 0."""
    prefix = f"{stores.directory.organisation.dn}/cn=Recipients/cn="
    rows = []
    for row_id, index in enumerate(indexes):
        user = stores.directory.users[index]
        row = PropertyRow.of((), ())
        rows.append(
            oxcmsg.ModifyRecipientRow(
                row_id, kind, exchange_recipient(user.dn, user.display_name, prefix, row)
            )
        )
    return oxcmsg.RopModifyRecipientsRequest(0, 0, (), tuple(rows))


def compose(
    client: StoreClient, stores: Stores, subject: str, html: bytes, attachment: bytes, to: Sequence[int]
) -> int:
    """A message in the Outbox, ready to be sent; returns its handle."""
    message = client.open(
        oxcmsg.RopCreateMessageRequest(0, 0, 1, oxcmsg.LOGON_CODE_PAGE, OUTBOX), client.logon
    )
    values = (
        PropertyValue(PidTagMessageClass, "IPM.Note"),
        PropertyValue(PidTagSubject, subject),
        PropertyValue(PidTagHtml, html),
    )
    assert client.one(oxcprpt.RopSetPropertiesRequest(0, 0, values), message).problems == ()
    attach(client, message, attachment)
    assert client.one(recipients(stores, *to), message).return_value == 0
    return message


def attach(client: StoreClient, message: int, data: bytes, chunk: int = 28000) -> None:
    """An attachment by value, written as a stream."""
    file = client.open(oxcmsg.RopCreateAttachmentRequest(0, 0, 1), message)
    values = (PropertyValue(PidTagAttachMethod, 1), PropertyValue(PidTagAttachLongFilename, "report.bin"))
    assert client.one(oxcprpt.RopSetPropertiesRequest(0, 0, values), file).problems == ()
    stream = client.open(
        oxcprpt.RopOpenStreamRequest(0, 0, 1, PidTagAttachDataBinary, oxcprpt.STREAM_CREATE), file
    )
    for start in range(0, len(data), chunk):
        piece = data[start : start + chunk]
        assert client.one(oxcprpt.RopWriteStreamRequest(0, 0, piece), stream).written_size == len(piece)
    assert client.one(oxcprpt.RopCommitStreamRequest(0, 0), stream).return_value == 0
    saved, _ = client.rops([oxcmsg.RopSaveChangesAttachmentRequest(0, 0, 1, 0x0A)], [message, file])
    assert saved[0].return_value == 0


def send(client: StoreClient, message: int) -> None:
    assert client.one(oxomsg.RopSubmitMessageRequest(0, 0), message).return_value == 0


def read_whole_stream(client: StoreClient, holder: int, tag: PropertyTag, *, chain: bool = True) -> bytes:
    """All bytes of a property, by one chained call."""
    opened, (_, stream) = client.rops([oxcprpt.RopOpenStreamRequest(0, 0, 1, tag)], [holder, NO_HANDLE])
    size = opened[0].stream_size
    read = oxcprpt.RopReadStreamRequest(0, 0, oxcprpt.MAXIMUM_BYTE_COUNT_FOLLOWS, size + 1)
    flags = NO_PACKING | (wire.CHAIN if chain else 0)
    responses, _ = client.rops([read], [stream], flags=flags, out_max=0x40000)
    return b"".join(response.data for response in responses)
