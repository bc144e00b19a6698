"""Connection-oriented RPC PDUs ([C706] 12.6), all but RTS, which has :mod:`loadgen.wire.rts` to itself.

A PDU is one fragment: cutting stubs into fragments and joining them is the association's business. Encoders
derive every length and count. Decoders take exactly one PDU and raise :class:`~loadgen.errors.WireError`.
``flags`` are pfc_flags, and ``auth`` is the verifier behind the body, if there is one.

What users of PDUs need of :mod:`loadgen.wire.pdu_header` and :mod:`loadgen.wire.presentation` is here too.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import ClassVar, Self, TypeAlias, get_args

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Writer
from loadgen.wire.pdu_header import (
    CALL_HEADER_SIZE,
    CONC_MPX,
    DID_NOT_EXECUTE,
    DREP,
    FIRST_FRAG,
    HEADER_SIZE,
    LAST_FRAG,
    MAYBE,
    OBJECT_UUID,
    PENDING_CANCEL,
    SUPPORT_HEADER_SIGN,
    VERSION,
    VERSIONS,
    WHOLE,
    AuthVerifier,
    PduType,
    call_id,
    close_pdu,
    frag_length,
    header_error,
    open_pdu,
    pdu_type,
    split_verifier,
)
from loadgen.wire.presentation import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    KEEP_CONNECTION_ON_ORPHAN,
    LOCAL_LIMIT_EXCEEDED,
    NDR,
    NDR64,
    NEGOTIATE_ACK,
    NO_SYNTAX,
    PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED,
    PROVIDER_REJECTION,
    REASON_NOT_SPECIFIED,
    SECURITY_CONTEXT_MULTIPLEXING,
    USER_REJECTION,
    ContextResult,
    PresentationContext,
    SyntaxId,
    bind_time_features,
    offered_features,
)

__all__ = [
    "ABSTRACT_SYNTAX_NOT_SUPPORTED",
    "ACCEPTANCE",
    "CALL_HEADER_SIZE",
    "CONC_MPX",
    "DID_NOT_EXECUTE",
    "DREP",
    "FIRST_FRAG",
    "HEADER_SIZE",
    "KEEP_CONNECTION_ON_ORPHAN",
    "LAST_FRAG",
    "LOCAL_LIMIT_EXCEEDED",
    "MAYBE",
    "NDR",
    "NDR64",
    "NEGOTIATE_ACK",
    "NO_SYNTAX",
    "OBJECT_UUID",
    "PENDING_CANCEL",
    "PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED",
    "PROVIDER_REJECTION",
    "REASON_NOT_SPECIFIED",
    "SECURITY_CONTEXT_MULTIPLEXING",
    "SUPPORT_HEADER_SIGN",
    "USER_REJECTION",
    "WHOLE",
    "AlterContext",
    "AlterContextResponse",
    "Auth3",
    "AuthVerifier",
    "Bind",
    "BindAck",
    "BindNak",
    "CoCancel",
    "ContextResult",
    "Fault",
    "Orphaned",
    "Pdu",
    "PduType",
    "PresentationContext",
    "Request",
    "Response",
    "Shutdown",
    "SyntaxId",
    "bind_time_features",
    "call_id",
    "decode",
    "frag_length",
    "offered_features",
    "pdu_type",
]

_CALL = Struct("<HBBIHHIIHH")
_FAULT = Struct("<IHBBII")
_BIND = Struct("<HHI")
_COUNT = Struct("<Bxxx")


class _Proposal(msgspec.Struct, frozen=True, gc=False):
    """What bind and alter_context have in common.

    ``max_xmit_frag`` and ``max_recv_frag`` are the longest PDUs in bytes that the client would send and can
    take. ``assoc_group_id`` 0 asks for a group of its own.
    """

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
        """The offer in a whole PDU."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        xmit, recv, group = reader.unpack(_BIND, "max_xmit_frag")
        (count,) = reader.unpack(_COUNT, "n_context_elem")
        contexts = tuple(PresentationContext.read(reader) for _ in range(count))
        reader.expect_end("p_context_elem")
        return cls(call_id, xmit, recv, group, contexts, flags, auth)

    def encode(self) -> bytes:
        """The whole PDU."""
        writer = Writer()
        writer.pack(_BIND, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id)
        writer.pack(_COUNT, len(self.contexts))
        for context in self.contexts:
            context.write(writer)
        return close_pdu(self.ptype, self.flags, self.call_id, writer.getvalue(), self.auth)


class Bind(_Proposal, frozen=True, gc=False):
    """bind ([C706] 12.6.4.3): opens an association, or joins the one named by ``assoc_group_id``."""

    ptype = PduType.BIND


class AlterContext(_Proposal, frozen=True, gc=False):
    """alter_context ([C706] 12.6.4.1): more presentation contexts, or a further leg of authentication."""

    ptype = PduType.ALTER_CONTEXT


class _Agreement(msgspec.Struct, frozen=True, gc=False):
    """What bind_ack and alter_context_resp have in common.

    Of the longest PDUs in bytes ``max_xmit_frag`` is what the server sends, ``max_recv_frag`` what it takes.
    ``results`` answer the contexts in their order. ``secondary_address`` is the endpoint with its NUL, or
    nothing. ``trailer`` is what a server appends though auth_length is 0 (Gromox: an empty sec_trailer); it
    means nothing.
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
        """The agreement in a whole PDU."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        xmit, recv, group = reader.unpack(_BIND, "max_xmit_frag")
        address = reader.take(reader.u16("sec_addr length"), "sec_addr")
        reader.align(4)
        (count,) = reader.unpack(_COUNT, "n_results")
        results = tuple(ContextResult.read(reader) for _ in range(count))
        return cls(call_id, xmit, recv, group, address, results, flags, auth, reader.rest())

    def encode(self) -> bytes:
        """The whole PDU."""
        writer = Writer()
        writer.pack(_BIND, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id)
        writer.u16(len(self.secondary_address))
        writer.raw(self.secondary_address)
        writer.align(4)
        writer.pack(_COUNT, len(self.results))
        for result in self.results:
            result.write(writer)
        writer.raw(self.trailer)
        return close_pdu(self.ptype, self.flags, self.call_id, writer.getvalue(), self.auth)


class BindAck(_Agreement, frozen=True, gc=False):
    """bind_ack ([C706] 12.6.4.4)."""

    ptype = PduType.BIND_ACK


class AlterContextResponse(_Agreement, frozen=True, gc=False):
    """alter_context_resp ([C706] 12.6.4.2)."""

    ptype = PduType.ALTER_CONTEXT_RESPONSE


class BindNak(msgspec.Struct, frozen=True, gc=False):
    """bind_nak ([C706] 12.6.4.5, [MS-RPCE] 2.2.2.9): the association is refused.

    ``reason`` is provider_reject_reason, ``versions`` the protocol versions (major, minor) of the server;
    ``extended_error`` is the signature and the error information that may follow the versions.
    """

    ptype: ClassVar[int] = PduType.BIND_NAK
    call_id: int
    reason: int
    versions: tuple[tuple[int, int], ...] = ((5, 0),)
    flags: int = WHOLE
    extended_error: bytes = b""

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """The refusal in a whole PDU; the padding after the versions may be missing."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        if auth is not None:
            raise WireError("auth_length", 10, "a bind_nak has no verifier")
        reason = reader.u16("provider_reject_reason")
        versions = tuple((reader.u8("major"), reader.u8("minor")) for _ in range(reader.u8("n_protocols")))
        reader.take(min(-reader.offset % 4, reader.remaining), "padding")
        return cls(call_id, reason, versions, flags, reader.rest())

    def encode(self) -> bytes:
        """The whole PDU."""
        writer = Writer()
        writer.u16(self.reason)
        writer.u8(len(self.versions))
        for version in self.versions:
            writer.raw(bytes(version))
        writer.align(4)
        writer.raw(self.extended_error)
        return close_pdu(self.ptype, self.flags, self.call_id, writer.getvalue())


class Auth3(msgspec.Struct, frozen=True, gc=False):
    """rpc_auth_3 ([MS-RPCE] 2.2.2.5): the third leg of NTLM; ``filler`` is four bytes that mean nothing."""

    ptype: ClassVar[int] = PduType.AUTH3
    call_id: int
    auth: AuthVerifier
    flags: int = WHOLE
    filler: bytes = bytes(4)

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """The leg in a whole PDU."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        if auth is None:
            raise WireError("auth_length", 10, "0, and the verifier is all that an auth3 is for")
        filler = reader.take(4, "pad")
        reader.expect_end("rpc_auth_3")
        return cls(call_id, auth, flags, filler)

    def encode(self) -> bytes:
        """The whole PDU."""
        return close_pdu(self.ptype, self.flags, self.call_id, self.filler, self.auth)


class Request(msgspec.Struct, frozen=True, gc=False):
    """request ([C706] 12.6.4.9): a call of the method ``opnum``, or a part of it.

    ``context_id`` is that of a presentation context. ``alloc_hint`` is the stub size of this and all
    following fragments; None means that of this one, in both directions. The flag OBJECT_UUID follows from
    ``object_uuid``.
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
        """The request in a whole PDU."""
        if len(pdu) < CALL_HEADER_SIZE:
            raise header_error(pdu, PduType.REQUEST, CALL_HEADER_SIZE)
        version, ptype, flags, drep, size, auth_length, call_id, hint, context_id, opnum = _CALL.unpack_from(
            pdu
        )
        if ptype or version not in VERSIONS or drep != DREP or size != len(pdu):
            raise header_error(pdu, PduType.REQUEST, CALL_HEADER_SIZE)
        start, end = CALL_HEADER_SIZE, size
        object_uuid = auth = None
        if flags & OBJECT_UUID:
            flags ^= OBJECT_UUID
            start += 16
            object_uuid = pdu[CALL_HEADER_SIZE:start]
            if size < start:
                raise WireError("object", CALL_HEADER_SIZE, "needs 16 bytes")
        if auth_length:
            auth, end = split_verifier(pdu, start, auth_length)
        stub_hint = None if hint == end - start else hint
        return cls(call_id, context_id, opnum, pdu[start:end], flags, stub_hint, object_uuid, auth)

    def encode(self) -> bytes:
        """The whole PDU."""
        flags, tail, auth_length = self.flags, self.stub, 0
        hint = len(tail) if self.alloc_hint is None else self.alloc_hint
        if self.object_uuid is not None:
            flags |= OBJECT_UUID
            tail = self.object_uuid + tail
        if self.auth is not None:
            auth_length = len(self.auth.token)
            tail += self.auth.encode()
        size = CALL_HEADER_SIZE + len(tail)
        head = (VERSION, PduType.REQUEST, flags, DREP, size, auth_length, self.call_id, hint)
        return _CALL.pack(*head, self.context_id, self.opnum) + tail


class Response(msgspec.Struct, frozen=True, gc=False):
    """response ([C706] 12.6.4.10): what a call returned, or a part of it.

    ``alloc_hint`` as in :class:`Request`; ``cancel_count`` is how many cancels the server has seen.
    """

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
        """The response in a whole PDU."""
        if len(pdu) < CALL_HEADER_SIZE:
            raise header_error(pdu, PduType.RESPONSE, CALL_HEADER_SIZE)
        version, ptype, flags, drep, size, auth_length, call_id, hint, context_id, count = _CALL.unpack_from(
            pdu
        )
        if ptype != PduType.RESPONSE or version not in VERSIONS or drep != DREP or size != len(pdu):
            raise header_error(pdu, PduType.RESPONSE, CALL_HEADER_SIZE)
        auth, end = split_verifier(pdu, CALL_HEADER_SIZE, auth_length) if auth_length else (None, size)
        stub_hint = None if hint == end - CALL_HEADER_SIZE else hint
        return cls(call_id, context_id, pdu[CALL_HEADER_SIZE:end], flags, stub_hint, count & 0xFF, auth)

    def encode(self) -> bytes:
        """The whole PDU."""
        tail, auth_length = self.stub, 0
        hint = len(tail) if self.alloc_hint is None else self.alloc_hint
        if self.auth is not None:
            auth_length = len(self.auth.token)
            tail += self.auth.encode()
        size = CALL_HEADER_SIZE + len(tail)
        head = (VERSION, PduType.RESPONSE, self.flags, DREP, size, auth_length, self.call_id, hint)
        return _CALL.pack(*head, self.context_id, self.cancel_count) + tail


class Fault(msgspec.Struct, frozen=True, gc=False):
    """fault ([C706] 12.6.4.7, [MS-RPCE] 2.2.2.8): a call ended without an answer, for the reason ``status``.

    ``extended_error`` is the error information that may stand behind. ``alloc_hint`` None means the size of
    the PDU without verifier, which is what Windows says.
    """

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
        """The fault in a whole PDU."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        hint, context_id, cancel_count, _, status, _ = reader.unpack(_FAULT, "fault")
        error = reader.rest()
        fault_hint = None if hint == HEADER_SIZE + _FAULT.size + len(error) else hint
        return cls(call_id, context_id, status, flags, fault_hint, cancel_count, error, auth)

    def encode(self) -> bytes:
        """The whole PDU."""
        error = self.extended_error
        hint = HEADER_SIZE + _FAULT.size + len(error) if self.alloc_hint is None else self.alloc_hint
        body = _FAULT.pack(hint, self.context_id, self.cancel_count, bool(error), self.status, 0) + error
        return close_pdu(self.ptype, self.flags, self.call_id, body, self.auth)


class _Bare(msgspec.Struct, frozen=True, gc=False):
    """A PDU that is nothing but the common header and perhaps a verifier."""

    ptype: ClassVar[int]
    call_id: int
    flags: int = WHOLE
    auth: AuthVerifier | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> Self:
        """The message in a whole PDU."""
        flags, call_id, reader, auth = open_pdu(pdu, cls.ptype)
        reader.expect_end(cls.__name__)
        return cls(call_id, flags, auth)

    def encode(self) -> bytes:
        """The whole PDU."""
        return close_pdu(self.ptype, self.flags, self.call_id, b"", self.auth)


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

_DECODERS: Mapping[int, Callable[[bytes], Pdu]] = {kind.ptype: kind.decode for kind in get_args(Pdu)}


def decode(pdu: bytes) -> Pdu:
    """The one whole PDU in ``pdu``, by its type."""
    decoder = _DECODERS.get(pdu[2]) if len(pdu) >= HEADER_SIZE else None
    if decoder is None:
        size = frag_length(pdu)
        raise WireError("PTYPE", 2, f"{pdu[2]} ({size} bytes) is not a PDU of an association")
    return decoder(pdu)
