"""The verification trailer that a client may put behind the stub of a request ([MS-RPCE] 2.2.2.13).

It repeats, under the signature, what else would stand in parts of PDUs that nobody signs.
"""

from struct import Struct
from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.presentation import SyntaxId

CLIENT_SUPPORT_HEADER_SIGNING: Final = 1
"""In the bit mask: the client said so in its bind."""

_MAGIC: Final = bytes.fromhex("8ae3137102f43671")
_COMMAND = Struct("<HH")
_CONTEXT = Struct("<16sI16sI")
_HEADER = Struct("<BxxxIIHH")
_BIT_MASK: Final = 1
_PRESENTATION_CONTEXT: Final = 2
_HEADER_2: Final = 3
_TYPE_MASK: Final = 0x3FFF
_END: Final = 0x4000
_MUST_PROCESS: Final = 0x8000


class RequestHeader(msgspec.Struct, frozen=True, gc=False):
    """What the header of the request said (rpc_sec_vt_header2)."""

    ptype: int
    drep: int
    call_id: int
    context_id: int
    opnum: int


class VerificationTrailer(msgspec.Struct, frozen=True, gc=False):
    """What a client has verified; None where it says nothing.

    ``context`` is the interface and the transfer syntax (rpc_sec_vt_pcontext).
    """

    bit_mask: int | None = None
    context: tuple[SyntaxId, SyntaxId] | None = None
    header: RequestHeader | None = None

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A whole trailer. Commands that are unknown are skipped, unless the client insists on them."""
        reader = Reader(data)
        if reader.take(len(_MAGIC), "signature") != _MAGIC:
            raise WireError("signature", 0, "not that of a verification trailer")
        found: dict[int, bytes] = {}
        command = 0
        while not command & _END:
            start = reader.offset
            command, size = reader.unpack(_COMMAND, "sec_vt_command")
            kind = command & _TYPE_MASK
            if command & _MUST_PROCESS and kind > _HEADER_2:
                raise WireError("sec_vt_command", start, f"unknown command {kind} must be processed")
            found[kind] = reader.take(size, "sec_vt_command")
        reader.expect_end("verification trailer")
        return cls(_bit_mask(found), _context(found), _header(found))

    def encode(self) -> bytes:
        """A whole trailer, which says at least one thing."""
        commands = []
        if self.bit_mask is not None:
            commands.append((_BIT_MASK, self.bit_mask.to_bytes(4, "little")))
        if self.context is not None:
            interface, syntax = self.context
            data = _CONTEXT.pack(interface.uuid, interface.version, syntax.uuid, syntax.version)
            commands.append((_PRESENTATION_CONTEXT, data))
        if self.header is not None:
            header = self.header
            fields = header.ptype, header.drep, header.call_id, header.context_id, header.opnum
            commands.append((_HEADER_2, _HEADER.pack(*fields)))
        writer = Writer()
        writer.raw(_MAGIC)
        for number, (kind, data) in enumerate(commands, 1):
            writer.pack(_COMMAND, kind | (_END if number == len(commands) else 0), len(data))
            writer.raw(data)
        return writer.getvalue()


def split_trailer(stub: bytes) -> tuple[bytes, VerificationTrailer | None]:
    """The stub proper, with its padding, and the trailer behind it; raises :class:`WireError`."""
    start = stub.rfind(_MAGIC)
    if start < 0 or start % 4:
        return stub, None
    return stub[:start], VerificationTrailer.decode(stub[start:])


def _bit_mask(found: dict[int, bytes]) -> int | None:
    data = found.get(_BIT_MASK)
    if data is None:
        return None
    return Reader(_sized(data, 4, "rpc_sec_vt_bitmask")).u32("rpc_sec_vt_bitmask")


def _context(found: dict[int, bytes]) -> tuple[SyntaxId, SyntaxId] | None:
    data = found.get(_PRESENTATION_CONTEXT)
    if data is None:
        return None
    fields = _CONTEXT.unpack(_sized(data, _CONTEXT.size, "rpc_sec_vt_pcontext"))
    return SyntaxId(*fields[:2]), SyntaxId(*fields[2:])


def _header(found: dict[int, bytes]) -> RequestHeader | None:
    data = found.get(_HEADER_2)
    if data is None:
        return None
    return RequestHeader(*_HEADER.unpack(_sized(data, _HEADER.size, "rpc_sec_vt_header2")))


def _sized(data: bytes, size: int, field: str) -> bytes:
    if len(data) != size:
        raise WireError(field, 0, f"{len(data)} bytes instead of {size}")
    return data
