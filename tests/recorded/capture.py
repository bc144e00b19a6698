"""Recorded conversations with a real server (Gromox 3.10, 2026-11-21), cleared of TCP and cut into parts.

None of the codecs under test is used here. A capture is a gzip-compressed pcap file of loopback traffic, in
which every TCP connection stands from its first byte.
"""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CAPTURES = Path(__file__).parent.parent / "vectors" / "captures"
NAMES = (
    "rfr-basic",
    "nspi-basic",
    "emsmdb-basic",
    "emsmdb-notify-async",
    "emsmdb-bulk-flowcontrol",
    "patched-out-recycle",
    "patched-in-recycle",
)
SERVER_PORT = 8880
RTS = 20
BIND = 11

_PCAP_HEADER = 24
_RECORD = struct.Struct("<IIII")
_ETHERNET = 14
_SYN = 0x02
_COOKIE = slice(32, 48)  # behind the header, a Version command and the type of the first Cookie command


class Segment(NamedTuple):
    """The bytes of one TCP segment; ``port``, the client's, names the connection."""

    port: int
    by_client: bool
    data: bytes


class Part(NamedTuple):
    """An HTTP head with its empty line, or a PDU; ``channel`` is IN or OUT."""

    port: int
    channel: str
    by_client: bool
    data: bytes

    @property
    def is_head(self) -> bool:
        return self.data.startswith((b"RPC_", b"HTTP/"))

    @property
    def is_rts(self) -> bool:
        return not self.is_head and self.data[2] == RTS


def read_segments(name: str) -> list[Segment]:
    """All that carry data, in order; the sequence numbers say that none is missing or there twice."""
    capture = gzip.decompress((CAPTURES / f"{name}.pcap.gz").read_bytes())
    expected: dict[tuple[int, bool], int] = {}
    segments = []
    for frame in _frames(capture):
        ip = frame[_ETHERNET:]
        tcp = ip[(ip[0] & 15) * 4 : int.from_bytes(ip[2:4], "big")]
        source, destination, sequence = struct.unpack_from(">HHI", tcp)
        by_client = destination == SERVER_PORT
        side = source if by_client else destination, by_client
        if tcp[13] & _SYN:
            expected[side] = sequence + 1
            continue
        data = tcp[(tcp[12] >> 4) * 4 :]
        if data:
            assert sequence == expected[side]
            expected[side] = (sequence + len(data)) % (1 << 32)
            segments.append(Segment(*side, data))
    return segments


def _frames(capture: bytes) -> Iterator[bytes]:
    offset = _PCAP_HEADER
    while offset < len(capture):
        size = _RECORD.unpack_from(capture, offset)[2]
        offset += _RECORD.size + size
        yield capture[offset - size : offset]


def read_parts(name: str) -> list[Part]:
    """All parts in the order in which they were complete; nothing is left of any stream."""
    channels: dict[int, str] = {}
    unread: dict[tuple[int, bool], bytes] = {}
    parts = []
    for port, by_client, data in read_segments(name):
        stream = unread.get((port, by_client), b"") + data
        while size := _size_of_first(stream):
            if stream.startswith(b"RPC_"):
                channels[port] = stream[4 : stream.index(b"_DATA")].decode("ascii")
            parts.append(Part(port, channels[port], by_client, stream[:size]))
            stream = stream[size:]
        unread[port, by_client] = stream
    assert not any(unread.values())
    return parts


def cut(stream: bytes) -> list[bytes]:
    """The parts of a whole stream."""
    parts = []
    while stream:
        size = _size_of_first(stream)
        assert size
        parts.append(stream[:size])
        stream = stream[size:]
    return parts


def _size_of_first(stream: bytes) -> int:
    """Bytes of the part at the beginning, 0 if it is not complete."""
    if stream.startswith((b"RPC_", b"HTTP/")):
        return stream.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in stream else 0
    size = int.from_bytes(stream[8:10], "little")
    return size if len(stream) >= max(size, 16) else 0


def virtual_connections(parts: list[Part]) -> dict[int, bytes]:
    """To which virtual connection each TCP connection belongs, by its cookie."""
    cookies: dict[int, bytes] = {}
    for part in parts:
        if part.by_client and not part.is_head:
            cookies.setdefault(part.port, part.data[_COOKIE])
    return cookies
