"""Extended buffers ([MS-OXCRPC] 2.2.2.1): payloads behind RPC_HEADER_EXT, plain, obfuscated or compressed.

rgbIn and the auxiliary buffers hold one payload, rgbOut may hold a chain of them.
"""

from struct import Struct
from typing import Final

from loadgen.errors import LocalProtocolError, WireError
from loadgen.wire.buffer import Reader
from loadgen.wire.lz77 import compress, decompress

COMPRESSED: Final = 0x0001
XOR_MAGIC: Final = 0x0002
LAST: Final = 0x0004
"""Flags of RPC_HEADER_EXT."""

HEADER_SIZE: Final = 8
LARGEST_PAYLOAD: Final = 0x7FFF
"""A ROP buffer with its handle table may not be longer, in bytes."""

_HEADER = Struct("<4H")
_VERSION = 0
_KNOWN_FLAGS = COMPRESSED | XOR_MAGIC | LAST
_OBFUSCATED = bytes(byte ^ 0xA5 for byte in range(0x100))


def write_payload(payload: bytes, allowed: int = COMPRESSED | XOR_MAGIC, *, last: bool = True) -> bytes:
    """One payload behind its header, compressed where that gains, else obfuscated, if ``allowed`` says so.

    Raises :class:`LocalProtocolError` for a payload longer than LARGEST_PAYLOAD.
    """
    size_actual = len(payload)
    if size_actual > LARGEST_PAYLOAD:
        raise LocalProtocolError(f"a payload of {size_actual} bytes; {LARGEST_PAYLOAD} are allowed")
    flags = LAST if last else 0
    if allowed & COMPRESSED:
        shorter = compress(payload)
        if len(shorter) < size_actual:
            return _HEADER.pack(_VERSION, flags | COMPRESSED, len(shorter), size_actual) + shorter
    if allowed & XOR_MAGIC:
        flags |= XOR_MAGIC
        payload = payload.translate(_OBFUSCATED)
    return _HEADER.pack(_VERSION, flags, size_actual, size_actual) + payload


def read_payloads(data: bytes) -> list[bytes]:
    """All payloads of a chain as they were before compression; an empty buffer has none.

    Raises :class:`WireError`, also when the last header is not the one that says so.
    """
    reader = Reader(data)
    payloads: list[bytes] = []
    flags = LAST
    while reader.remaining:
        if payloads and flags & LAST:
            raise WireError("Flags", reader.offset, "a payload after the last one")
        flags, payload = _read_payload(reader)
        payloads.append(payload)
    if not flags & LAST:
        raise WireError("Flags", reader.offset, "no payload is the last one")
    return payloads


def _read_payload(reader: Reader) -> tuple[int, bytes]:
    start = reader.offset
    version, flags, size, size_actual = reader.unpack(_HEADER, "RPC_HEADER_EXT")
    if version != _VERSION or flags & ~_KNOWN_FLAGS:
        raise WireError("RPC_HEADER_EXT", start, f"version {version}, flags 0x{flags:04X}")
    payload = reader.take(size, "payload")
    if flags & XOR_MAGIC:
        payload = payload.translate(_OBFUSCATED)
    if flags & COMPRESSED:
        payload = decompress(payload, size_actual)
    elif size != size_actual:
        raise WireError("SizeActual", start, f"{size_actual}, but {size} bytes are there uncompressed")
    return flags, payload
