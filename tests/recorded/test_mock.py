"""The mock in the place of the recorded server: it hears the clients, and has to answer as that one did.

Every call that the real server answered with success is to succeed, and every ROP in it. What is a server's
own name for something (handles, ids, positions, names of servers) is changed in the requests for what the
mock calls it. All other substitutions, and every field in which an answer differs, stand here with a reason.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from loadgen.wire import emsmdb, pdu
from loadgen.wire.rts import AssociationGroupId, Cookie, FlowControlAck, RtsPdu
from mock_server.dialect import DialectName
from tests.recorded.capture import NAMES, Part, cut, read_parts, virtual_connections
from tests.recorded.dialogue import (
    SPECIAL_TABLE_POINTER,
    Dialogue,
    Message,
    RopReader,
    differences,
    whole_requests,
)
from tests.recorded.mock_organisation import ClientConnection, Mock
from tests.recorded.translation import Translation

ACK = "FlowControlAckWithDestination"
CHANNEL_LIFETIME = {"patched-out-recycle": 216_300}
"""Where an OUT channel lives no longer than the recorded server let it: 8192 bytes before the end it asks."""
RECYCLES = {"patched-out-recycle": {"OUT_R2": 2}, "patched-in-recycle": {"IN_R2": 1}}
JOINS_GROUP_OF_FIRST = {"emsmdb-notify-async"}
"""Its second virtual connection waits with a context handle of the first, which Gromox takes outside of the
association group that it belongs to ([C706] 9.3); here it says that it is of that group."""

RPC = {
    "BindAck.assoc_group_id": "a server's own number",
    "BindAck.max_recv_frag": "as much as the client sends; Gromox says 8192",
    "BindAck.trailer": "Gromox appends an empty verifier",
    "ConnectionTimeout.milliseconds": "120000 as Windows says; Gromox says 180000",
}
WINDOW = {"ReceiveWindowSize.size": "65536 as Windows says; Gromox repeats the client's"}
PORT_NUMBER = {"BindAck.secondary_address": "the mock has all interfaces on one port here"}
REFERRAL = {
    "NamePlace.name": "the name of the server: Gromox makes one up for each user",
    "RfrGetFQDNFromServerDNResponse.server_fqdn": "the same",
}
ADDRESS_BOOK = {
    "NspiBindResponse.handle": "a server's own name for something",
    "NspiBindResponse.server_guid": "the same",
    "NspiGetSpecialTableResponse.rows": "the mock has address lists that Gromox has not",
    "NspiGetSpecialTableResponse.version": "a server's own number",
    "NspiResolveNamesResponse.mids": "what is not found is unresolved; Gromox says ambiguous",
    "Stat.current_rec": "a server's own MIds",
    "property 0x0FF60102": "PidTagInstanceKey: the MId again",
    "property 0x0FFF0102": "PidTagEntryId of an address list: its GUID",
    "property 0x3001001F": "PidTagDisplayName of an address list",
    "property 0x3003001F": "PidTagEmailAddress: Gromox's names of users begin with their numbers",
    "property 0x36000003": "PidTagContainerFlags: what an address list holds",
    "property 0xFFFD0003": "PidTagAddressBookContainerId",
}
SESSION = {
    "EcDoConnectExResponse.aux_out": "the mock sends what its version of Exchange knows",
    "EcDoConnectExResponse.context_handle": "a server's own name for something",
    "EcDoConnectExResponse.dn_prefix": "Gromox has none",
    "EcDoConnectExResponse.server_version": "Exchange 2007; Gromox says 2013",
    "EcDoConnectExResponse.time_stamp": "a server's own number",
    "RopCreateMessageResponse.message_id": "the mock gives ids when messages are saved",
    "RopLogonPrivateResponse.folder_ids": "a server's own numbers",
    "RopLogonPrivateResponse.gwart_time": "the time of the conversation",
    "RopLogonPrivateResponse.logon_time": "the time of the conversation",
    "RopLogonPrivateResponse.mailbox_guid": "a server's own name for something",
    "RopLogonPrivateResponse.replica_guid": "the same",
    "RopLogonPrivateResponse.replica_id": "the same",
}
INDEX = {
    "EcDoConnectExResponse.session_index": "a server's own number, by chance the same in one conversation"
}
SAVING = {"RopSaveChangesMessageResponse.message_id": "a server's own number"}
READING = {
    "OpenRecipientRow.code_page_id": "Gromox names a code page, though its texts are Unicode",
    "RecipientRow.flags": "Gromox looks a recipient by SMTP address up, and tells what it knows",
    "RopGetHierarchyTableResponse.row_count": "Gromox has 19 folders, the mock those of Outlook 2003",
    "RopOpenMessageResponse.recipient_columns": "columns for what Gromox has looked up",
    "RopQueryRowsResponse.rows": "the additional folders",
    "TypedString.string_type": "the mock writes short forms where they lose nothing",
    "property 0x0C1F001F": "PidTagSenderEmailAddress: the mock names the sender as Exchange does",
    "property 0x0E060040": "PidTagMessageDeliveryTime",
    "property 0x0E080003": "PidTagMessageSize: each counts in its own way",
    "property 0x0FF90102": "PidTagRecordKey of a recipient that was looked up",
    "property 0x0FFE0003": "PidTagObjectType of a recipient that was looked up",
    "property 0x3001001F": "PidTagDisplayName: folders come in another order",
    "property 0x360A000B": "PidTagSubfolders: Gromox's Contacts and Sync Issues have some",
    "property 0x5FF70102": "PidTagRecipientEntryId of a recipient that was looked up",
    "property 0x5FFD0003": "PidTagRecipientFlags of a recipient that was looked up",
    "property 0x67480014": "PidTagFolderId: a server's own number",
    "property 0x674A0014": "PidTagMid: a server's own number",
}
NOTIFICATIONS = {
    "EcDoAsyncConnectExResponse.async_context_handle": "a server's own name for something",
    "ObjectEvent.folder_id": "a server's own number",
    "ObjectEvent.kind": "the mock tells of new mail first, then that an object was created",
    "ObjectEvent.message_class": "told of new mail alone, so the order again",
    "ObjectEvent.message_flags": "of new mail: the mock says 0, Gromox that it is unmodified",
    "ObjectEvent.message_id": "a server's own number",
    "RopNotifyResponse.notification_handle": "a server's own number",
    "TableRowId.folder_id": "a server's own number",
    "TableRowId.message_id": "a server's own number",
}
DIFFERENCES = {
    "rfr-basic": RPC | WINDOW | PORT_NUMBER | REFERRAL,
    "nspi-basic": RPC | WINDOW | PORT_NUMBER | ADDRESS_BOOK,
    "emsmdb-basic": RPC | WINDOW | SESSION | INDEX | SAVING | READING,
    "emsmdb-notify-async": RPC | WINDOW | SESSION | INDEX | SAVING | NOTIFICATIONS,
    "emsmdb-bulk-flowcontrol": RPC | WINDOW | SESSION | INDEX | SAVING,
    "patched-out-recycle": RPC | SESSION | INDEX,
    "patched-in-recycle": RPC | SESSION,
}


LEARNT = {
    "BindAck.max_recv_frag",
    "BindAck.trailer",
    "ConnectionTimeout.milliseconds",
    "EcDoConnectExResponse.aux_out",
    "EcDoConnectExResponse.dn_prefix",
    "EcDoConnectExResponse.server_version",
    "NamePlace.name",
    "ReceiveWindowSize.size",
    "RfrGetFQDNFromServerDNResponse.server_fqdn",
    "property 0x3003001F",
}
"""In which a mock that speaks the recorded server's dialect differs no more."""


class Heard:
    """What a server has said on one virtual connection; ``rts`` without acknowledgements, by name."""

    def __init__(self) -> None:
        self.heads = 0
        self.rts: defaultdict[tuple[str, ...], list[RtsPdu]] = defaultdict(list)
        self.acks = 0
        self.bind_acks: list[pdu.BindAck] = []
        self.answers: dict[int, Message] = {}
        self.requests: dict[int, Message] = {}
        self.rpc_bytes: Counter[int] = Counter()
        self._dialogue = Dialogue()

    @property
    def landmarks(self) -> Counter[object]:
        """How often it has said what: a client goes on when it has heard as much as was recorded."""
        counts: Counter[object] = Counter({names: len(pdus) for names, pdus in self.rts.items()})
        counts.update(head=self.heads, bind_ack=len(self.bind_acks))
        counts.update(f"answer {call_id}" for call_id in self.answers)
        return counts

    def client_said(self, value: pdu.Pdu) -> Message | None:
        """A request is told when it is whole."""
        message = self._dialogue.hear(value)
        if message is not None:
            self.requests[message.call_id] = message
        return message

    def hear(self, port: int, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            assert data.startswith(b"HTTP/1.1 200 Success\r\n")
            self.heads += 1
        elif data[2] == pdu.PduType.RTS:
            decoded = RtsPdu.decode(data)
            if ACK in decoded.names:
                self.acks += 1
            else:
                self.rts[decoded.names].append(decoded)
        else:
            self.rpc_bytes[port] += len(data)
            self._hear_rpc(pdu.decode(data))

    def _hear_rpc(self, value: pdu.Pdu) -> None:
        message = self._dialogue.hear(value)
        if isinstance(value, pdu.BindAck):
            self.bind_acks.append(value)
        elif message is not None:
            self.answers[message.call_id] = message
        else:
            assert isinstance(value, pdu.Response), value


class Replay:
    """The clients' half of a conversation, said to the mock."""

    def __init__(self, name: str, mock: Mock, dialect: DialectName) -> None:
        self.parts = read_parts(name)
        self.cookies = virtual_connections(self.parts)
        self.recorded = {cookie: Heard() for cookie in self.cookies.values()}
        self.ours = {cookie: Heard() for cookie in self.cookies.values()}
        self.differences: set[str] = set()
        self._mock = mock
        self._joins = name in JOINS_GROUP_OF_FIRST and dialect == "exchange2007"
        self._requests = whole_requests(self.parts, self.cookies)
        self._translation = Translation(renames=dialect == "exchange2007")
        self._rops = {side: defaultdict(RopReader) for side in ("recorded", "ours")}
        self._connections: dict[int, ClientConnection] = {}
        self._unheard: dict[int, int] = {}
        self._out_ports: dict[bytes, int] = {}
        self._learnt: set[tuple[bytes, int]] = set()

    async def run(self) -> None:
        for part in self.parts:
            cookie = self.cookies[part.port]
            if not part.by_client:
                self.recorded[cookie].hear(part.port, part.data)
                continue
            await self._catch_up()
            if part.is_head:
                self._connections[part.port] = self._mock.accept()
                await self._say(part.port, part.data)
            elif part.is_rts:
                await self._say(part.port, self._rts(part).encode())
            else:
                await self._say_rpc(part, pdu.decode(part.data))
        await self._catch_up()

    async def _say(self, port: int, data: bytes) -> None:
        await self._mock.receive(self._connections[port], data)

    async def _catch_up(self) -> None:
        """The client has heard as much as when it said what comes now; learn what the mock calls things."""
        await self._mock.settle()
        for port, connection in self._connections.items():
            for data in cut(bytes(connection.said)):
                self.ours[self.cookies[port]].hear(port, data)
            connection.said.clear()
        for cookie, recorded in self.recorded.items():
            assert recorded.landmarks <= self.ours[cookie].landmarks
            for call_id, answer in recorded.answers.items():
                if (cookie, call_id) not in self._learnt:
                    self._learnt.add((cookie, call_id))
                    self._learn(cookie, answer, self.ours[cookie].answers[call_id])

    def _learn(self, cookie: bytes, recorded: Message, ours: Message) -> None:
        request = self.recorded[cookie].requests[recorded.call_id].value
        if not isinstance(request, emsmdb.EcDoRpcExt2Request):
            self.differences.update(differences(recorded.value, ours.value))
            self._translation.learn(recorded.value, ours.value)
            return
        our_request = self.ours[cookie].requests[recorded.call_id].value
        theirs = self._rops["recorded"][cookie].read(request, recorded.value)
        answer = self._rops["ours"][cookie].read(our_request, ours.value)
        plain = {"rgb_out": b"", "context_handle": b"", "trans_time_ms": 0}
        self.differences.update(differences(replace(recorded.value, **plain), replace(ours.value, **plain)))
        self.differences.update(differences(theirs.responses, answer.responses, "responses"))
        self._translation.learn_rops(request.context_handle, theirs, answer)

    def _rts(self, part: Part) -> RtsPdu:
        """What the client says to the mock: it has received so much from it, and may be of another group."""
        decoded = RtsPdu.decode(part.data)
        cookies = [command.cookie for command in decoded.commands if isinstance(command, Cookie)]
        if part.channel == "OUT" and cookies:
            self._out_ports[cookies[-1]] = part.port
        return RtsPdu(decoded.flags, tuple(self._command(part, command) for command in decoded.commands))

    def _command(self, part: Part, command: Any) -> Any:
        if isinstance(command, FlowControlAck):
            ours = self.ours[self.cookies[part.port]]
            return replace(command, bytes_received=ours.rpc_bytes[self._out_ports[command.channel_cookie]])
        if isinstance(command, AssociationGroupId) and self._joins:
            return AssociationGroupId(self._first_cookie)
        return command

    @property
    def _first_cookie(self) -> bytes:
        return next(iter(self.ours))

    async def _say_rpc(self, part: Part, value: pdu.Pdu) -> None:
        cookie = self.cookies[part.port]
        recorded, ours = self.recorded[cookie], self.ours[cookie]
        recorded.client_said(value)
        if isinstance(value, pdu.Bind):
            first = self.ours[self._first_cookie].bind_acks
            if self._joins and first:
                value = replace(value, assoc_group_id=first[0].assoc_group_id)
            ours.client_said(value)
            await self._say(part.port, value.encode())
        elif isinstance(value, pdu.Request) and value.flags & pdu.FIRST_FRAG:
            message = self._requests[cookie, value.call_id]
            stub = self._translation.request(message.value).encode()
            place = SPECIAL_TABLE_POINTER.start
            stub = stub[:place] + message.stray + stub[place:]
            for fragment in _fragments(value, stub, ours.bind_acks[-1].max_recv_frag):
                ours.client_said(fragment)
                await self._say(part.port, fragment.encode())


def _fragments(first: pdu.Request, stub: bytes, size: int) -> Iterator[pdu.Request]:
    """impacket cuts as the server says; the mock takes less than the recorded server did."""
    room = (size - pdu.CALL_HEADER_SIZE) & ~7
    for start in range(0, len(stub), room):
        left = len(stub) - start
        flags = (pdu.FIRST_FRAG if start == 0 else 0) | (pdu.LAST_FRAG if left <= room else 0)
        yield replace(first, stub=stub[start : start + room], flags=flags, alloc_hint=left)


@pytest.mark.parametrize("dialect", ["exchange2007", "gromox"])
@pytest.mark.parametrize("name", NAMES)
async def test_the_mock_answers_as_the_recorded_server_did(name: str, dialect: DialectName) -> None:
    mock = Mock(200, CHANNEL_LIFETIME.get(name, 1 << 30), dialect)
    mock.deliver("u003", "notify me", "x")
    replay = Replay(name, mock, dialect)
    await replay.run()
    for cookie, recorded in replay.recorded.items():
        ours = replay.ours[cookie]
        assert ours.landmarks == recorded.landmarks
        assert bool(ours.acks) is bool(recorded.acks)
        replay.differences.update(differences(recorded.bind_acks, ours.bind_acks))
        replay.differences.update(differences([*recorded.rts.items()], [*ours.rts.items()]))
    assert not any(field.endswith("return_value") for field in replay.differences)
    learnt = LEARNT if dialect == "gromox" else set()
    assert replay.differences == set(DIFFERENCES[name]) - learnt
    assert mock.recycles == RECYCLES.get(name, {})
