"""Presentation contexts: which interface, in which encoding ([C706] 12.6.3.1, [MS-RPCE] 2.2.2.14)."""

from struct import Struct
from typing import Final, Self
from uuid import UUID

import msgspec

from loadgen.wire.buffer import Reader, Writer

ACCEPTANCE: Final = 0
USER_REJECTION: Final = 1
PROVIDER_REJECTION: Final = 2
NEGOTIATE_ACK: Final = 3

REASON_NOT_SPECIFIED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 1
PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 2
LOCAL_LIMIT_EXCEEDED: Final = 3

_CONTEXT = Struct("<HBx16sI")
_SYNTAX = Struct("<16sI")
_RESULT = Struct("<HH16sI")


class SyntaxId(msgspec.Struct, frozen=True, gc=False):
    """An interface or a transfer syntax (p_syntax_id_t); ``version`` is major + 65536 * minor."""

    uuid: bytes
    version: int

    @classmethod
    def of(cls, uuid: str, major: int, minor: int = 0) -> Self:
        """From the UUID as text."""
        return cls(UUID(uuid).bytes_le, major | minor << 16)


NDR: Final = SyntaxId.of("8a885d04-1ceb-11c9-9fe8-08002b104860", 2)
NDR64: Final = SyntaxId.of("71710533-beba-4937-8319-b5dbef9ccc36", 1)
NO_SYNTAX: Final = SyntaxId(bytes(16), 0)
"""What a result that accepts nothing carries as its transfer syntax."""

SECURITY_CONTEXT_MULTIPLEXING: Final = 1
KEEP_CONNECTION_ON_ORPHAN: Final = 2
_FEATURES_PREFIX: Final = bytes.fromhex("2c1cb76c12984045")


def bind_time_features(mask: int) -> SyntaxId:
    """The transfer syntax that offers the features in ``mask`` ([MS-RPCE] 2.2.2.14)."""
    return SyntaxId(_FEATURES_PREFIX + mask.to_bytes(8, "little"), 1)


def offered_features(syntax: SyntaxId) -> int | None:
    """The mask in a transfer syntax made by :func:`bind_time_features`; None for any other syntax."""
    if syntax.version != 1 or not syntax.uuid.startswith(_FEATURES_PREFIX):
        return None
    return int.from_bytes(syntax.uuid[8:], "little")


class PresentationContext(msgspec.Struct, frozen=True, gc=False):
    """One interface that a client wants to use, with the encodings it offers (p_cont_elem_t)."""

    context_id: int
    abstract_syntax: SyntaxId
    transfer_syntaxes: tuple[SyntaxId, ...] = (NDR,)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """One element of p_cont_list_t."""
        context_id, count, uuid, version = reader.unpack(_CONTEXT, "p_cont_elem")
        syntaxes = tuple(SyntaxId(*reader.unpack(_SYNTAX, "transfer_syntax")) for _ in range(count))
        return cls(context_id, SyntaxId(uuid, version), syntaxes)

    def write(self, writer: Writer) -> None:
        """One element of p_cont_list_t."""
        abstract = self.abstract_syntax
        writer.pack(_CONTEXT, self.context_id, len(self.transfer_syntaxes), abstract.uuid, abstract.version)
        for syntax in self.transfer_syntaxes:
            writer.pack(_SYNTAX, syntax.uuid, syntax.version)


class ContextResult(msgspec.Struct, frozen=True, gc=False):
    """The answer to one context (p_result_t); ``reason`` of a NEGOTIATE_ACK is the mask that is granted."""

    result: int
    reason: int = REASON_NOT_SPECIFIED
    transfer_syntax: SyntaxId = NO_SYNTAX

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """One element of p_result_list_t."""
        result, reason, uuid, version = reader.unpack(_RESULT, "p_result")
        return cls(result, reason, SyntaxId(uuid, version))

    def write(self, writer: Writer) -> None:
        """One element of p_result_list_t."""
        writer.pack(
            _RESULT, self.result, self.reason, self.transfer_syntax.uuid, self.transfer_syntax.version
        )
