"""The client role of one RPC connection, whatever carries it ([C706] 9 to 12, [MS-RPCE] 3.3.1 and 3.3.2).

Sans-IO: PDUs go in, events come out, ``pdus_to_send`` gives what is to be sent, in order.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from loadgen.errors import BindRefused, LocalProtocolError, PeerError, RemoteProtocolError, RpcFault, named
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted, Event, ShutdownRequested
from loadgen.protocol.security import NO_SECURITY, Security
from loadgen.wire import pdu as wire
from loadgen.wire.pdu import AuthVerifier, PduType, SyntaxId

MAX_FRAGMENT: Final = 5840
"""What Windows offers as max_xmit_frag and max_recv_frag."""
MIN_FRAGMENT: Final = 1432
"""What every implementation must be able to receive ([C706] 12.6.3.1, MustRecvFragSize)."""
MAX_RESPONSE: Final = 4 << 20
"""The longest stub of an answer that is put together from fragments."""
MAX_CALL_ID: Final = 0x7FFFFFFF

_FEATURES: Final = wire.bind_time_features(
    wire.SECURITY_CONTEXT_MULTIPLEXING | wire.KEEP_CONNECTION_ON_ORPHAN
)
_REASONS: Final = {
    wire.ABSTRACT_SYNTAX_NOT_SUPPORTED: "the interface is not supported",
    wire.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED: "its encoding is not supported",
    wire.LOCAL_LIMIT_EXCEEDED: "a limit of the server is exceeded",
}
_NAK_REASONS: Final = {
    1: "temporary congestion",
    2: "a limit of the server is exceeded",
    4: "the protocol version is not supported",
    8: "the authentication type is not recognised",
    9: "invalid checksum",
}


class State(Enum):
    """How far an association has come."""

    UNBOUND = "unbound"
    BINDING = "waiting for bind_ack"
    ALTERING = "waiting for alter_context_resp"
    BOUND = "bound"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[State, Mapping[int, State]]] = {
    State.UNBOUND: {},
    State.BINDING: {PduType.BIND_ACK: State.BOUND, PduType.BIND_NAK: State.CLOSED},
    State.ALTERING: {
        PduType.ALTER_CONTEXT_RESPONSE: State.BOUND,
        PduType.RESPONSE: State.ALTERING,
        PduType.FAULT: State.ALTERING,
        PduType.SHUTDOWN: State.ALTERING,
    },
    State.BOUND: {
        PduType.RESPONSE: State.BOUND,
        PduType.FAULT: State.BOUND,
        PduType.SHUTDOWN: State.BOUND,
    },
    State.CLOSED: {},
}
"""Which types of PDU may come in each state, and the state after it; anything else is a protocol error."""


_NONE_ABANDONED: Final[frozenset[int]] = frozenset()
_NONE_SECURED: Final[Mapping[int, Security]] = {}


class _Call(NamedTuple):
    """A call that waits for its turn. It is protected only then, since signatures are numbered."""

    context_id: int
    opnum: int
    stub: bytes
    security: Security


class Association:
    """One RPC connection as its client sees it.

    After :meth:`bind`, and after each :meth:`alter_context`, the event ContextsAccepted says that all
    interfaces asked for can be called. A server may answer fewer contexts than were offered: the others are
    asked for again, one by one. Without PFC_CONC_MPX from the server, calls wait here for each other.

    ``security`` is what calls are protected by; :meth:`secure` adds others. ``header_signing`` says whether
    the server, too, signs headers where it would be free not to.
    """

    __slots__ = (
        "_abandoned",
        "_calls",
        "_contexts",
        "_establishing",
        "_last_call_id",
        "_max_xmit",
        "_negotiation_id",
        "_others",
        "_outgoing",
        "_secured",
        "_security",
        "_unanswered",
        "_waiting",
        "concurrent",
        "features",
        "group_id",
        "header_signing",
        "state",
    )

    def __init__(self, security: Security = NO_SECURITY) -> None:
        self.state = State.UNBOUND
        self.concurrent = False
        self.features = 0
        self.group_id = 0
        self.header_signing = False
        self._security = security
        self._others: tuple[Security, ...] = ()
        self._secured: Mapping[int, Security] = _NONE_SECURED
        self._establishing: Security | None = None
        self._contexts: tuple[SyntaxId, ...] = ()
        self._unanswered: tuple[SyntaxId, ...] = ()
        self._negotiation_id = 0
        self._last_call_id = 0
        self._max_xmit = MAX_FRAGMENT
        self._calls: dict[int, bytearray | None] = {}
        self._abandoned = _NONE_ABANDONED
        self._waiting: dict[int, _Call] | None = None
        self._outgoing: tuple[bytes, ...] = ()

    def bind(self, interfaces: Sequence[SyntaxId], group_id: int = 0) -> None:
        """Open the association for ``interfaces``; ``group_id`` joins the group of another connection."""
        if self.state is not State.UNBOUND or not interfaces:
            raise LocalProtocolError(f"bind of {len(interfaces)} interfaces, {self.state.value}")
        self.state = State.BINDING
        self._contexts = (*interfaces, _FEATURES)
        self._negotiation_id = self._next_call_id()
        contexts = (
            *(wire.PresentationContext(index, interface) for index, interface in enumerate(interfaces)),
            wire.PresentationContext(len(interfaces), interfaces[0], (_FEATURES,)),
        )
        bind = wire.Bind(
            self._negotiation_id,
            MAX_FRAGMENT,
            MAX_FRAGMENT,
            group_id,
            contexts,
            wire.WHOLE | wire.CONC_MPX,
            self._security.first_leg(),
        )
        if bind.auth is not None:
            self._establishing = self._security
            bind = replace(bind, flags=bind.flags | wire.SUPPORT_HEADER_SIGN)
        self._outgoing += (bind.encode(),)

    def alter_context(self, interfaces: Sequence[SyntaxId]) -> None:
        """Ask for more interfaces."""
        if self.state is not State.BOUND or not interfaces:
            raise LocalProtocolError(f"alter_context of {len(interfaces)} interfaces, {self.state.value}")
        self._contexts += tuple(interfaces)
        self._alter_on(tuple(interfaces))

    def secure(self, security: Security) -> None:
        """Establish one more security context; the event ContextsAccepted says that calls may use it."""
        established = (self._security, *self._others)
        if self.state is not State.BOUND or security.context_id in {
            other.context_id for other in established
        }:
            raise LocalProtocolError(f"security context {security.context_id}, {self.state.value}")
        self._others += (security,)
        self._establishing = security
        self._negotiate(self._contexts[0], security.first_leg())

    def context_id(self, interface: SyntaxId) -> int:
        """The number of the presentation context of an interface that was asked for."""
        try:
            return self._contexts.index(interface)
        except ValueError:
            raise LocalProtocolError(f"{_name(interface)} was not asked for") from None

    def call(self, context_id: int, opnum: int, stub: bytes, security: Security | None = None) -> int:
        """Queue a call; the events of its answer carry the number that is returned.

        ``security`` is one that :meth:`secure` has established, if not that of the bind.
        """
        if self.state is not State.BOUND and self.state is not State.ALTERING:
            raise LocalProtocolError(f"call of opnum {opnum}, {self.state.value}")
        call_id = self._next_call_id()
        call = _Call(context_id, opnum, stub, security or self._security)
        if call.security is not self._security:
            self._secured = {**self._secured, call_id: call.security}
        if self.concurrent or not (self._calls or self._waiting):
            self._begin(call_id, call)
        else:
            if self._waiting is None:
                self._waiting = {}
            self._waiting[call_id] = call
        return call_id

    def cancel(self, call_id: int) -> None:
        """Ask the server to end a call early; its answer is still to come ([C706] 9.3.3)."""
        if call_id not in self._calls:
            raise LocalProtocolError(f"cancel of call {call_id}, which is not outstanding")
        self._outgoing += (wire.CoCancel(call_id).encode(),)

    def orphan(self, call_id: int) -> None:
        """Stop waiting for a call and tell the server so.

        A server that did not grant KEEP_CONNECTION_ON_ORPHAN in ``features`` may close the connection for it.
        """
        if call_id in self._calls:
            self._outgoing += (wire.Orphaned(call_id).encode(),)
        self.abandon(call_id)

    def abandon(self, call_id: int) -> None:
        """Stop waiting for a call without a word: a late answer is dropped."""
        if self._waiting and self._waiting.pop(call_id, None):
            self._forget_security(call_id)
            return
        if call_id not in self._calls:
            raise LocalProtocolError(f"call {call_id} is not outstanding")
        self._abandoned |= {call_id}
        self._finish(call_id)

    def pdus_to_send(self) -> tuple[bytes, ...]:
        """All that was queued, once."""
        pdus, self._outgoing = self._outgoing, ()
        return pdus

    def receive_pdu(self, pdu: bytes) -> list[Event]:
        """Take one PDU and say what it means.

        Raises :class:`BindRefused`, or another :class:`~loadgen.errors.PeerError` if the PDU is wrong or
        comes at the wrong time; the association is closed then.
        """
        try:
            return self._receive(pdu)
        except PeerError:
            self.state = State.CLOSED
            raise

    def _receive(self, pdu: bytes) -> list[Event]:
        state = TRANSITIONS[self.state].get(wire.pdu_type(pdu))
        if state is None:
            raise RemoteProtocolError(f"PDU type {wire.pdu_type(pdu)}, {self.state.value}")
        message = self._secured.get(wire.call_id(pdu), self._security).unwrap(pdu)
        self.state = state
        match message:
            case wire.Response():
                return self._on_response(message)
            case wire.Fault():
                return self._on_fault(message)
            case wire.BindAck():
                return self._on_bind_ack(message)
            case wire.AlterContextResponse():
                return self._on_alter_context_response(message)
            case wire.BindNak():
                reason = _NAK_REASONS.get(message.reason, f"reason {message.reason}")
                raise BindRefused(f"bind of {_name(self._contexts[0])} refused: {reason}")
            case _:
                return [ShutdownRequested()]

    def _on_response(self, response: wire.Response) -> list[Event]:
        call_id, flags, stub = response.call_id, response.flags, response.stub
        if call_id not in self._calls:
            return self._on_stray(call_id, flags)
        begun = self._calls[call_id]
        if bool(flags & wire.FIRST_FRAG) is not (begun is None):
            raise RemoteProtocolError(f"fragments of the answer to call {call_id} are out of order")
        if begun is not None:
            begun += stub
            if len(begun) > MAX_RESPONSE:
                raise RemoteProtocolError(f"the answer to call {call_id} exceeds {MAX_RESPONSE} bytes")
        if not flags & wire.LAST_FRAG:
            self._calls[call_id] = bytearray(stub) if begun is None else begun
            return []
        self._finish(call_id)
        return [CallReturned(call_id, stub if begun is None else bytes(begun))]

    def _on_fault(self, fault: wire.Fault) -> list[Event]:
        call_id = fault.call_id
        if self.state is State.ALTERING and call_id == self._negotiation_id:
            what = _name(self._unanswered[0]) if self._establishing is None else "authentication"
            raise BindRefused(f"{what} refused: fault {named(fault.status)}")
        if call_id not in self._calls:
            return self._on_stray(call_id, wire.LAST_FRAG)
        self._finish(call_id)
        return [CallFaulted(call_id, RpcFault(fault.status))]

    def _on_stray(self, call_id: int, flags: int) -> list[Event]:
        """An answer that nobody waits for: fine if that is because its call was abandoned."""
        if call_id not in self._abandoned:
            raise RemoteProtocolError(f"answer to call {call_id}, which is not outstanding")
        if flags & wire.LAST_FRAG:
            self._abandoned -= {call_id}
            self._forget_security(call_id)
        return []

    def _on_bind_ack(self, ack: wire.BindAck) -> list[Event]:
        self._check_negotiation(ack.call_id)
        if ack.max_recv_frag < MIN_FRAGMENT:
            raise RemoteProtocolError(f"max_recv_frag {ack.max_recv_frag} is less than {MIN_FRAGMENT}")
        *interfaces, features = self._contexts
        if len(ack.results) > len(self._contexts):
            raise RemoteProtocolError(f"{len(ack.results)} results for {len(self._contexts)} contexts")
        self._max_xmit = min(MAX_FRAGMENT, ack.max_recv_frag)
        self.concurrent = bool(ack.flags & wire.CONC_MPX)
        self.group_id = ack.assoc_group_id
        self.header_signing = bool(ack.flags & wire.SUPPORT_HEADER_SIGN)
        for context, result in zip(self._contexts, ack.results, strict=False):
            if context is not features:
                _check_result(context, result)
            elif result.result == wire.NEGOTIATE_ACK:
                self.features = result.reason
        self._unanswered = tuple(interfaces[len(ack.results) :])
        return self._authenticate(ack.auth)

    def _on_alter_context_response(self, response: wire.AlterContextResponse) -> list[Event]:
        self._check_negotiation(response.call_id)
        if len(response.results) != 1:
            raise RemoteProtocolError(f"{len(response.results)} results for 1 context")
        if self._establishing is not None:
            _check_result(self._contexts[0], response.results[0])
            return self._authenticate(response.auth)
        _check_result(self._unanswered[0], response.results[0])
        return self._alter_on(self._unanswered[1:])

    def _check_negotiation(self, call_id: int) -> None:
        if call_id != self._negotiation_id:
            raise RemoteProtocolError(f"answer to negotiation {call_id}")

    def _alter_on(self, unanswered: tuple[SyntaxId, ...]) -> list[Event]:
        """Ask for the first of these interfaces; one at a time, as some servers look no further."""
        self._unanswered = unanswered
        if not unanswered:
            return [ContextsAccepted()]
        self._negotiate(unanswered[0])
        return []

    def _authenticate(self, auth: AuthVerifier | None) -> list[Event]:
        """Say the next leg of the security context that is being established, if there is one."""
        security = self._establishing
        if security is None:
            return self._alter_on(self._unanswered)
        leg = security.answer(auth)
        if leg is not None and security.answered:
            self._negotiate(self._contexts[0], leg)
            return []
        if leg is not None:
            flags = wire.WHOLE | wire.SUPPORT_HEADER_SIGN
            self._outgoing += (wire.Auth3(self._negotiation_id, leg, flags).encode(),)
        self._establishing = None
        return self._alter_on(self._unanswered)

    def _negotiate(self, interface: SyntaxId, auth: AuthVerifier | None = None) -> None:
        """Send an alter_context, for an interface or for a leg of authentication."""
        self.state = State.ALTERING
        self._negotiation_id = self._next_call_id()
        context = wire.PresentationContext(self.context_id(interface), interface)
        alter = wire.AlterContext(
            self._negotiation_id, MAX_FRAGMENT, MAX_FRAGMENT, self.group_id, (context,), auth=auth
        )
        self._outgoing += (alter.encode(),)

    def _next_call_id(self) -> int:
        if self._last_call_id == MAX_CALL_ID:
            raise LocalProtocolError("all call_ids of the connection are used up")
        self._last_call_id += 1
        return self._last_call_id

    def _begin(self, call_id: int, call: _Call) -> None:
        self._calls[call_id] = None
        self._outgoing += tuple(self._fragments(call_id, call))

    def _fragments(self, call_id: int, call: _Call) -> Iterator[bytes]:
        """The request PDUs of a call; the stub is cut at multiples of 8 ([C706] 12.6.2), 16 if protected."""
        context_id, opnum, stub, security = call
        wrap = security.wrap
        trailer = security.trailer(self._contexts[context_id])
        if trailer:
            stub += bytes(-len(stub) % 4) + trailer
        room = self._max_xmit - wire.CALL_HEADER_SIZE - security.overhead
        room -= room % security.alignment
        if len(stub) <= room:
            yield wrap(wire.Request(call_id, context_id, opnum, stub))
            return
        for start in range(0, len(stub), room):
            left = len(stub) - start
            flags = wire.LAST_FRAG if left <= room else 0
            if start == 0:
                flags |= wire.FIRST_FRAG
            part = stub[start : start + room]
            yield wrap(wire.Request(call_id, context_id, opnum, part, flags, alloc_hint=left))

    def _finish(self, call_id: int) -> None:
        """A call is over; on a connection that carries one at a time it is the next one's turn."""
        del self._calls[call_id]
        if call_id not in self._abandoned:
            self._forget_security(call_id)
        if self._waiting:
            call_id = next(iter(self._waiting))
            self._begin(call_id, self._waiting.pop(call_id))

    def _forget_security(self, call_id: int) -> None:
        """No more answers are to come under the security of this call."""
        if call_id in self._secured:
            self._secured = {other: security for other, security in self._secured.items() if other != call_id}


def _check_result(interface: SyntaxId, result: wire.ContextResult) -> None:
    if result.result != wire.ACCEPTANCE:
        reason = _REASONS.get(result.reason, f"result {result.result}, reason {result.reason}")
        raise BindRefused(f"{_name(interface)} refused: {reason}")
    if result.transfer_syntax != wire.NDR:
        raise RemoteProtocolError(f"{_name(interface)} accepted in an encoding that was not offered")


def _name(interface: SyntaxId) -> str:
    version = f"{interface.version & 0xFFFF}.{interface.version >> 16}"
    return f"interface {UUID(bytes_le=interface.uuid)} {version}"
