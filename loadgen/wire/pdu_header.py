"""The head of every PDU and the verifier at its end ([C706] 12.6.3.1, [MS-RPCE] 2.2.2.11)."""

from struct import Struct
from typing import Final

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader

FIRST_FRAG: Final = 0x01
LAST_FRAG: Final = 0x02
PENDING_CANCEL: Final = 0x04
SUPPORT_HEADER_SIGN: Final = 0x04
"""The bit of PENDING_CANCEL means this in bind, alter_context, their answers and auth3."""
CONC_MPX: Final = 0x10
DID_NOT_EXECUTE: Final = 0x20
MAYBE: Final = 0x40
OBJECT_UUID: Final = 0x80
WHOLE: Final = FIRST_FRAG | LAST_FRAG

HEADER_SIZE: Final = 16
CALL_HEADER_SIZE: Final = 24
"""Bytes before the stub in a request without object UUID and in a response."""

VERSION: Final = 0x0005
"""rpc_vers 5 and rpc_vers_minor 0 as one word."""
VERSIONS: Final = frozenset((VERSION, 0x0105))
DREP: Final = 0x10
"""packed_drep: little-endian integers, ASCII, IEEE."""

_HEADER = Struct("<HBBIHHI")
_SEC_TRAILER = Struct("<BBBxI")


class PduType:
    """PTYPE: which PDU it is ([C706] 12.1, [MS-RPCE] 2.2.2.1, [MS-RPCH] 2.2.3)."""

    REQUEST: Final = 0
    RESPONSE: Final = 2
    FAULT: Final = 3
    BIND: Final = 11
    BIND_ACK: Final = 12
    BIND_NAK: Final = 13
    ALTER_CONTEXT: Final = 14
    ALTER_CONTEXT_RESPONSE: Final = 15
    AUTH3: Final = 16
    SHUTDOWN: Final = 17
    CO_CANCEL: Final = 18
    ORPHANED: Final = 19
    RTS: Final = 20


class AuthVerifier(msgspec.Struct, frozen=True, gc=False):
    """sec_trailer and its token ([MS-RPCE] 2.2.2.11).

    ``padding`` stands between the stub and the trailer. A sealed PDU has it encrypted together with the stub,
    so it is kept as it came.
    """

    auth_type: int
    auth_level: int
    auth_context_id: int
    token: bytes
    padding: bytes = b""

    def encode(self) -> bytes:
        """Padding, trailer and token, as they end a PDU."""
        trailer = _SEC_TRAILER.pack(self.auth_type, self.auth_level, len(self.padding), self.auth_context_id)
        return self.padding + trailer + self.token


def frag_length(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """How long the PDU at ``offset`` is, from its common header, of which all 16 bytes must be there."""
    if len(data) - offset < HEADER_SIZE:
        raise WireError("common header", 0, f"needs {HEADER_SIZE} bytes, {len(data) - offset} are left")
    version, ptype, _, drep, size, auth_length, _ = _HEADER.unpack_from(data, offset)
    if version not in VERSIONS:
        raise WireError("rpc_vers", 0, f"{version & 0xFF}.{version >> 8} is not 5.0 or 5.1")
    if ptype > PduType.RTS:
        raise WireError("PTYPE", 2, f"{ptype} is unknown")
    if drep != DREP:
        raise WireError("packed_drep", 4, f"0x{drep:08X} is not little-endian, ASCII and IEEE")
    if size < HEADER_SIZE + (auth_length and auth_length + _SEC_TRAILER.size):
        raise WireError("frag_length", 8, f"{size} is too short, auth_length being {auth_length}")
    return int(size)


def pdu_type(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """PTYPE of the PDU at ``offset``, whose header :func:`frag_length` has looked at."""
    return data[offset + 2]


def call_id(pdu: bytes) -> int:
    """call_id of a PDU whose header :func:`frag_length` has looked at."""
    return int.from_bytes(pdu[12:16], "little")


def header_error(pdu: bytes, ptype: int, minimum: int = HEADER_SIZE) -> WireError:
    """Why ``pdu`` is not one whole PDU of this type, which has at least ``minimum`` bytes."""
    size = frag_length(pdu)
    if pdu[2] != ptype:
        return WireError("PTYPE", 2, f"{pdu[2]} instead of {ptype}")
    return WireError("frag_length", 8, f"{size}, but {len(pdu)} bytes are there and {minimum} are needed")


def open_pdu(pdu: bytes, ptype: int) -> tuple[int, int, Reader, AuthVerifier | None]:
    """pfc_flags, call_id, a reader of the body alone, and the verifier behind it."""
    size = frag_length(pdu)
    if size != len(pdu) or pdu[2] != ptype:
        raise header_error(pdu, ptype)
    _, _, flags, _, _, auth_length, call_id = _HEADER.unpack_from(pdu)
    reader = Reader(pdu, HEADER_SIZE)
    auth = None
    if auth_length:
        auth, reader.end = split_verifier(pdu, HEADER_SIZE, auth_length)
    return flags, call_id, reader, auth


def split_verifier(pdu: bytes, start: int, auth_length: int) -> tuple[AuthVerifier, int]:
    """The verifier that ends ``pdu``, and where the body ends that begins at ``start``."""
    trailer = len(pdu) - auth_length - _SEC_TRAILER.size
    if trailer < start:
        raise WireError("auth_length", 10, f"{auth_length} leaves no room for the body")
    auth_type, level, pad_length, context_id = _SEC_TRAILER.unpack_from(pdu, trailer)
    end = trailer - pad_length
    if end < start:
        raise WireError("auth_pad_length", trailer + 2, f"{pad_length} is more than the body")
    token = pdu[trailer + _SEC_TRAILER.size :]
    return AuthVerifier(auth_type, level, context_id, token, pdu[end:trailer]), end


def close_pdu(ptype: int, flags: int, call_id: int, body: bytes, auth: AuthVerifier | None = None) -> bytes:
    """A whole PDU: ``body`` is all that stands between the common header and the verifier."""
    tail, auth_length = (body, 0) if auth is None else (body + auth.encode(), len(auth.token))
    size = HEADER_SIZE + len(tail)
    return _HEADER.pack(VERSION, ptype, flags, DREP, size, auth_length, call_id) + tail
