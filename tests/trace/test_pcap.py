"""Packets that never travelled hold what real ones would: checksums that are right, and sequence numbers."""

from io import BytesIO
from struct import iter_unpack, unpack_from

import pytest

from loadgen.trace.pcap import Endpoint, PcapWriter

TCP_HEADER = 20
SYN, FIN = 2, 1
SAID = [b"GET", bytes(range(256)) * 6, b"\xff" * 7]


def packets(file):
    data, at = file.getvalue(), 24
    while at < len(data):
        _, _, size, original = unpack_from("<IIII", data, at)
        assert size == original
        yield data[at + 16 : at + 16 + size]
        at += 16 + size


def adds_up(data):
    """RFC 1071: with its checksum in it, the sum of all words is all ones."""
    total = sum(word for (word,) in iter_unpack(">H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total == 0xFFFF


@pytest.mark.parametrize(
    ("client", "server", "header"), [("127.0.0.1", "192.0.2.7", 20), ("fe80::1%eth0", "2001:db8::2", 40)]
)
def test_packets_are_whole(client, server, header):
    file = BytesIO()
    pcap, ends = PcapWriter(file), (Endpoint(client, 49152), Endpoint(server, 80))
    pcap.open(1.5, *ends)
    for said in SAID:
        pcap.say(2.5, *ends, said)
    pcap.close(3.5, *ends)
    heard, expected = b"", 0
    for packet in packets(file):
        addresses, tcp = packet[header - 2 * len(ends[0].address) : header], packet[header:]
        assert adds_up(addresses + (6).to_bytes(4, "big") + len(tcp).to_bytes(4, "big") + tcp)
        assert header == 40 or (adds_up(packet[:header]) and unpack_from(">H", packet, 2)[0] == len(packet))
        if addresses.startswith(ends[0].address):
            assert unpack_from(">I", tcp, 4)[0] == expected
            heard += tcp[TCP_HEADER:]
            expected += len(tcp) - TCP_HEADER + bool(tcp[13] & (SYN | FIN))
    assert heard == b"".join(SAID)
