"""Our client in the place of the recorded one: it hears the server's half, and has to say what that one said.

The recorded clients are impacket 0.13.1 with EMSMDB written by hand, and for ``patched-*`` a client written
by hand for the purpose. What they call, we call; how it is said, and all that RTS asks for, is our client's
own doing. Our own names are given to it: cookies. The server's are not: handles, positions in tables. The
server answers with the call_ids of ours instead of those that were recorded.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from loadgen.protocol.association import Association
from loadgen.protocol.emsmdb_session import EmsmdbSession, RopBatch, ServerObjectHandle, Transfer
from loadgen.protocol.events import CallReturned, ContextsAccepted, Event
from loadgen.protocol.http_authentication import BasicAuthentication
from loadgen.protocol.nspi_session import NspiSession
from loadgen.protocol.rts_options import Cookies, RtsOptions
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire import emsmdb, nspi, pdu
from loadgen.wire.http import parse_basic
from loadgen.wire.rts import AssociationGroupId, Cookie, ReceiveWindowSize, RtsPdu
from tests.recorded.capture import NAMES, Part, cut, read_parts, virtual_connections
from tests.recorded.dialogue import Dialogue, Message, differences, read_rops, whole_requests

NOW = 0.0
LIFETIME = 1 << 30
IN_CHANNEL_USED = 15236
"""Bytes that an IN channel had carried when it was replaced, and 44 for the longer bind of ours."""
MARGINS = {"patched-in-recycle": LIFETIME - IN_CHANNEL_USED}

IMPACKET = {
    "header Accept-Encoding": "impacket's HTTP library asks for an identity encoding",
    "Bind.max_xmit_frag": "impacket says 4280, Windows and we 5840",
    "Bind.max_recv_frag": "impacket says 4280, Windows and we 5840",
    "Call.call_id": "impacket gives the first call the number of the bind",
}
OURS = {
    "Bind.contexts": "the second one negotiates features",
    "Bind.flags": "calls may be outstanding at the same time",
}
SESSION = {
    "EcDoConnectExRequest.con_mod": "a hash of the user's name, which means nothing to the server",
    "EcDoRpcExt2Request.out_max": "32775 is what Outlook says",
}
ADDRESS_BOOK = {
    "Call.fragments": "impacket's stray pointer in NspiGetSpecialTable",
    "NspiQueryRowsRequest.flags": "the recorded client skips objects, of which it asks for none",
    "Stat.code_page": "0 in the recorded NspiResolveNamesW, ours is the session's",
    "Stat.template_locale": "0 in the recorded NspiResolveNamesW, ours is the session's",
    "Stat.sort_locale": "0 in the recorded NspiResolveNamesW, ours is the session's",
}
FRAGMENTS = {
    "Call.fragments": "impacket fills the 8192 bytes that the server takes, we send 5840 at most",
}
DIFFERENCES = {
    "rfr-basic": IMPACKET | OURS,
    "nspi-basic": IMPACKET | OURS | ADDRESS_BOOK,
    "emsmdb-basic": IMPACKET | OURS | SESSION,
    "emsmdb-notify-async": IMPACKET | OURS | SESSION,
    "emsmdb-bulk-flowcontrol": IMPACKET | OURS | SESSION | FRAGMENTS,
    "patched-out-recycle": OURS | SESSION,
    "patched-in-recycle": OURS | SESSION,
}


class Head(msgspec.Struct, frozen=True):
    line: bytes
    headers: dict[str, bytes]


class Call(msgspec.Struct, frozen=True):
    """A request, and how long its fragments are."""

    call_id: int
    context_id: int
    fragments: tuple[int, ...]
    request: Any


class Sessions:
    """What our client knows of the server's handles, for all virtual connections of a conversation."""

    def __init__(self) -> None:
        self._stores: dict[bytes, EmsmdbSession] = {}
        self._book = NspiSession()

    def ask(self, recorded: Any) -> tuple[Any, Callable[[Any], object]]:
        """Our request for the same purpose, and who takes its answer."""
        match recorded:
            case emsmdb.EcDoConnectExRequest():
                transfer = Transfer(obfuscate=False, auxiliary=False)
                store = EmsmdbSession(recorded.user_dn, recorded.client_version, transfer)
                return store.connect(), partial(self._connected, store)
            case emsmdb.EcDoRpcExt2Request():
                store, batch = self._stores[recorded.context_handle], RopBatch()
                for handle in read_rops(recorded)[1]:
                    batch.use(ServerObjectHandle(handle))
                for rop in read_rops(recorded)[0]:
                    batch.add(rop)
                return store.execute(batch), partial(_executed, store, batch)
            case emsmdb.EcDoAsyncConnectExRequest():
                store = self._stores[recorded.context_handle]
                return store.connect_async(), partial(self._connected_async, store)
            case emsmdb.EcDoAsyncWaitExRequest():
                store = self._stores[recorded.async_context_handle]
                return store.wait(), store.take_waited
            case emsmdb.EcDoDisconnectRequest():
                store = self._stores[recorded.context_handle]
                return store.disconnect(), store.take_disconnected
            case _:
                return self._ask_book(recorded)

    def _ask_book(self, recorded: Any) -> tuple[Any, Callable[[Any], object]]:
        book = self._book
        match recorded:
            case nspi.NspiBindRequest():
                return book.bind(), book.take_bound
            case nspi.NspiGetSpecialTableRequest():
                return book.special_table(), book.take_special_table
            case nspi.NspiUpdateStatRequest():
                return recorded, partial(_moved, book)
            case nspi.NspiQueryRowsRequest():
                rows = book.query_rows(recorded.count, recorded.prop_tags or ())
                return rows, partial(book.take_rows, rows)
            case nspi.NspiResolveNamesWRequest():
                names = [name or "" for name in recorded.names]
                resolve = book.resolve(names, recorded.prop_tags or ())
                return resolve, partial(book.take_resolved, resolve)
            case nspi.NspiUnbindRequest():
                return book.unbind(), book.take_unbound
            case _:
                return recorded, _succeeded

    def _connected(self, store: EmsmdbSession, response: emsmdb.EcDoConnectExResponse) -> None:
        store.take_connected(response)
        self._stores[response.context_handle] = store

    def _connected_async(self, store: EmsmdbSession, response: emsmdb.EcDoAsyncConnectExResponse) -> None:
        store.take_async_connected(response)
        self._stores[response.async_context_handle] = store


def _executed(store: EmsmdbSession, batch: RopBatch, response: emsmdb.EcDoRpcExt2Response) -> None:
    store.take_executed(batch, response).require_success()


def _succeeded(response: Any) -> None:
    """The referral service has no session."""
    assert response.return_value == 0


def _moved(book: NspiSession, response: nspi.NspiUpdateStatResponse) -> None:
    """Whoever does not ask how far it goes, as the recorded client, is not told; our client does ask."""
    assert response.return_value == 0
    book.stat = response.stat


class OurConnection:
    """One virtual connection of ours, from what it is told of the recorded one: whom to call, and cookies."""

    def __init__(self, parts: list[Part], sessions: Sessions, margin: int) -> None:
        heads = {part.channel: part.data for part in reversed(parts) if part.by_client and part.is_head}
        user, password = parse_basic(_head(heads["IN"]).headers["Authorization"].decode())
        server, _, port = heads["IN"].split()[1].decode().partition("?")[2].rpartition(":")
        a1, b1 = (_first_rts(parts, channel) for channel in ("OUT", "IN"))
        (window,) = (command.size for command in a1.commands if isinstance(command, ReceiveWindowSize))
        (group,) = (command.group_id for command in b1.commands if isinstance(command, AssociationGroupId))
        vc, out_cookie, _, in_cookie = (
            command.cookie for command in (*a1.commands, *b1.commands) if isinstance(command, Cookie)
        )
        self.sessions = sessions
        self.association = Association()
        self.connection = VirtualConnectionClient(
            server,
            int(port),
            _head(heads["IN"]).headers["Host"].decode(),
            lambda: BasicAuthentication(user, password),
            NOW,
            RtsOptions(receive_window=window, channel_lifetime=LIFETIME, recycle_margin=margin),
            Cookies(vc, in_cookie, out_cookie, group),
        )
        self.channels: dict[int, Any] = {}
        self.said: dict[int, bytes] = {}
        self.answers = 0
        self.answered = 0
        self._calls: dict[int, tuple[int, Any, Callable[[Any], object]]] = {}

    def open_channel(self, part: Part) -> None:
        """The recorded client opened one: ours has done so, too."""
        taken = self.channels.values()
        new = (c for c in self.connection.channels if c.name == part.channel and c not in taken)
        self.channels[part.port] = next(new)
        self.said[part.port] = b""

    def bind(self, recorded: pdu.Bind) -> None:
        self.association.bind([context.abstract_syntax for context in recorded.contexts])
        self._send()

    def call(self, message: Message) -> None:
        request, take = self.sessions.ask(message.value)
        call_id = self.association.call(message.context_id, request.opnum, request.encode())
        self._calls[message.call_id] = call_id, request, take
        self._send()

    def hear(self, part: Part, piece: int) -> None:
        data = part.data
        if not part.is_head and data[2] in (pdu.PduType.RESPONSE, pdu.PduType.FAULT):
            call_id, *_ = self._calls[int.from_bytes(data[12:16], "little")]
            data = data[:12] + call_id.to_bytes(4, "little") + data[16:]
            self.answers += bool(data[3] & pdu.LAST_FRAG)
        channel = self.channels[part.port]
        for start in range(0, len(data), piece):
            for heard in self.connection.receive_data(channel, data[start : start + piece], NOW):
                for event in self.association.receive_pdu(heard):
                    self._take(event)
        self.collect()

    def collect(self) -> None:
        for port, channel in self.channels.items():
            self.said[port] += channel.data_to_send()

    def _take(self, event: Event) -> None:
        if isinstance(event, CallReturned):
            ours = {call_id: (request, take) for call_id, request, take in self._calls.values()}
            request, take = ours[event.call_id]
            take(request.decode_response(event.stub))
            self.answered += 1
        else:
            assert event == ContextsAccepted()

    def _send(self) -> None:
        for data in self.association.pdus_to_send():
            self.connection.send_pdu(data, NOW)
        self.collect()


def _first_rts(parts: list[Part], channel: str) -> RtsPdu:
    return next(
        RtsPdu.decode(part.data)
        for part in parts
        if part.by_client and part.channel == channel and part.is_rts
    )


def _head(data: bytes) -> Head:
    line, *fields = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (field.split(b": ", 1) for field in fields)
    return Head(line, {name.decode(): value for name, value in pairs})


def said_on(parts: Iterable[bytes], dialogue: Dialogue) -> Iterator[Any]:
    """What the parts of one connection mean, the fragments of a call joined."""
    fragments: list[int] = []
    for data in parts:
        if data.startswith(b"RPC_"):
            yield _head(data)
        elif data[2] == pdu.PduType.RTS:
            yield RtsPdu.decode(data)
        else:
            value = pdu.decode(data)
            message = dialogue.hear(value)
            fragments.append(len(data))
            if isinstance(value, pdu.Bind):
                yield value
            elif message is not None:
                yield Call(message.call_id, message.context_id, tuple(fragments), message.value)
            if message is not None or isinstance(value, pdu.Bind):
                fragments.clear()


def compare(recorded: Any, ours: Any) -> Iterator[str]:
    if isinstance(recorded, Head) and isinstance(ours, Head):
        assert recorded.line == ours.line
        changed = recorded.headers.items() ^ ours.headers.items()
        yield from {f"header {name}" for name, _ in changed}
    else:
        yield from differences(recorded, ours)


def replay(name: str, piece: int) -> tuple[list[Part], dict[bytes, OurConnection]]:
    """Our client has heard all that the server said, and said what it had to say."""
    parts = read_parts(name)
    cookies, sessions = virtual_connections(parts), Sessions()
    ours: dict[bytes, OurConnection] = {}
    requests = whole_requests(parts, cookies)
    for part in parts:
        cookie = cookies[part.port]
        if cookie not in ours:
            own = [other for other in parts if cookies[other.port] == cookie]
            ours[cookie] = OurConnection(own, sessions, MARGINS.get(name, 4096))
        connection = ours[cookie]
        if part.port not in connection.channels:
            connection.open_channel(part)
        if not part.by_client:
            connection.hear(part, piece)
        elif not part.is_head and not part.is_rts:
            value = pdu.decode(part.data)
            if isinstance(value, pdu.Bind):
                connection.bind(value)
            elif value.flags & pdu.FIRST_FRAG:
                connection.call(requests[cookie, value.call_id])
        connection.collect()
    return parts, ours


def successors(name: str) -> list[bytes]:
    """The cookies that the recorded client gave to successors, in order."""
    found = []
    for part in read_parts(name):
        if part.by_client and part.is_rts:
            cookies = [c for c in RtsPdu.decode(part.data).commands if isinstance(c, Cookie)]
            found += [cookie.cookie for cookie in cookies[2:]]
    return found


@pytest.mark.parametrize("piece", [1, 1460, 1 << 20])
@pytest.mark.parametrize("name", NAMES)
def test_our_client_says_what_the_recorded_one_said(
    name: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = successors(name)
    monkeypatch.setattr(
        "loadgen.protocol.virtual_connection.urandom", lambda size: cookies.pop(0) if cookies else bytes(size)
    )
    parts, connections = replay(name, piece)
    found: set[str] = set()
    for connection in connections.values():
        theirs_heard, ours_heard = Dialogue(), Dialogue()
        for port, said in connection.said.items():
            recorded = list(said_on((p.data for p in parts if p.port == port and p.by_client), theirs_heard))
            ours = list(said_on(cut(said), ours_heard))
            assert [type(value) for value in ours] == [type(value) for value in recorded]
            for one, other in zip(recorded, ours, strict=True):
                found.update(compare(one, other))
        assert connection.answered == connection.answers
    assert found == set(DIFFERENCES[name])
