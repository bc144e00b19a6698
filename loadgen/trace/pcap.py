"""A capture file of connections that were listened in on: their plain bytes in packets that never travelled.

Whatever port a web server has, in the file it is 80, so that Wireshark takes what it reads for HTTP.
"""

import socket
from ipaddress import ip_address
from struct import Struct
from typing import BinaryIO, Final

HTTP_PORT: Final = 80
FOLDED_PORT: Final = 593
"""Assigned to RPC over HTTP, and Wireshark finds out by itself what is said there."""

_FILE_HEADER: Final = bytes.fromhex("d4c3b2a10200040000000000000000000000040065000000")
"""Little-endian pcap 2.4 with microseconds, 256 KB a packet, link type 101: IP without anything below."""
_PACKET = Struct("<IIII")
_IPV4 = Struct(">BBHHHBBH4s4s")
_IPV6 = Struct(">IHBB16s16s")
_TCP = Struct(">HHIIBBHHH")
_SEGMENT: Final = 1460
_WINDOW: Final = 0xFFFF
_HOPS: Final = 64
_FIN, _SYN, _PUSH, _ACK = 1, 2, 8, 16


class Endpoint:
    """One end of a conversation: its address, and how much it has said."""

    __slots__ = ("address", "port", "sequence")

    def __init__(self, address: str, port: int) -> None:
        self.address = ip_address(address.partition("%")[0]).packed if address else bytes(4)
        self.port = port
        self.sequence = 0


class PcapWriter:
    """Writes the packets of TCP connections, each with its handshake and its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(_FILE_HEADER)

    def open(self, now: float, client: Endpoint, server: Endpoint) -> None:
        """The three packets of a handshake; ``now`` is seconds since 1970."""
        self._send(now, client, server, _SYN)
        self._send(now, server, client, _SYN | _ACK)
        self._send(now, client, server, _ACK)

    def say(self, now: float, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """What one end says to the other."""
        for start in range(0, len(data), _SEGMENT):
            self._send(now, source, destination, _PUSH | _ACK, data[start : start + _SEGMENT])

    def close(self, now: float, source: Endpoint, destination: Endpoint) -> None:
        """One end says no more."""
        self._send(now, source, destination, _FIN | _ACK)

    def _send(
        self, now: float, source: Endpoint, destination: Endpoint, flags: int, data: bytes = b""
    ) -> None:
        acknowledged = destination.sequence if flags & _ACK else 0
        tcp = _TCP.pack(
            source.port, destination.port, source.sequence, acknowledged, 5 << 4, flags, _WINDOW, 0, 0
        )
        packet = _with_checksums(source.address, destination.address, tcp, data)
        self._file.write(_PACKET.pack(int(now), int(now % 1 * 1_000_000), len(packet), len(packet)))
        self._file.write(packet)
        source.sequence += len(data) + (1 if flags & (_SYN | _FIN) else 0)


def _with_checksums(source: bytes, destination: bytes, tcp: bytes, data: bytes) -> bytes:
    size = len(tcp) + len(data)
    pseudo = source + destination + size.to_bytes(4, "big") + socket.IPPROTO_TCP.to_bytes(4, "big")
    checksum = _checksum(pseudo + tcp + data)
    segment = tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:] + data
    if len(source) == 16:
        return _IPV6.pack(6 << 28, size, socket.IPPROTO_TCP, _HOPS, source, destination) + segment
    plain = _IPV4.pack(0x45, 0, 20 + size, 0, 0, _HOPS, socket.IPPROTO_TCP, 0, source, destination)
    return plain[:10] + _checksum(plain).to_bytes(2, "big") + plain[12:] + segment


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    # A sum of 16-bit words with the carries added again is the remainder by 0xFFFF, and so is the number that
    # all the words are together.
    return -int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
