"""Recorded conversations, as the sequence of what each side said on each channel."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

CAPTURES = Path(__file__).parent.parent / "vectors" / "captures"
_PCAP_HEADER = 24
_RECORD = struct.Struct("<IIII")
_ETHERNET = 14
_SERVER_PORT = 8880


class Said(NamedTuple):
    """The bytes of one TCP segment; ``channel`` is IN or OUT, ``port`` is the client's."""

    channel: str
    by_client: bool
    data: bytes
    port: int


def read_conversation(name: str) -> list[Said]:
    """A capture of one virtual connection on loopback: nothing is lost there, so segments are in order."""
    capture = gzip.decompress((CAPTURES / f"{name}.pcap.gz").read_bytes())
    channels: dict[int, str] = {}
    conversation = []
    offset = _PCAP_HEADER
    while offset < len(capture):
        size = _RECORD.unpack_from(capture, offset)[2]
        ip = capture[offset + _RECORD.size :][:size][_ETHERNET:]
        offset += _RECORD.size + size
        tcp = ip[(ip[0] & 15) * 4 : int.from_bytes(ip[2:4], "big")]
        source, destination = struct.unpack_from(">HH", tcp)
        data = tcp[(tcp[12] >> 4) * 4 :]
        if data:
            client = source if destination == _SERVER_PORT else destination
            if data.startswith(b"RPC_"):
                channels[client] = data[4 : data.index(b"_DATA")].decode()
            conversation.append(Said(channels[client], client == source, data, client))
    return conversation


@pytest.fixture
def conversation() -> Callable[[str], list[Said]]:
    """Reads a capture by its name below ``tests/vectors/captures``."""
    return read_conversation
