"""Connection-oriented RPC PDUs ([C706] 12.6, [MS-RPCE] 2.2.2), all but RTS, which is in :mod:`loadgen.wire.rts`.

A PDU is one fragment: cutting stubs into fragments and joining them again is the association's business. Encoders
derive every length and count; a PDU of more than 65535 bytes raises :class:`struct.error`. Decoders take exactly one
PDU and raise :class:`~loadgen.errors.WireError` for anything else.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias
from uuid import UUID

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

FIRST_FRAG: Final = 0x01
LAST_FRAG: Final = 0x02
PENDING_CANCEL: Final = 0x04
SUPPORT_HEADER_SIGN: Final = 0x04
"""The same bit as PENDING_CANCEL: in bind, bind_ack, alter_context, its response and auth3 it has this meaning."""
CONC_MPX: Final = 0x10
DID_NOT_EXECUTE: Final = 0x20
MAYBE: Final = 0x40
OBJECT_UUID: Final = 0x80
WHOLE: Final = FIRST_FRAG | LAST_FRAG

ACCEPTANCE: Final = 0
USER_REJECTION: Final = 1
PROVIDER_REJECTION: Final = 2
NEGOTIATE_ACK: Final = 3

REASON_NOT_SPECIFIED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 1
PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 2
LOCAL_LIMIT_EXCEEDED: Final = 3

HEADER_SIZE: Final = 16
CALL_HEADER_SIZE: Final = 24
"""Bytes before the stub in a request without object UUID and in a response."""

_VERSION: Final = 5  # rpc_vers 5, rpc_vers_minor 0, read as one word
_VERSIONS: Final = frozenset((0x0005, 0x0105))
_DREP: Final = 0x10  # little-endian integers, ASCII, IEEE

_HEADER = Struct("<HBBIHHI")
_CALL = Struct("<HBBIHHIIHH")
_FAULT = Struct("<IHBBII")
_BIND = Struct("<HHI")
_COUNT = Struct("<Bxxx")
_CONTEXT = Struct("<HBx16sI")
_SYNTAX = Struct("<16sI")
_RESULT = Struct("<HH16sI")
_SEC_TRAILER = Struct("<BBBxI")


class PduType:
    """PTYPE ([C706] 12.6.4.1, [MS-RPCH] 2.2.3.1)."""

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


class SyntaxId(msgspec.Struct, frozen=True, gc=False):
    """An interface or a transfer syntax ([C706] 12.6.3.1, p_syntax_id_t); ``version`` is major + 65536 * minor."""

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


class AuthVerifier(msgspec.Struct, frozen=True, gc=False):
    """sec_trailer and its token ([MS-RPCE] 2.2.2.11).

    ``padding`` stands between the stub and the trailer. A sealed PDU has it encrypted together with the stub, so it
    is kept as it came.
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
    """The answer to one presentation context (p_result_t); ``reason`` of a NEGOTIATE_ACK is the granted mask."""

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


def frag_length(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """How long the PDU at ``offset`` is, from its common header, of which all 16 bytes must be there."""
    if len(data) - offset < HEADER_SIZE:
        raise WireError("common header", 0, f"needs {HEADER_SIZE} bytes, {len(data) - offset} are left")
    version, ptype, _, drep, size, auth_length, _ = _HEADER.unpack_from(data, offset)
    if version not in _VERSIONS:
        raise WireError("rpc_vers", 0, f"{version & 0xFF}.{version >> 8} is not 5.0 or 5.1")
    if ptype > PduType.RTS:
        raise WireError("PTYPE", 2, f"{ptype} is unknown")
    if drep != _DREP:
        raise WireError("packed_drep", 4, f"0x{drep:08X} is not little-endian, ASCII and IEEE")
    if size < HEADER_SIZE + (auth_length and auth_length + _SEC_TRAILER.size):
        raise WireError("frag_length", 8, f"{size} is too short, auth_length being {auth_length}")
    return int(size)


def pdu_type(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """PTYPE of the PDU at ``offset``, whose header :func:`frag_length` has looked at."""
    return data[offset + 2]


def _bad_header(pdu: bytes, ptype: int, minimum: int) -> WireError:
    """What is wrong with the header of ``pdu``, which should be a whole PDU of this type."""
    size = frag_length(pdu)
    if pdu[2] != ptype:
        return WireError("PTYPE", 2, f"{pdu[2]} instead of {ptype}")
    return WireError(
        "frag_length", 8, f"{size} for a PDU of {len(pdu)} bytes, at least {minimum} of them header"
    )


def _open(pdu: bytes, ptype: int) -> tuple[int, int, Reader, AuthVerifier | None]:
    """Flags, call_id, a reader of the body alone and the verifier behind it."""
    size = frag_length(pdu)
    if size != len(pdu) or pdu[2] != ptype:
        raise _bad_header(pdu, ptype, HEADER_SIZE)
    _, _, flags, _, _, auth_length, call_id = _HEADER.unpack_from(pdu)
    reader = Reader(pdu, HEADER_SIZE)
    auth = None
    if auth_length:
        auth, reader.end = _split_verifier(pdu, HEADER_SIZE, auth_length)
    return flags, call_id, reader, auth


def _split_verifier(pdu: bytes, start: int, auth_length: int) -> tuple[AuthVerifier, int]:
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


def _close(ptype: int, flags: int, call_id: int, body: bytes, auth: AuthVerifier | None) -> bytes:
    """A whole PDU: ``body`` is all that follows the common header, but for the verifier."""
    tail, auth_length = (body, 0) if auth is None else (body + auth.encode(), len(auth.token))
    size = HEADER_SIZE + len(tail)
    return _HEADER.pack(_VERSION, ptype, flags, _DREP, size, auth_length, call_id) + tail


class _Proposal(msgspec.Struct, frozen=True, gc=False):
    """What bind and alter_context have in common."""

    ptype: ClassVar[int]
    call_id: int
    max_xmit_frag: int
    max_recv_frag: int
    assoc_group_id: int
    contexts: tuple[PresentationContext, ...]
    flags: int = WHOLE
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        flags, call_id, reader, auth = _open(pdu, cls.ptype)
        xmit, recv, group = reader.unpack(_BIND, "max_xmit_frag")
        (count,) = reader.unpack(_COUNT, "n_context_elem")
        contexts = tuple(PresentationContext.read(reader) for _ in range(count))
        reader.expect_end("p_context_elem")
        return cls(call_id, xmit, recv, group, contexts, flags, auth)

    def encode(self) -> bytes:
        """A whole PDU."""
        writer = Writer()
        writer.pack(_BIND, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id)
        writer.pack(_COUNT, len(self.contexts))
        for context in self.contexts:
            context.write(writer)
        return _close(self.ptype, self.flags, self.call_id, writer.getvalue(), self.auth)


class Bind(_Proposal, frozen=True, gc=False):
    """bind ([C706] 12.6.4.3): opens an association, or joins the group ``assoc_group_id`` if that is not 0."""

    ptype = PduType.BIND


class AlterContext(_Proposal, frozen=True, gc=False):
    """alter_context ([C706] 12.6.4.1): more presentation contexts, or a further leg of authentication."""

    ptype = PduType.ALTER_CONTEXT


class _Agreement(msgspec.Struct, frozen=True, gc=False):
    """What bind_ack and alter_context_resp have in common.

    ``secondary_address`` is the endpoint with its NUL, or nothing. ``trailer`` is what a server appends although
    auth_length is 0 (Gromox: an empty sec_trailer); it means nothing.
    """

    ptype: ClassVar[int]
    call_id: int
    max_xmit_frag: int
    max_recv_frag: int
    assoc_group_id: int
    secondary_address: bytes
    results: tuple[ContextResult, ...]
    flags: int = WHOLE
    auth: AuthVerifier | None = None
    trailer: bytes = b""

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        flags, call_id, reader, auth = _open(pdu, cls.ptype)
        xmit, recv, group = reader.unpack(_BIND, "max_xmit_frag")
        address = reader.take(reader.u16("sec_addr length"), "sec_addr")
        reader.align(4)
        (count,) = reader.unpack(_COUNT, "n_results")
        results = tuple(ContextResult.read(reader) for _ in range(count))
        return cls(call_id, xmit, recv, group, address, results, flags, auth, reader.rest())

    def encode(self) -> bytes:
        """A whole PDU."""
        writer = Writer()
        writer.pack(_BIND, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id)
        writer.u16(len(self.secondary_address))
        writer.raw(self.secondary_address)
        writer.align(4)
        writer.pack(_COUNT, len(self.results))
        for result in self.results:
            result.write(writer)
        writer.raw(self.trailer)
        return _close(self.ptype, self.flags, self.call_id, writer.getvalue(), self.auth)


class BindAck(_Agreement, frozen=True, gc=False):
    """bind_ack ([C706] 12.6.4.4)."""

    ptype = PduType.BIND_ACK


class AlterContextResponse(_Agreement, frozen=True, gc=False):
    """alter_context_resp ([C706] 12.6.4.2)."""

    ptype = PduType.ALTER_CONTEXT_RESPONSE


class BindNak(msgspec.Struct, frozen=True, gc=False):
    """bind_nak ([C706] 12.6.4.5, [MS-RPCE] 2.2.2.9); ``extended_error`` is a signature and what follows it, if any."""

    ptype: ClassVar[int] = PduType.BIND_NAK
    call_id: int
    reason: int
    versions: tuple[tuple[int, int], ...] = ((5, 0),)
    flags: int = WHOLE
    extended_error: bytes = b""

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU; the padding after the versions may be missing."""
        flags, call_id, reader, _ = _open(pdu, cls.ptype)
        reason = reader.u16("provider_reject_reason")
        versions = tuple((reader.u8("major"), reader.u8("minor")) for _ in range(reader.u8("n_protocols")))
        reader.take(min(-reader.offset % 4, reader.remaining), "padding")
        return cls(call_id, reason, versions, flags, reader.rest())

    def encode(self) -> bytes:
        """A whole PDU."""
        writer = Writer()
        writer.u16(self.reason)
        writer.u8(len(self.versions))
        for version in self.versions:
            writer.raw(bytes(version))
        writer.align(4)
        writer.raw(self.extended_error)
        return _close(self.ptype, self.flags, self.call_id, writer.getvalue(), None)


class Auth3(msgspec.Struct, frozen=True, gc=False):
    """rpc_auth_3 ([MS-RPCE] 2.2.2.5): the third leg of NTLM; ``filler`` is four bytes that mean nothing."""

    ptype: ClassVar[int] = PduType.AUTH3
    call_id: int
    auth: AuthVerifier
    flags: int = WHOLE
    filler: bytes = bytes(4)

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        flags, call_id, reader, auth = _open(pdu, cls.ptype)
        if auth is None:
            raise WireError("auth_length", 10, "0, and the verifier is all that an auth3 is for")
        filler = reader.take(4, "pad")
        reader.expect_end("rpc_auth_3")
        return cls(call_id, auth, flags, filler)

    def encode(self) -> bytes:
        """A whole PDU."""
        return _close(self.ptype, self.flags, self.call_id, self.filler, self.auth)


class Request(msgspec.Struct, frozen=True, gc=False):
    """request ([C706] 12.6.4.9).

    ``alloc_hint`` is the stub size of this and all following fragments; None stands for that of this fragment, when
    encoding and when decoded alike. The flag OBJECT_UUID is derived from ``object_uuid``.
    """

    ptype: ClassVar[int] = PduType.REQUEST
    call_id: int
    context_id: int
    opnum: int
    stub: bytes
    flags: int = WHOLE
    alloc_hint: int | None = None
    object_uuid: bytes | None = None
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        if len(pdu) < CALL_HEADER_SIZE:
            raise _bad_header(pdu, PduType.REQUEST, CALL_HEADER_SIZE)
        version, ptype, flags, drep, size, auth_length, call_id, hint, context_id, opnum = _CALL.unpack_from(
            pdu
        )
        if ptype or version not in _VERSIONS or drep != _DREP or size != len(pdu):
            raise _bad_header(pdu, PduType.REQUEST, CALL_HEADER_SIZE)
        start, end = CALL_HEADER_SIZE, size
        object_uuid = auth = None
        if flags & OBJECT_UUID:
            flags ^= OBJECT_UUID
            start += 16
            object_uuid = pdu[CALL_HEADER_SIZE:start]
            if size < start:
                raise WireError("object", CALL_HEADER_SIZE, "needs 16 bytes")
        if auth_length:
            auth, end = _split_verifier(pdu, start, auth_length)
        stub_hint = None if hint == end - start else hint
        return cls(call_id, context_id, opnum, pdu[start:end], flags, stub_hint, object_uuid, auth)

    def encode(self) -> bytes:
        """A whole PDU."""
        flags, tail, auth_length = self.flags, self.stub, 0
        hint = len(tail) if self.alloc_hint is None else self.alloc_hint
        if self.object_uuid is not None:
            flags |= OBJECT_UUID
            tail = self.object_uuid + tail
        if self.auth is not None:
            auth_length = len(self.auth.token)
            tail += self.auth.encode()
        size = CALL_HEADER_SIZE + len(tail)
        head = (_VERSION, PduType.REQUEST, flags, _DREP, size, auth_length, self.call_id, hint)
        return _CALL.pack(*head, self.context_id, self.opnum) + tail


class Response(msgspec.Struct, frozen=True, gc=False):
    """response ([C706] 12.6.4.10); ``alloc_hint`` as in :class:`Request`."""

    ptype: ClassVar[int] = PduType.RESPONSE
    call_id: int
    context_id: int
    stub: bytes
    flags: int = WHOLE
    alloc_hint: int | None = None
    cancel_count: int = 0
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        if len(pdu) < CALL_HEADER_SIZE:
            raise _bad_header(pdu, PduType.RESPONSE, CALL_HEADER_SIZE)
        version, ptype, flags, drep, size, auth_length, call_id, hint, context_id, count = _CALL.unpack_from(
            pdu
        )
        if ptype != PduType.RESPONSE or version not in _VERSIONS or drep != _DREP or size != len(pdu):
            raise _bad_header(pdu, PduType.RESPONSE, CALL_HEADER_SIZE)
        auth, end = _split_verifier(pdu, CALL_HEADER_SIZE, auth_length) if auth_length else (None, size)
        stub_hint = None if hint == end - CALL_HEADER_SIZE else hint
        return cls(call_id, context_id, pdu[CALL_HEADER_SIZE:end], flags, stub_hint, count & 0xFF, auth)

    def encode(self) -> bytes:
        """A whole PDU."""
        tail, auth_length = self.stub, 0
        hint = len(tail) if self.alloc_hint is None else self.alloc_hint
        if self.auth is not None:
            auth_length = len(self.auth.token)
            tail += self.auth.encode()
        size = CALL_HEADER_SIZE + len(tail)
        head = (_VERSION, PduType.RESPONSE, self.flags, _DREP, size, auth_length, self.call_id, hint)
        return _CALL.pack(*head, self.context_id, self.cancel_count) + tail


class Fault(msgspec.Struct, frozen=True, gc=False):
    """fault ([C706] 12.6.4.7, [MS-RPCE] 2.2.2.8); ``alloc_hint`` None is what Windows says, 32 + ``extended_error``."""

    ptype: ClassVar[int] = PduType.FAULT
    call_id: int
    context_id: int
    status: int
    flags: int = WHOLE
    alloc_hint: int | None = None
    cancel_count: int = 0
    extended_error: bytes = b""
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        flags, call_id, reader, auth = _open(pdu, cls.ptype)
        hint, context_id, cancel_count, _, status, _ = reader.unpack(_FAULT, "fault")
        error = reader.rest()
        fault_hint = None if hint == HEADER_SIZE + _FAULT.size + len(error) else hint
        return cls(call_id, context_id, status, flags, fault_hint, cancel_count, error, auth)

    def encode(self) -> bytes:
        """A whole PDU."""
        error = self.extended_error
        hint = HEADER_SIZE + _FAULT.size + len(error) if self.alloc_hint is None else self.alloc_hint
        body = _FAULT.pack(hint, self.context_id, self.cancel_count, bool(error), self.status, 0) + error
        return _close(self.ptype, self.flags, self.call_id, body, self.auth)


class _Bare(msgspec.Struct, frozen=True, gc=False):
    """A PDU that is nothing but the common header and perhaps a verifier."""

    ptype: ClassVar[int]
    call_id: int
    flags: int = WHOLE
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """A whole PDU."""
        flags, call_id, reader, auth = _open(pdu, cls.ptype)
        reader.expect_end(cls.__name__)
        return cls(call_id, flags, auth)

    def encode(self) -> bytes:
        """A whole PDU."""
        return _close(self.ptype, self.flags, self.call_id, b"", self.auth)


class CoCancel(_Bare, frozen=True, gc=False):
    """co_cancel ([C706] 12.6.4.6): asks the server to end a call early."""

    ptype = PduType.CO_CANCEL


class Orphaned(_Bare, frozen=True, gc=False):
    """orphaned ([C706] 12.6.4.8): the client has stopped waiting for this call."""

    ptype = PduType.ORPHANED


class Shutdown(_Bare, frozen=True, gc=False):
    """shutdown ([C706] 12.6.4.11): the server asks the client to close the connection when it is idle."""

    ptype = PduType.SHUTDOWN


Pdu: TypeAlias = (
    Request
    | Response
    | Fault
    | Bind
    | BindAck
    | BindNak
    | AlterContext
    | AlterContextResponse
    | Auth3
    | Shutdown
    | CoCancel
    | Orphaned
)

_DECODERS: Mapping[int, Callable[[bytes], Pdu]] = {
    Request.ptype: Request.decode,
    Response.ptype: Response.decode,
    Fault.ptype: Fault.decode,
    Bind.ptype: Bind.decode,
    BindAck.ptype: BindAck.decode,
    BindNak.ptype: BindNak.decode,
    AlterContext.ptype: AlterContext.decode,
    AlterContextResponse.ptype: AlterContextResponse.decode,
    Auth3.ptype: Auth3.decode,
    Shutdown.ptype: Shutdown.decode,
    CoCancel.ptype: CoCancel.decode,
    Orphaned.ptype: Orphaned.decode,
}


def decode(pdu: bytes) -> Pdu:
    """The one whole PDU in ``pdu``, by its type."""
    decoder = _DECODERS.get(pdu[2]) if len(pdu) >= HEADER_SIZE else None
    if decoder is None:
        size = frag_length(pdu)
        raise WireError("PTYPE", 2, f"{pdu[2]} ({size} bytes) is not a PDU of an association")
    return decoder(pdu)
