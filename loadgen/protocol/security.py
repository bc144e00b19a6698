"""What protects the calls of an association ([MS-RPCE] 2.2.1.1.8 and 3.3.1.5.2): its client's side.

With NTLM the whole PDU is signed, header and trailer too, whether or not header signing was agreed upon.
"""

from struct import Struct
from typing import Final, Literal, Protocol, TypeAlias

from msgspec.structs import replace

from loadgen.errors import RemoteProtocolError, WireError
from loadgen.protocol.security_context import Mechanism, SecurityContext
from loadgen.wire import pdu as wire
from loadgen.wire.pdu import AuthVerifier, PduType, SyntaxId
from loadgen.wire.verification_trailer import CLIENT_SUPPORT_HEADER_SIGNING, VerificationTrailer

Level: TypeAlias = Literal["none", "connect", "integrity", "privacy"]

CONNECT: Final = 2
INTEGRITY: Final = 5
PRIVACY: Final = 6
_LEVELS: Final = {"connect": CONNECT, "integrity": INTEGRITY, "privacy": PRIVACY}
_AUTH_TYPES: Final[dict[Mechanism, int]] = {"negotiate": 9, "ntlm": 10}

_ALIGNMENT: Final = 16
_TRAILER = Struct("<BBBxI")
_HEADER: Final = slice(0, wire.CALL_HEADER_SIZE)


class Security(Protocol):
    """The security context of an association.

    ``overhead`` is how many bytes protection adds to a request, and ``alignment`` what its stub is filled up
    to. ``answered`` says whether the server answers each leg; if not, the third one goes in an rpc_auth_3.
    ``context_id`` tells the contexts of one association apart. What takes something from the server raises
    :class:`~loadgen.errors.PeerError` if it is wrong.
    """

    context_id: int
    overhead: int
    alignment: int
    answered: bool

    def first_leg(self) -> AuthVerifier | None:
        """What the bind carries; None if there is no security."""

    def answer(self, auth: AuthVerifier | None) -> AuthVerifier | None:
        """The next leg after what the server said; None if both have said all."""

    def trailer(self, interface: SyntaxId, /) -> bytes:
        """What goes behind the stub of the first call of an interface."""

    def wrap(self, request: wire.Request) -> bytes:
        """A request as it goes on the wire; those of a context go there in this order."""

    def unwrap(self, pdu: bytes) -> wire.Pdu:
        """A PDU as it was meant."""


class NoSecurity:
    """Authentication level none: no verifiers."""

    __slots__ = ()
    context_id = 0
    overhead = 0
    alignment = 8
    answered = True

    def first_leg(self) -> None:
        """Nothing."""

    def answer(self, auth: AuthVerifier | None) -> None:
        """Nothing; what a server says unasked is ignored."""

    def trailer(self, _interface: SyntaxId) -> bytes:
        """Nothing."""
        return b""

    def wrap(self, request: wire.Request) -> bytes:
        """The request as it is."""
        return request.encode()

    def unwrap(self, pdu: bytes) -> wire.Pdu:
        """The PDU as it is."""
        return wire.decode(pdu)


NO_SECURITY: Final = NoSecurity()


class RpcSecurity:
    """Authentication at connect, integrity or privacy level, with NTLM or SPNEGO.

    At connect level only the association is authenticated: calls are bare, and a server's trailers are
    ignored. With ``verification`` the first call of each interface repeats under the signature what was
    agreed upon ([MS-RPCE] 2.2.2.13).
    """

    __slots__ = (
        "_auth_type",
        "_context",
        "_level",
        "_verification",
        "_verified",
        "answered",
        "context_id",
        "overhead",
    )
    alignment = _ALIGNMENT

    def __init__(
        self,
        level: Literal["connect", "integrity", "privacy"],
        context: SecurityContext,
        *,
        context_id: int = 1,
        verification: bool = False,
    ) -> None:
        self.context_id = context_id
        self.overhead = 0
        self.answered = context.mechanism != "ntlm"
        self._context = context
        self._level = _LEVELS[level]
        self._auth_type = _AUTH_TYPES[context.mechanism]
        self._verification = verification and self._level >= INTEGRITY
        self._verified: frozenset[SyntaxId] = frozenset()

    def first_leg(self) -> AuthVerifier:
        """The first token."""
        return self._verifier(self._context.first_token())

    def answer(self, auth: AuthVerifier | None) -> AuthVerifier | None:
        """The next token, if there is one to send."""
        context = self._context
        said = b""
        if auth is not None:
            self._check(auth)
            said = context.answer(auth.token)
        if not said and not context.complete:
            raise RemoteProtocolError("the server leaves the authentication unfinished")
        if context.complete and self._level >= INTEGRITY:
            if not context.signs or (self._level == PRIVACY and not context.seals):
                raise RemoteProtocolError(f"the server does not agree to rpc_security at level {self._level}")
            self.overhead = _TRAILER.size + context.token_size(sealed=self._level == PRIVACY)
        return self._verifier(said) if said else None

    def trailer(self, interface: SyntaxId) -> bytes:
        """The verification trailer, once for each interface."""
        if not self._verification or interface in self._verified:
            return b""
        self._verified |= {interface}
        return VerificationTrailer(CLIENT_SUPPORT_HEADER_SIGNING, (interface, wire.NDR)).encode()

    def wrap(self, request: wire.Request) -> bytes:
        """A request, signed or sealed together with what fills up its stub."""
        if self._level < INTEGRITY:
            return request.encode()
        token_size = self.overhead - _TRAILER.size
        padding = bytes(-len(request.stub) % _ALIGNMENT)
        plain = replace(request, auth=self._verifier(bytes(token_size), padding)).encode()
        end = len(plain) - token_size
        if self._level == INTEGRITY:
            return plain[:end] + self._context.sign(plain[:end])
        start = end - _TRAILER.size
        body, token = self._context.seal(plain[_HEADER], plain[_HEADER.stop : start], plain[start:end])
        return b"".join((plain[_HEADER], body, plain[start:end], token))

    def unwrap(self, pdu: bytes) -> wire.Pdu:
        """An answer, checked and open. A fault may come bare, from a server that has no key."""
        ptype = wire.pdu_type(pdu)
        if self._level < INTEGRITY or ptype not in (PduType.RESPONSE, PduType.FAULT):
            return wire.decode(pdu)
        auth_length = int.from_bytes(pdu[10:12], "little")
        if auth_length:
            return self._open(pdu, len(pdu) - auth_length)
        if ptype == PduType.RESPONSE:
            raise RemoteProtocolError(f"the answer to call {wire.call_id(pdu)} is not signed")
        return wire.decode(pdu)

    def _open(self, pdu: bytes, end: int) -> wire.Pdu:
        start = end - _TRAILER.size
        if start < _HEADER.stop or wire.frag_length(pdu) != len(pdu):
            raise WireError("auth_length", 10, f"{len(pdu) - end} leaves no room for the body")
        auth_type, level, _, context_id = _TRAILER.unpack_from(pdu, start)
        self._check(AuthVerifier(auth_type, level, context_id, b""))
        signed, token = pdu[:end], pdu[end:]
        try:
            if self._level == INTEGRITY:
                self._context.verify(signed, token)
                return wire.decode(pdu)
            body = self._context.unseal(pdu[_HEADER], pdu[_HEADER.stop : start], pdu[start:end], token)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"the answer to call {wire.call_id(pdu)}: {error}") from None
        return wire.decode(b"".join((pdu[_HEADER], body, pdu[start:])))

    def _check(self, auth: AuthVerifier) -> None:
        """That the server speaks of this context."""
        said = auth.auth_type, auth.auth_level, auth.auth_context_id
        ours = self._auth_type, self._level, self.context_id
        if said != ours:
            raise RemoteProtocolError(
                "the verifier is of type {}, level {}, context {}".format(*said)
                + " instead of {}, {}, {}".format(*ours)
            )

    def _verifier(self, token: bytes, padding: bytes = b"") -> AuthVerifier:
        return AuthVerifier(self._auth_type, self._level, self.context_id, token, padding)
