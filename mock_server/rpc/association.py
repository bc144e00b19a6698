"""The server's side of one RPC connection ([C706] 9.3 and 12.6, [MS-RPCE] 3.3): PDUs in, PDUs out."""

from asyncio import Future, ensure_future
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter_ns
from typing import Final, NoReturn, Protocol

from loadgen.errors import PeerError, RemoteProtocolError, RpcFault, WireError
from loadgen.wire.pdu import (
    CALL_HEADER_SIZE,
    CONC_MPX,
    DID_NOT_EXECUTE,
    DREP,
    FIRST_FRAG,
    KEEP_CONNECTION_ON_ORPHAN,
    LAST_FRAG,
    NDR,
    REASON_NOT_SPECIFIED,
    SECURITY_CONTEXT_MULTIPLEXING,
    SUPPORT_HEADER_SIGN,
    WHOLE,
    AlterContext,
    AlterContextResponse,
    Auth3,
    AuthVerifier,
    Bind,
    BindAck,
    BindNak,
    CoCancel,
    Fault,
    Orphaned,
    PduType,
    PresentationContext,
    Request,
    Response,
    decode,
)
from loadgen.wire.verification_trailer import CLIENT_SUPPORT_HEADER_SIGNING, RequestHeader, split_trailer
from mock_server.rpc.dispatch import (
    ACCESS_DENIED,
    BAD_STUB_DATA,
    CANCELLED,
    PROTOCOL_ERROR,
    SECURITY_PACKAGE_ERROR,
    AssociationGroup,
    CallContext,
    Method,
)
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpc.presentation import PresentationContexts
from mock_server.rpc.security import Caller, SecurityContexts
from mock_server.rpch.leg import NOBODY, HttpCaller

AUTHENTICATION_TYPE_NOT_RECOGNISED: Final = 8
INVALID_CHECKSUM: Final = 9
"""Reasons of a bind_nak ([MS-RPCE] 2.2.2.5)."""

_MUST_RECEIVE: Final = 1432
_LARGEST_STUB: Final = 4 << 20
_LARGEST_CALL_ID: Final = 0x7FFFFFFF
_FORGOTTEN_CALLS: Final = 150
_FEATURES: Final = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN


class _Call:
    """A request: whose, for what, and as much of its stub as has come."""

    __slots__ = ("call_id", "caller", "context_id", "method", "opnum", "size", "stubs")

    def __init__(self, first: Request, method: Method, caller: Caller) -> None:
        self.call_id = first.call_id
        self.context_id = first.context_id
        self.opnum = first.opnum
        self.method = method
        self.caller = caller
        self.stubs = [first.stub]
        self.size = len(first.stub)

    def add(self, request: Request) -> None:
        """A later fragment."""
        self.stubs.append(request.stub)
        self.size += len(request.stub)


class Association:
    """One connection of a client, from its bind to its end.

    ``send`` takes each PDU that is to go, whenever an answer is ready. ``client_group`` is the RTS
    AssociationGroupId of the virtual connection, b"" without RTS, and ``caller`` whom HTTP knows on it. What
    a client may not send raises :class:`RemoteProtocolError` or :class:`WireError`, and the owner closes the
    connection and calls :meth:`lost`, as it does when the client goes.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        send: Callable[[bytes], None],
        client_group: bytes = b"",
        caller: HttpCaller = NOBODY,
    ) -> None:
        self._endpoint = endpoint
        self._manners = endpoint.manners
        self._caller = caller
        self._statistics = endpoint.statistics
        self._send = send
        self._client_group = client_group
        self._group: AssociationGroup | None = None
        self._security: SecurityContexts | None = None
        self._contexts = PresentationContexts(endpoint, _FEATURES)
        self._multiplexed = False
        self._client_signs_headers = False
        self._max_send = self._max_receive = self._manners.max_fragment
        self._last_call_id = -1
        self._partial: _Call | None = None
        self._parked: dict[int, Future[bytes]] = {}

    def receive_pdu(self, pdu: bytes) -> None:
        """One whole PDU from the client."""
        self._statistics.packets_in += 1
        if self._security is None or self._group is None:
            self._expect_bind(pdu)
        elif pdu[2] == PduType.REQUEST:
            self._request(pdu, self._security)
        else:
            self._control(pdu, self._security, self._group)

    def lost(self) -> None:
        """The connection has gone: waiting calls end, and with the group's last one its context handles."""
        parked, self._parked = self._parked, {}
        for future in parked.values():
            future.cancel()
        group, self._group = self._group, None
        self._security = None
        if group is not None:
            self._endpoint.leave(group)

    def _expect_bind(self, pdu: bytes) -> None:
        if pdu[2] == PduType.REQUEST and self._manners.unbound is not None:
            self._fault(Request.decode(pdu).call_id, 0, self._manners.unbound)
            return
        if pdu[2] != PduType.BIND:
            raise RemoteProtocolError(f"PDU type {pdu[2]} before bind")
        bind = Bind.decode(pdu)
        group = self._endpoint.join(bind.assoc_group_id, self._client_group)
        if group is None:
            self._transmit(BindNak(bind.call_id, REASON_NOT_SPECIFIED))
            return
        user = self._caller.user if self._manners.http_user else ""
        context = CallContext(user, group, self._endpoint.server_name)
        security = SecurityContexts(
            self._endpoint.security,
            context,
            self._statistics,
            spnego=self._manners.spnego,
            proves=self._caller.by_password or not self._manners.basic_alone,
        )
        verifier, reason = _first_leg(bind.auth, security)
        if reason is not None:
            self._endpoint.leave(group)
            self._transmit(BindNak(bind.call_id, reason))
            return
        self._group, self._security = group, security
        self._multiplexed = bool(bind.flags & CONC_MPX)
        self._client_signs_headers = bool(bind.flags & SUPPORT_HEADER_SIGN)
        largest = self._manners.max_fragment
        self._max_send = max(_MUST_RECEIVE, min(largest, bind.max_recv_frag))
        if not self._manners.fixed_fragment:
            self._max_receive = max(_MUST_RECEIVE, min(largest, bind.max_xmit_frag))
        self._transmit(
            BindAck(
                bind.call_id,
                self._max_send,
                self._max_receive,
                group.group_id,
                self._endpoint.secondary_address,
                tuple(self._contexts.negotiate(proposed) for proposed in self._heard(bind.contexts)),
                WHOLE | bind.flags & (CONC_MPX | self._header_signing(verifier)),
                verifier,
                self._manners.trailer if verifier is None else b"",
            )
        )

    def _heard(self, contexts: tuple[PresentationContext, ...]) -> tuple[PresentationContext, ...]:
        """Those that are looked at."""
        return contexts[:1] if self._manners.one_context else contexts

    def _header_signing(self, verifier: AuthVerifier | None) -> int:
        """The flag that a server echoes if it knows security and has nothing against signed headers."""
        security = self._endpoint.security
        agreed = verifier is not None and security is not None and security.header_signing
        return SUPPORT_HEADER_SIGN if agreed else 0

    def _control(self, pdu: bytes, security: SecurityContexts, group: AssociationGroup) -> None:
        match decode(pdu):
            case AlterContext() as alter:
                self._alter_context(alter, security, group)
            case Auth3() as auth3:
                security.conclude(auth3.auth)
            case CoCancel(call_id):
                future = self._parked.get(call_id)
                if future is not None:
                    future.cancel()
                if self._manners.cancel_clears:
                    self._contexts.clear()
            case Orphaned(call_id):
                self._abandon(call_id)
            case unexpected:
                raise RemoteProtocolError(f"{type(unexpected).__name__} from a client")

    def _alter_context(
        self, alter: AlterContext, security: SecurityContexts, group: AssociationGroup
    ) -> None:
        verifier = None
        if alter.auth is not None:
            try:
                verifier = security.negotiate(alter.auth)
            except PeerError as error:
                self._fault(alter.call_id, 0, error.status if isinstance(error, RpcFault) else ACCESS_DENIED)
                raise
        self._transmit(
            AlterContextResponse(
                alter.call_id,
                self._max_send,
                self._max_receive,
                group.group_id,
                b"",
                tuple(self._contexts.accept(proposed) for proposed in self._heard(alter.contexts)),
                WHOLE | alter.flags & self._header_signing(verifier),
                verifier,
                self._manners.trailer if verifier is None else b"",
            )
        )

    def _request(self, pdu: bytes, security: SecurityContexts) -> None:
        request = Request.decode(pdu)
        if CALL_HEADER_SIZE + len(request.stub) > self._max_receive:
            self._break(request, f"a fragment with {len(request.stub)} bytes of stub")
        try:
            caller = security.caller(request)
            request = caller.open(pdu, request)
        except RpcFault as refusal:
            self._refuse(request, refusal.status)
            return
        except RemoteProtocolError:
            self._fault(request.call_id, request.context_id, SECURITY_PACKAGE_ERROR, DID_NOT_EXECUTE)
            raise
        if request.flags & FIRST_FRAG:
            self._begin(request, caller)
        else:
            self._continue(request, caller)

    def _refuse(self, request: Request, status: int) -> None:
        """Nobody's call: its first fragment is answered, its others are passed over."""
        if request.flags & FIRST_FRAG:
            self._last_call_id = max(self._last_call_id, request.call_id)
            self._fault(request.call_id, request.context_id, status, DID_NOT_EXECUTE)

    def _begin(self, request: Request, caller: Caller) -> None:
        call_id = request.call_id
        if not self._last_call_id < call_id <= _LARGEST_CALL_ID:
            self._break(request, f"call {call_id} after call {self._last_call_id}")
        if self._partial is not None:
            self._break(request, f"call {call_id} amid the fragments of call {self._partial.call_id}")
        if self._parked and not self._multiplexed:
            self._break(request, f"call {call_id} while another waits, and no concurrent multiplexing")
        self._last_call_id = call_id
        self._statistics.calls_by_level[caller.level] += 1
        try:
            call = _Call(request, self._method(request, caller), caller)
        except RpcFault as refusal:
            self._fault(call_id, request.context_id, refusal.status, DID_NOT_EXECUTE)
            return
        if request.flags & LAST_FRAG:
            self._execute(call)
        else:
            self._partial = call

    def _continue(self, request: Request, caller: Caller) -> None:
        call = self._partial
        if call is None or call.call_id != request.call_id:
            if not 0 <= self._last_call_id - request.call_id < _FORGOTTEN_CALLS:
                self._break(request, f"a later fragment of call {request.call_id}, which has not begun")
            return
        if (request.context_id, request.opnum, caller) != (call.context_id, call.opnum, call.caller):
            self._break(request, f"another opnum or context within call {call.call_id}")
        call.add(request)
        if call.size > _LARGEST_STUB:
            self._partial = None
            self._fault(call.call_id, call.context_id, ACCESS_DENIED, DID_NOT_EXECUTE)
        elif request.flags & LAST_FRAG:
            self._partial = None
            self._execute(call)

    def _method(self, request: Request, caller: Caller) -> Method:
        """What carries the call out; raises :class:`RpcFault` if nothing does."""
        bound = self._contexts.find(request.context_id)
        if bound is None:
            raise RpcFault(self._manners.unknown_context)
        if caller.level < self._endpoint.minimum_level(bound.interface):
            raise RpcFault(ACCESS_DENIED)
        method = bound.interface.methods.get(request.opnum)
        if method is None:
            raise RpcFault(self._manners.opnum_out_of_range)
        return method

    def _execute(self, call: _Call) -> None:
        started = perf_counter_ns()
        try:
            stub = b"".join(call.stubs)
            if call.caller.protects:
                stub = self._without_trailer(call, stub)
            answer = call.method(call.caller.context, stub)
        except RpcFault as fault:
            self._fault(call.call_id, call.context_id, fault.status)
        except WireError:
            self._fault(call.call_id, call.context_id, BAD_STUB_DATA)
        else:
            if not isinstance(answer, bytes):
                self._park(call, answer)
                return
            self._respond(call, answer)
        self._statistics.answered(perf_counter_ns() - started)

    def _without_trailer(self, call: _Call, stub: bytes) -> bytes:
        """The stub proper; raises :class:`RpcFault` if the client meant another call than came."""
        stub, trailer = split_trailer(stub)
        bound = self._contexts.find(call.context_id)
        if trailer is not None and bound is not None:
            header = RequestHeader(PduType.REQUEST, DREP, call.call_id, call.context_id, call.opnum)
            signs_headers = (trailer.bit_mask or 0) & CLIENT_SUPPORT_HEADER_SIGNING
            if (
                trailer.context not in (None, (bound.syntax, NDR))
                or trailer.header not in (None, header)
                or (signs_headers and not self._client_signs_headers)
            ):
                raise RpcFault(ACCESS_DENIED)
        return stub

    def _park(self, call: _Call, answer: Awaitable[bytes]) -> None:
        self._statistics.outstanding += 1
        future = self._parked[call.call_id] = ensure_future(answer)
        future.add_done_callback(partial(self._finish, call))

    def _finish(self, call: _Call, future: Future[bytes]) -> None:
        self._statistics.outstanding -= 1
        waited_for = self._parked.pop(call.call_id, None) is not None
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, RpcFault | WireError):
            raise error
        if not waited_for:
            return
        if future.cancelled():
            self._fault(call.call_id, call.context_id, CANCELLED)
        elif error is None:
            self._respond(call, future.result())
        else:
            status = error.status if isinstance(error, RpcFault) else BAD_STUB_DATA
            self._fault(call.call_id, call.context_id, status)

    def _abandon(self, call_id: int) -> None:
        """The client no longer wants the answer ([C706] 12.6.4.8)."""
        if not (self._contexts.features & KEEP_CONNECTION_ON_ORPHAN or self._manners.one_context):
            raise RemoteProtocolError(f"call {call_id} was orphaned")
        if self._partial is not None and self._partial.call_id == call_id:
            self._partial = None
        future = self._parked.pop(call_id, None)
        if future is not None:
            future.cancel()

    def _respond(self, call: _Call, stub: bytes) -> None:
        caller = call.caller
        room = self._max_send - CALL_HEADER_SIZE - caller.overhead
        room -= room % caller.alignment
        if len(stub) <= room:
            self._emit(caller.close(Response(call.call_id, call.context_id, stub)))
            return
        for start in range(0, len(stub), room):
            last = start + room >= len(stub)
            flags = (FIRST_FRAG if start == 0 else 0) | (LAST_FRAG if last else 0)
            fragment = stub[start : start + room]
            hint = len(stub) - start
            self._emit(caller.close(Response(call.call_id, call.context_id, fragment, flags, hint)))

    def _fault(self, call_id: int, context_id: int, status: int, flags: int = 0) -> None:
        self._statistics.faults += 1
        if self._manners.bare_faults:
            self._transmit(Fault(call_id, 0, status, alloc_hint=0))
        else:
            self._transmit(Fault(call_id, context_id, status, WHOLE | flags))

    def _break(self, request: Request, problem: str) -> NoReturn:
        """The protocol was broken: the client is told so, and then the connection ends."""
        self._fault(request.call_id, request.context_id, PROTOCOL_ERROR, DID_NOT_EXECUTE)
        raise RemoteProtocolError(problem)

    def _transmit(self, pdu: "_Encodable") -> None:
        self._emit(pdu.encode())

    def _emit(self, pdu: bytes) -> None:
        self._statistics.packets_out += 1
        self._send(pdu)


class _Encodable(Protocol):
    def encode(self) -> bytes: ...


def _first_leg(
    verifier: AuthVerifier | None, security: SecurityContexts
) -> tuple[AuthVerifier | None, int | None]:
    """The answer to what a bind carries, or the reason for a bind_nak."""
    if verifier is None:
        return None, None
    if not security.is_supported(verifier):
        return None, AUTHENTICATION_TYPE_NOT_RECOGNISED
    try:
        return security.negotiate(verifier), None
    except PeerError:
        return None, INVALID_CHECKSUM
