"""Every byte of the recorded conversations, decoded and encoded again.

What may differ is listed: the order of the client's HTTP headers, referent ids, which each implementation
numbers in its own way, and padding. Of nothing else is a byte left over or changed. ``pytest -s`` prints the
bytes of each conversation by layer.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import h11
import pytest

from loadgen.wire import emsmdb, pdu
from loadgen.wire.auxiliary import read_blocks, write_blocks
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.extended_buffer import HEADER_SIZE, read_payloads, write_payload
from loadgen.wire.http import ChannelRequest, basic_authorization, parse_basic, parse_target
from loadgen.wire.properties import PropertyRow
from loadgen.wire.rop.buffer import write_requests, write_responses
from loadgen.wire.rts import RtsPdu
from tests.recorded.capture import Part, read_parts, read_segments, virtual_connections
from tests.recorded.dialogue import Dialogue, Message, RopReader, property_values, read_rops, refused_calls

FIRST_REFERENT = 0x00020000
IMPACKETS_PADDING = 0xAB
IMPACKETS_HEADERS = {b"accept-encoding"}
"""Its HTTP library asks for an identity encoding."""


class Account:
    """Bytes by the layer that they belong to; ``apart`` counts those that need not be the same again."""

    def __init__(self, refused: dict[bytes, set[int]]) -> None:
        self.layers: Counter[str] = Counter()
        self.apart: Counter[str] = Counter()
        self.property_values = 0
        self._refused = refused
        self._dialogues = {cookie: Dialogue(calls) for cookie, calls in refused.items()}
        self._rops: dict[bytes, RopReader] = {}
        self._requests: dict[tuple[bytes, int], Message] = {}

    def describe(self, name: str) -> str:
        lines = (f"{size:10} {layer}" for layer, size in self.layers.most_common() if size)
        values = f"{self.property_values} property values"
        return "\n".join((f"{name}: {self.layers.total()} bytes, {values}", *lines))

    def take(self, part: Part, cookie: bytes) -> None:
        if part.is_head:
            self.layers["HTTP heads"] += len(part.data)
            (_check_request_head if part.by_client else _check_response_head)(part.data)
        elif part.is_rts:
            self.layers["RTS"] += len(part.data)
            decoded = RtsPdu.decode(part.data)
            assert decoded.names
            assert decoded.encode() == part.data
        else:
            self._take_rpc(part.data, cookie)

    def _take_rpc(self, data: bytes, cookie: bytes) -> None:
        decoded = pdu.decode(data)
        assert decoded.encode() == data
        if isinstance(decoded, pdu.Request | pdu.Response):
            self.layers["DCE/RPC call headers"] += pdu.CALL_HEADER_SIZE
            if decoded.call_id in self._refused[cookie]:
                self.layers["stubs of calls that are refused"] += len(decoded.stub)
        elif isinstance(decoded, pdu.Fault | pdu.CoCancel | pdu.Orphaned):
            self.layers["DCE/RPC refusals and takings back"] += len(data)
        else:
            trailer = len(getattr(decoded, "trailer", b""))
            self.layers["DCE/RPC binds"] += len(data) - trailer
            self.layers["the server's trailers"] += trailer
        message = self._dialogues[cookie].hear(decoded)
        if message is not None:
            self._take_message(message, cookie)

    def _take_message(self, message: Message, cookie: bytes) -> None:
        self.layers["impacket's stray pointer"] += len(message.stray)
        self.layers["NDR parameters"] += len(message.stub)
        self.apart.update(_apart(message.stub, message.value.encode()))
        self.property_values += sum(1 for _ in property_values(message.value))
        if message.by_client:
            self._requests[cookie, message.call_id] = message
        for name in ("aux_in", "aux_out"):
            self._take_auxiliary(getattr(message.value, name, b""))
        if isinstance(message.value, emsmdb.EcDoRpcExt2Request):
            self._take_rops(message.value.rgb_in, write_requests, *read_rops(message.value))
        elif isinstance(message.value, emsmdb.EcDoRpcExt2Response):
            request = self._requests[cookie, message.call_id].value
            exchange = self._rops.setdefault(cookie, RopReader()).read(request, message.value)
            if not message.value.return_value:
                self._take_rops(
                    message.value.rgb_out, write_responses, exchange.responses, exchange.handles_after
                )
            for notify, columns in exchange.notified_rows:
                writer = Writer()
                row = PropertyRow.read(Reader(notify.row_data), columns)
                row.write(writer)
                assert writer.getvalue() == notify.row_data
                self.property_values += len(row.values)

    def _take_auxiliary(self, data: bytes) -> None:
        for payload in self._payloads(data):
            blocks = read_blocks(payload)
            assert write_blocks(*blocks) == payload
            self._move("auxiliary blocks", len(payload))

    def _take_rops(
        self, data: bytes, write: Callable[..., bytes], rops: Sequence[object], handles: Sequence[int]
    ) -> None:
        (payload,) = self._payloads(data)
        ours = write(rops, handles)
        if ours != payload:
            assert ours == _without_end_of_empty_name(payload)
            self.apart["end of an empty name"] += 1
        self._move("ROP lists", len(payload) - 4 * len(handles))
        self._move("handle tables", 4 * len(handles))
        self.property_values += sum(1 for _ in property_values(rops))

    def _payloads(self, data: bytes) -> list[bytes]:
        """The payloads of an extended buffer, none of which is compressed or obfuscated here."""
        payloads = read_payloads(data)
        self._move("extended buffer headers", HEADER_SIZE * len(payloads))
        last = [index == len(payloads) - 1 for index in range(len(payloads))]
        again = (write_payload(payload, 0, last=end) for payload, end in zip(payloads, last, strict=True))
        assert b"".join(again) == data
        return payloads

    def _move(self, layer: str, size: int) -> None:
        """Bytes that were counted as an NDR parameter, and are of a layer of their own."""
        self.layers["NDR parameters"] -= size
        self.layers[layer] += size


def _check_request_head(head: bytes) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(head)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    headers = dict(request.headers)
    credentials = parse_basic(headers[b"authorization"].decode("ascii"))
    target = parse_target(request.target.decode("ascii"))
    again = ChannelRequest(
        request.method.decode("ascii"),
        target.server,
        target.port,
        int(headers[b"content-length"]),
        headers[b"host"].decode("ascii"),
        basic_authorization(*credentials),
        target.path,
    )
    line, _, fields = head.partition(b"\r\n")
    our_line, _, our_fields = again.encode().partition(b"\r\n")
    assert our_line == line
    assert _fields(our_fields) == _fields(fields)


def _fields(block: bytes) -> set[tuple[bytes, bytes]]:
    pairs = (line.split(b": ", 1) for line in block.split(b"\r\n") if line)
    return {(name.lower(), value) for name, value in pairs if name.lower() not in IMPACKETS_HEADERS}


def _check_response_head(head: bytes) -> None:
    """Our proxies say less, so it is h11 that has to write again what it read."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="RPC_OUT_DATA", target="/", headers=[("Host", "")]))
    client.receive_data(head)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert (response.status_code, response.reason) == (200, b"Success")
    lines = [b"HTTP/1.1 200 Success", *(b": ".join(pair) for pair in response.headers.raw_items()), b"", b""]
    assert b"\r\n".join(lines) == head


def _apart(recorded: bytes, ours: bytes) -> Iterator[str]:
    """What two encodings of the same parameters differ in; fails unless it means nothing."""
    assert len(ours) == len(recorded)
    referents = set()
    for start in range(0, len(ours), 4):
        theirs, mine = recorded[start : start + 4], ours[start : start + 4]
        if theirs == mine:
            continue
        number = int.from_bytes(mine, "little")
        if number:
            assert number == FIRST_REFERENT + 4 * ((number - FIRST_REFERENT) // 4)
            assert 0 < int.from_bytes(theirs, "little") not in referents
            referents.add(int.from_bytes(theirs, "little"))
            yield "referent ids"
        else:
            assert set(theirs) <= {0, IMPACKETS_PADDING}
            yield "padding"


def _without_end_of_empty_name(payload: bytes) -> bytes:
    """RopLogon to public folders as we write it: the recorded client ends a name that is not there."""
    rop, table = payload[2:-4], payload[-4:]
    assert rop.endswith(b"\1\0\0")
    return (len(rop) + 1).to_bytes(2, "little") + rop[:-3] + b"\0\0" + table


FIGURES = {
    # bytes, property values in them, referent ids and padding that differ
    "rfr-basic": (1768, 0, {"referent ids": 4}),
    "nspi-basic": (24466, 265, {"referent ids": 263, "padding": 1}),
    "emsmdb-basic": (9332, 98, {}),
    "emsmdb-notify-async": (8060, 7, {}),
    "emsmdb-bulk-flowcontrol": (716996, 100, {}),
    "patched-out-recycle": (660618, 46, {}),
    "patched-in-recycle": (74012, 5, {}),
    "rpc-edges": (22056, 4, {"end of an empty name": 1}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_byte_is_decoded_and_encoded_again(name: str) -> None:
    parts = read_parts(name)
    connections = virtual_connections(parts)
    account = Account(refused_calls(parts, connections))
    for part in parts:
        account.take(part, connections[part.port])
    print(account.describe(name))  # noqa: T201 - what `pytest -s` shows
    total, values, apart = FIGURES[name]
    assert sum(len(segment.data) for segment in read_segments(name)) == total
    assert account.layers.total() == total
    assert min(account.layers.values()) >= 0
    assert (account.property_values, dict(account.apart)) == (values, apart)
