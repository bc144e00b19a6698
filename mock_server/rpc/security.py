"""Who calls, and how well that is protected ([MS-RPCE] 3.3): the security contexts of an association."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from msgspec.structs import replace

from loadgen.errors import PeerError, RemoteProtocolError, RpcFault
from loadgen.wire.pdu import CALL_HEADER_SIZE, AuthVerifier, Request, Response
from mock_server.counters import RpcStatistics
from mock_server.rpc.dispatch import ACCESS_DENIED, UNSUPPORTED_LEVEL, CallContext
from mock_server.security.accounts import LogonProblem, LogonRefused
from mock_server.security.negotiation import Acceptor, SpnegoAcceptor
from mock_server.security.ntlm import NtlmAcceptor, NtlmServer
from mock_server.security.ntlm_session import TOKEN_SIZE, NtlmSession

SPNEGO: Final = 9
NTLM: Final = 10
LEVEL_NONE: Final = 1
LEVEL_CONNECT: Final = 2
LEVEL_INTEGRITY: Final = 5
LEVEL_PRIVACY: Final = 6
LEVELS: Final[Mapping[str, int]] = {
    "none": LEVEL_NONE,
    "connect": LEVEL_CONNECT,
    "integrity": LEVEL_INTEGRITY,
    "privacy": LEVEL_PRIVACY,
}

ANONYMOUS: Final = "ANONYMOUS LOGON"
"""The user of a context on which a client has proven nothing; nobody's logon name."""

_ACCEPTORS: Final[Mapping[int, Callable[[NtlmServer], Acceptor]]] = {
    NTLM: NtlmAcceptor,
    SPNEGO: SpnegoAcceptor,
}
_SUPPORTED_LEVELS: Final = frozenset((LEVEL_CONNECT, LEVEL_INTEGRITY, LEVEL_PRIVACY))
_TRAILER_SIZE: Final = 8
_ALIGNMENT: Final = 16


class RpcSecurity(msgspec.Struct, frozen=True):
    """How a server's endpoints take part; ``minimum`` is the lowest level of calls."""

    server: NtlmServer
    minimum: int = LEVEL_NONE
    header_signing: bool = True


class Caller:
    """Somebody who calls without security."""

    level = LEVEL_NONE
    protects = False
    overhead = 0
    alignment = 8

    def __init__(self, context: CallContext) -> None:
        self.context = context

    def open(self, _pdu: bytes, request: Request) -> Request:
        """A request, of which nothing is protected."""
        return request

    def close(self, response: Response) -> bytes:
        """A whole response PDU."""
        return response.encode()


class SecurityContext(Caller):
    """One context of an association, from its first token on; ``context`` counts once it is ``usable``.

    What is added to each response takes ``overhead`` bytes, and a multiple of ``alignment`` of its stub needs
    no padding.
    """

    alignment = _ALIGNMENT

    def __init__(
        self, server: NtlmServer, verifier: AuthVerifier, context: CallContext, statistics: RpcStatistics
    ) -> None:
        super().__init__(replace(context, user=ANONYMOUS))
        self.usable = False
        self.auth_type = verifier.auth_type
        self.level = verifier.auth_level
        self.protects = self.level != LEVEL_CONNECT
        self.overhead = _TRAILER_SIZE + TOKEN_SIZE if self.protects else 0
        self._context_id = verifier.auth_context_id
        self._statistics = statistics
        self._acceptor = _ACCEPTORS[verifier.auth_type](server)
        self._session: NtlmSession | None = None

    def check(self, verifier: AuthVerifier) -> None:
        """Raises :class:`RpcFault` unless a later verifier is of the type and level of the first."""
        if verifier.auth_type != self.auth_type:
            raise RpcFault(ACCESS_DENIED)
        if verifier.auth_level != self.level:
            raise RpcFault(UNSUPPORTED_LEVEL)

    def step(self, token: bytes) -> AuthVerifier:
        """What answers a token; raises :class:`PeerError`, upon which the context is never usable."""
        self.usable = False
        try:
            answer = self._acceptor.step(token)
            if self._acceptor.complete:
                self._finish(self._acceptor)
        except LogonRefused as refusal:
            self._statistics.refused_logons[refusal.problem.name] += 1
            raise
        return self._verifier(answer)

    def _finish(self, acceptor: Acceptor) -> None:
        if self.protects and acceptor.session is None:
            raise LogonRefused(LogonProblem.BAD_TOKEN)
        self._session = acceptor.session
        if acceptor.user is not None:
            self.context = replace(self.context, user=acceptor.user.alias)
        self.usable = True

    def open(self, pdu: bytes, request: Request) -> Request:
        """The request in ``pdu`` in plain text; raises
        :class:`~mock_server.security.ntlm_session.BadSignature`.
        """
        if not self.protects or request.auth is None:
            return request
        session = self._agreed
        end = len(pdu) - len(request.auth.token)
        body_end = end - _TRAILER_SIZE
        start = body_end - len(request.auth.padding) - len(request.stub)
        body = pdu[start:body_end]
        if self.level == LEVEL_PRIVACY:
            body = session.incoming.crypt(body)
        session.incoming.check(pdu[:start] + body + pdu[body_end:end], pdu[end:])
        return replace(request, stub=body[: len(request.stub)])

    def close(self, response: Response) -> bytes:
        """A whole response PDU, signed and sealed."""
        if not self.protects:
            return response.encode()
        session = self._agreed
        verifier = replace(self._verifier(bytes(TOKEN_SIZE)), padding=bytes(-len(response.stub) % _ALIGNMENT))
        pdu = replace(response, auth=verifier).encode()
        end = len(pdu) - TOKEN_SIZE
        body_end = end - _TRAILER_SIZE
        body = pdu[CALL_HEADER_SIZE:body_end]
        if self.level == LEVEL_PRIVACY:
            body = session.outgoing.crypt(body)
        return pdu[:CALL_HEADER_SIZE] + body + pdu[body_end:end] + session.outgoing.token(pdu[:end])

    def _verifier(self, token: bytes) -> AuthVerifier:
        return AuthVerifier(self.auth_type, self.level, self._context_id, token)

    @property
    def _agreed(self) -> NtlmSession:
        if self._session is None:
            raise RemoteProtocolError("a protected PDU before its security context was agreed")
        return self._session


class SecurityContexts:
    """All security contexts of one association; ``anybody`` calls outside of them.

    ``security`` None is a server that knows no security at all, ``spnego`` says whether it knows that. Where
    nobody ``proves`` to be anybody a handshake seems to go well, and calls are refused.
    """

    def __init__(
        self,
        security: RpcSecurity | None,
        context: CallContext,
        statistics: RpcStatistics,
        *,
        spnego: bool = True,
        proves: bool = True,
    ) -> None:
        self._types = frozenset((NTLM, SPNEGO) if spnego else (NTLM,))
        self._proves = proves
        self._anybody = Caller(context)
        self._security = security
        self._statistics = statistics
        self._contexts: dict[int, SecurityContext] = {}

    def is_supported(self, verifier: AuthVerifier) -> bool:
        """Whether a context of this type and level can be had here."""
        known = verifier.auth_type in self._types and verifier.auth_level in _SUPPORTED_LEVELS
        return known and self._security is not None

    def negotiate(self, verifier: AuthVerifier) -> AuthVerifier:
        """The answer to a leg in a bind or alter_context, whichever it is; raises :class:`PeerError`."""
        if self._security is None or not self.is_supported(verifier):
            raise RpcFault(ACCESS_DENIED)
        context = self._contexts.get(verifier.auth_context_id)
        if context is None:
            server, call_context = self._security.server, self._anybody.context
            context = SecurityContext(server, verifier, call_context, self._statistics)
            self._contexts[verifier.auth_context_id] = context
        context.check(verifier)
        return context.step(verifier.token)

    def conclude(self, verifier: AuthVerifier) -> None:
        """An auth3, which has no answer: what is wrong with it shows at the next request.

        Raises :class:`RemoteProtocolError` if no context waits for it.
        """
        context = self._contexts.get(verifier.auth_context_id)
        if context is None:
            raise RemoteProtocolError("an auth3 of no security context")
        with suppress(PeerError):
            context.check(verifier)
            context.step(verifier.token)

    def caller(self, request: Request) -> Caller:
        """Whose call a fragment is, the level agreed in the bind; raises :class:`RpcFault` if nobody's."""
        if request.auth is None:
            return self._caller_without_verifier()
        context = self._contexts.get(request.auth.auth_context_id)
        if context is None or not context.usable or not self._proves:
            raise RpcFault(ACCESS_DENIED)
        context.check(request.auth)
        return context

    def _caller_without_verifier(self) -> Caller:
        """At level connect nothing is protected, so clients leave the verifier out."""
        if not self._contexts:
            return self._anybody
        for context in self._contexts.values():
            if context.level == LEVEL_CONNECT and context.usable and self._proves:
                return context
        raise RpcFault(ACCESS_DENIED)
