"""Turns a capture of virtual connections into conversations, and those into a capture that can be dissected.

A virtual connection is spread over two TCP connections, wrapped in HTTP or bare behind the proxy, so no
dissector matches its responses to its requests. Here each TCP connection is cleared of HTTP heads and chunks
(or of the banner), cut into PDUs and joined with the other of its virtual connection by their cookie; the
result is written as one TCP connection each. None of our codecs is used: what this judges must not judge
itself.

    conversations = fold(read_capture(path))
    write_capture(folded_path, conversations)
"""

import re
import struct
import subprocess
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BANNER = b"ncacn_http/1.0"
FOLDED_PORT = 135
FIELDS = (
    "tcp.stream",
    "frame.number",
    "frame.time_epoch",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.flags.syn",
    "tcp.seq_raw",
    "tcp.payload",
)
_ORDINARY_HTTP = re.compile(rb"(?!RPC_)[A-Z]+ ")
_TRUE = frozenset({"1", "True"})
_RTS = 20
_COOKIE = slice(32, 48)  # behind the header, a Version command and the type of the first Cookie command
_RAW_IP = 101
_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08


class FoldError(Exception):
    """The capture cannot be followed, or holds something that is no virtual connection."""


@dataclass
class Flow:
    """One direction of a TCP connection: its bytes, and when each of them was there."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    moments: list[tuple[int, float]] = field(default_factory=list)

    def add(self, payload: bytes, moment: tuple[int, float]) -> None:
        """The next bytes, and the frame and time that brought them."""
        self.data += payload
        self.ends.append(len(self.data))
        self.moments.append(moment)

    def moment(self, end: int) -> tuple[int, float]:
        """Frame and time at which the byte before ``end`` was there."""
        return self.moments[bisect_left(self.ends, end)]


@dataclass
class Connection:
    """One TCP connection: who opened it, to whom, and what went each way."""

    stream: int
    client: tuple[str, int]
    server: tuple[str, int]
    sent: Flow = field(default_factory=Flow)
    received: Flow = field(default_factory=Flow)


@dataclass(frozen=True)
class CapturedPdu:
    """One PDU of a conversation; ``frame`` orders them."""

    frame: int
    time_s: float
    from_client: bool
    data: bytes


@dataclass
class Conversation:
    """All PDUs of one virtual connection on one hop.

    ``hop`` is "http", or "<address>:<port>" of the server behind a proxy.
    """

    hop: str
    cookie: bytes
    pdus: list[CapturedPdu] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)


def read_capture(capture: Path, ports: Collection[int] = ()) -> list[Connection]:
    """The TCP connections in a pcap or pcapng file, but for those that were open when it began.

    ``ports``: only connections from or to these. Raises :class:`FoldError` if segments are missing.
    """
    command = ["tshark", "-r", str(capture), "-o", "tcp.desegment_tcp_streams:FALSE", "-T", "fields"]
    for name in FIELDS:
        command += ["-e", name]
    for protocol in ("http", "dcerpc", "x11"):
        command += ["--disable-protocol", protocol]
    if ports:
        command += ["-Y", f"tcp.port in {{{', '.join(map(str, ports))}}}"]
    else:
        command += ["-Y", "tcp"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return connections_from_segments(line.split("\t") for line in lines)


def connections_from_segments(segments: Iterable[Sequence[str]]) -> list[Connection]:
    """TCP connections put together from segments, each a text for every one of :data:`FIELDS`."""
    connections: dict[str, Connection] = {}
    next_sequence: dict[tuple[str, bool], int] = {}
    for stream, frame, time_s, source, source_port, target, target_port, syn, sequence, payload in segments:
        sender, receiver = (source, int(source_port)), (target, int(target_port))
        connection = connections.get(stream)
        if connection is None:
            if syn not in _TRUE:
                continue
            connection = connections[stream] = Connection(int(stream), sender, receiver)
        side = stream, sender == connection.client
        if syn in _TRUE:
            next_sequence[side] = int(sequence) + 1
        new = _new_bytes(bytes.fromhex(payload), int(sequence), next_sequence[side], frame)
        if new:
            next_sequence[side] += len(new)
            flow = connection.sent if side[1] else connection.received
            flow.add(new, (int(frame), float(time_s)))
    return list(connections.values())


def _new_bytes(payload: bytes, sequence: int, expected: int, frame: str) -> bytes:
    """What a segment brings that was not there yet."""
    distance = (sequence - expected) % (1 << 32)
    if not payload or distance == 0:
        return payload
    if distance < 1 << 31:
        raise FoldError(f"frame {frame}: the {distance} bytes before it were not captured")
    return payload[(1 << 32) - distance :]


def fold(connections: Iterable[Connection]) -> list[Conversation]:
    """One conversation for each virtual connection and hop.

    Left out are TCP connections on which the client sent no PDU: refused ones, echo requests, ordinary HTTP.
    """
    conversations: dict[tuple[str, bytes], Conversation] = {}
    for connection in connections:
        if _ORDINARY_HTTP.match(connection.sent.data):
            continue
        sent, received = list(_sent_pdus(connection)), list(_received_pdus(connection))
        if not sent:
            continue
        key = _hop(connection), _cookie(connection, sent[0].data)
        conversation = conversations.setdefault(key, Conversation(*key))
        conversation.streams.append(connection.stream)
        conversation.pdus += sent + received
    for conversation in conversations.values():
        conversation.pdus.sort(key=lambda pdu: pdu.frame)
    return list(conversations.values())


def _hop(connection: Connection) -> str:
    if connection.sent.data.startswith(b"RPC_"):
        return "http"
    return "{}:{}".format(*connection.server)


def _cookie(connection: Connection, first_pdu: bytes) -> bytes:
    """The cookie in A1, B1, A2, B2 and their like; the stream's number for RPC without RTS."""
    if first_pdu[2] == _RTS and len(first_pdu) >= _COOKIE.stop:
        return first_pdu[_COOKIE]
    return struct.pack(">Q", connection.stream)


def _sent_pdus(connection: Connection) -> Iterator[CapturedPdu]:
    """The client's PDUs: behind request heads, or from the first byte."""
    flow, offset = connection.sent, 0
    while offset < len(flow.data):
        if flow.data.startswith(b"RPC_", offset):
            head, offset = _head(flow, offset)
            length = int(_header(head, b"Content-Length") or 0)
            offset += length if length <= 16 else 0  # that much is an echo request or a leg of authentication
        else:
            offset = yield from _one_pdu(connection, flow, offset, from_client=True)


def _received_pdus(connection: Connection) -> Iterator[CapturedPdu]:
    """The server's PDUs: behind the head of a success, or behind the banner."""
    flow = connection.received
    offset = len(BANNER) if flow.data.startswith(BANNER) else 0
    while offset < len(flow.data):
        if not flow.data.startswith(b"HTTP/", offset):
            offset = yield from _one_pdu(connection, flow, offset, from_client=False)
            continue
        head, offset = _head(flow, offset)
        length = _header(head, b"Content-Length")
        if not re.match(rb"HTTP/1\.\d [12]", head):
            offset = len(flow.data) if length is None else offset + int(length)
        elif _header(head, b"Transfer-Encoding") == b"chunked":
            flow, offset = _without_chunks(flow, offset), 0


def _one_pdu(
    connection: Connection, flow: Flow, offset: int, *, from_client: bool
) -> Generator[CapturedPdu, None, int]:
    """The PDU at ``offset``, unless the connection's end cut it short; returns where the next one begins."""
    header = bytes(flow.data[offset : offset + 16])
    if header[:1] != b"\x05":
        side = "client" if from_client else "server"
        raise FoldError(
            f"stream {connection.stream}: the {side}'s byte {offset} begins no PDU: {header.hex()}"
        )
    size = struct.unpack_from("<H", header, 8)[0] if len(header) == 16 else 16
    end = offset + max(size, 16)
    if end <= len(flow.data):
        yield CapturedPdu(*flow.moment(end), from_client, bytes(flow.data[offset:end]))
    return end


def _head(flow: Flow, offset: int) -> tuple[bytes, int]:
    """An HTTP head without its empty line, and where the body begins; a head that was cut short takes all."""
    head, _, _ = bytes(flow.data[offset:]).partition(b"\r\n\r\n")
    return head, offset + len(head) + 4


def _header(head: bytes, name: bytes) -> bytes | None:
    match = re.search(rb"\r\n" + name + rb":[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return match and match[1]


def _without_chunks(flow: Flow, offset: int) -> Flow:
    """The body that begins at ``offset``, without the chunks it came in."""
    body = Flow()
    while (line_end := flow.data.find(b"\r\n", offset)) >= 0:
        start = line_end + 2
        end = start + int(flow.data[offset:line_end].partition(b";")[0], 16)
        offset = end + 2
        while start < min(end, len(flow.data)):
            stop = min(end, flow.ends[bisect_right(flow.ends, start)])
            body.add(bytes(flow.data[start:stop]), flow.moment(stop))
            start = stop
    return body


def write_capture(capture: Path, conversations: Iterable[Conversation]) -> None:
    """A pcap file with one TCP connection to port 135 for each conversation, one segment for each PDU."""
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP))
        for number, conversation in enumerate(conversations):
            for time_s, packet in _packets(number, conversation):
                seconds, microseconds = divmod(round(time_s * 1e6), 1_000_000)
                file.write(struct.pack("<IIII", seconds, microseconds, len(packet), len(packet)) + packet)


def _packets(number: int, conversation: Conversation) -> Iterator[tuple[float, bytes]]:
    start_s = conversation.pdus[0].time_s
    sequence = {True: 1, False: 1}
    yield start_s, _packet(number, True, 0, 0, _SYN)
    yield start_s, _packet(number, False, 0, 1, _SYN | _ACK)
    yield start_s, _packet(number, True, 1, 1, _ACK)
    for pdu in conversation.pdus:
        side = pdu.from_client
        yield pdu.time_s, _packet(number, side, sequence[side], sequence[not side], _PUSH | _ACK, pdu.data)
        sequence[side] += len(pdu.data)


def _packet(
    number: int, from_client: bool, sequence: int, acknowledged: int, flags: int, data: bytes = b""
) -> bytes:
    """An IPv4 packet with a TCP segment of conversation ``number``; checksums are left out."""
    host, port = divmod(number, 50_000)
    client, server = (struct.pack(">BBH", 10, 0, host + 1), 10_000 + port), (b"\x0a\x01\x00\x01", FOLDED_PORT)
    (source, source_port), (target, target_port) = (client, server) if from_client else (server, client)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0, source, target)
    ports = struct.pack(">HH", source_port, target_port)
    return ip + ports + struct.pack(">IIBBHHH", sequence, acknowledged, 0x50, flags, 65535, 0, 0) + data
