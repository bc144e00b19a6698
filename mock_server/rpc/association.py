"""The server's side of one RPC connection ([C706] 9.3 and 12.6, [MS-RPCE] 3.3): PDUs in, PDUs out."""

from asyncio import Future, ensure_future
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import perf_counter_ns
from typing import Final, NoReturn, Protocol

from loadgen.errors import RemoteProtocolError, RpcFault, WireError
from loadgen.wire.pdu import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    CALL_HEADER_SIZE,
    CONC_MPX,
    DID_NOT_EXECUTE,
    FIRST_FRAG,
    KEEP_CONNECTION_ON_ORPHAN,
    LAST_FRAG,
    NDR,
    NEGOTIATE_ACK,
    PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED,
    PROVIDER_REJECTION,
    REASON_NOT_SPECIFIED,
    SECURITY_CONTEXT_MULTIPLEXING,
    WHOLE,
    AlterContext,
    AlterContextResponse,
    Bind,
    BindAck,
    BindNak,
    CoCancel,
    ContextResult,
    Fault,
    Orphaned,
    PduType,
    PresentationContext,
    Request,
    Response,
    decode,
    offered_features,
)
from mock_server.rpc.dispatch import (
    ACCESS_DENIED,
    BAD_STUB_DATA,
    CANCELLED,
    INVALID_PRESENTATION_CONTEXT,
    OPERATION_OUT_OF_RANGE,
    PROTOCOL_ERROR,
    AssociationGroup,
    CallContext,
    Method,
)
from mock_server.rpc.endpoint import MAX_FRAGMENT, Endpoint

AUTHENTICATION_TYPE_NOT_RECOGNISED: Final = 8

_MUST_RECEIVE: Final = 1432
_LARGEST_STUB: Final = 4 << 20
_LARGEST_CALL_ID: Final = 0x7FFFFFFF
_FORGOTTEN_CALLS: Final = 150
_FEATURES: Final = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN


class _PartialCall:
    """A request of which fragments are still to come."""

    __slots__ = ("call_id", "context_id", "method", "opnum", "size", "stubs")

    def __init__(self, first: Request, method: Method) -> None:
        self.call_id = first.call_id
        self.context_id = first.context_id
        self.opnum = first.opnum
        self.method = method
        self.stubs = [first.stub]
        self.size = len(first.stub)


class Association:
    """One connection of a client, from its bind to its end.

    ``send`` takes each PDU that is to go, whenever an answer is ready. ``client_group`` is the RTS
    AssociationGroupId of the virtual connection, b"" without RTS. What a client may not send raises
    :class:`RemoteProtocolError` or :class:`WireError`, and the owner closes the connection and calls
    :meth:`lost`, as it does when the client goes.
    """

    def __init__(self, endpoint: Endpoint, send: Callable[[bytes], None], client_group: bytes = b"") -> None:
        self._endpoint = endpoint
        self._statistics = endpoint.statistics
        self._send = send
        self._client_group = client_group
        self._group: AssociationGroup | None = None
        self._context: CallContext | None = None
        self._methods: dict[int, Mapping[int, Method]] = {}
        self._multiplexed = False
        self._features = 0
        self._max_send = MAX_FRAGMENT
        self._max_receive = MAX_FRAGMENT
        self._last_call_id = -1
        self._partial: _PartialCall | None = None
        self._parked: dict[int, Future[bytes]] = {}

    def receive_pdu(self, pdu: bytes) -> None:
        """One whole PDU from the client."""
        self._statistics.packets_in += 1
        if self._context is None:
            self._expect_bind(pdu)
        elif pdu[2] == PduType.REQUEST:
            self._request(Request.decode(pdu), self._context)
        else:
            self._control(pdu, self._context)

    def lost(self) -> None:
        """The connection has gone: waiting calls end, and with the group's last one its context handles."""
        parked, self._parked = self._parked, {}
        for future in parked.values():
            future.cancel()
        group, self._group = self._group, None
        self._context = None
        if group is not None:
            self._endpoint.leave(group)

    def _expect_bind(self, pdu: bytes) -> None:
        if pdu[2] != PduType.BIND:
            raise RemoteProtocolError(f"PDU type {pdu[2]} before bind")
        bind = Bind.decode(pdu)
        if bind.auth is not None:
            self._transmit(BindNak(bind.call_id, AUTHENTICATION_TYPE_NOT_RECOGNISED))
            return
        group = self._endpoint.join(bind.assoc_group_id, self._client_group)
        if group is None:
            self._transmit(BindNak(bind.call_id, REASON_NOT_SPECIFIED))
            return
        self._group = group
        self._context = CallContext("", group, self._endpoint.server_name)
        self._multiplexed = bool(bind.flags & CONC_MPX)
        self._max_send = max(_MUST_RECEIVE, min(MAX_FRAGMENT, bind.max_recv_frag))
        self._max_receive = max(_MUST_RECEIVE, min(MAX_FRAGMENT, bind.max_xmit_frag))
        self._transmit(
            BindAck(
                bind.call_id,
                self._max_send,
                self._max_receive,
                group.group_id,
                self._endpoint.secondary_address,
                tuple(self._negotiate(context) for context in bind.contexts),
                WHOLE | bind.flags & CONC_MPX,
            )
        )

    def _control(self, pdu: bytes, context: CallContext) -> None:
        match decode(pdu):
            case AlterContext() as alter if alter.auth is None:
                self._transmit(
                    AlterContextResponse(
                        alter.call_id,
                        self._max_send,
                        self._max_receive,
                        context.association.group_id,
                        b"",
                        tuple(self._accept(proposed) for proposed in alter.contexts),
                    )
                )
            case CoCancel(call_id):
                future = self._parked.get(call_id)
                if future is not None:
                    future.cancel()
            case Orphaned(call_id):
                self._abandon(call_id)
            case unexpected:
                raise RemoteProtocolError(f"{type(unexpected).__name__} on an association without security")

    def _negotiate(self, context: PresentationContext) -> ContextResult:
        """The answer to a context of a bind, which may be an offer of features in disguise."""
        features = offered_features(context.transfer_syntaxes[0]) if context.transfer_syntaxes else None
        if features is None:
            return self._accept(context)
        self._features = features & _FEATURES
        return ContextResult(NEGOTIATE_ACK, self._features)

    def _accept(self, context: PresentationContext) -> ContextResult:
        interface = self._endpoint.find(context.abstract_syntax)
        if interface is None:
            return ContextResult(PROVIDER_REJECTION, ABSTRACT_SYNTAX_NOT_SUPPORTED)
        if NDR not in context.transfer_syntaxes:
            return ContextResult(PROVIDER_REJECTION, PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED)
        if self._methods.setdefault(context.context_id, interface.methods) is not interface.methods:
            return ContextResult(PROVIDER_REJECTION, REASON_NOT_SPECIFIED)
        return ContextResult(ACCEPTANCE, REASON_NOT_SPECIFIED, NDR)

    def _request(self, request: Request, context: CallContext) -> None:
        if CALL_HEADER_SIZE + len(request.stub) > self._max_receive:
            self._break(request, f"a fragment with {len(request.stub)} bytes of stub")
        if request.flags & FIRST_FRAG:
            self._begin(request, context)
        else:
            self._continue(request, context)

    def _begin(self, request: Request, context: CallContext) -> None:
        call_id = request.call_id
        if not self._last_call_id < call_id <= _LARGEST_CALL_ID:
            self._break(request, f"call {call_id} after call {self._last_call_id}")
        if self._partial is not None:
            self._break(request, f"call {call_id} amid the fragments of call {self._partial.call_id}")
        if self._parked and not self._multiplexed:
            self._break(request, f"call {call_id} while another waits, and no concurrent multiplexing")
        self._last_call_id = call_id
        self._statistics.calls += 1
        method = self._method(request)
        if method is None:
            return
        if request.flags & LAST_FRAG:
            self._execute(call_id, request.context_id, method, request.stub, context)
        else:
            self._partial = _PartialCall(request, method)

    def _continue(self, request: Request, context: CallContext) -> None:
        call = self._partial
        if call is None or call.call_id != request.call_id:
            if not 0 <= self._last_call_id - request.call_id < _FORGOTTEN_CALLS:
                self._break(request, f"a later fragment of call {request.call_id}, which has not begun")
            return
        if (request.context_id, request.opnum) != (call.context_id, call.opnum):
            self._break(request, f"another opnum or context within call {call.call_id}")
        call.stubs.append(request.stub)
        call.size += len(request.stub)
        if call.size > _LARGEST_STUB:
            self._partial = None
            self._fault(call.call_id, call.context_id, ACCESS_DENIED, DID_NOT_EXECUTE)
        elif request.flags & LAST_FRAG:
            self._partial = None
            self._execute(call.call_id, call.context_id, call.method, b"".join(call.stubs), context)

    def _method(self, request: Request) -> Method | None:
        """Whom the call is for; None if it was refused with a fault, and its other fragments are skipped."""
        methods = self._methods.get(request.context_id)
        method = None if methods is None else methods.get(request.opnum)
        if request.auth is not None:
            status = ACCESS_DENIED
        elif methods is None:
            status = INVALID_PRESENTATION_CONTEXT
        elif method is None:
            status = OPERATION_OUT_OF_RANGE
        else:
            return method
        self._fault(request.call_id, request.context_id, status, DID_NOT_EXECUTE)
        return None

    def _execute(
        self, call_id: int, context_id: int, method: Method, stub: bytes, context: CallContext
    ) -> None:
        started = perf_counter_ns()
        try:
            answer = method(context, stub)
        except RpcFault as fault:
            self._fault(call_id, context_id, fault.status)
        except WireError:
            self._fault(call_id, context_id, BAD_STUB_DATA)
        else:
            if not isinstance(answer, bytes):
                self._park(call_id, context_id, answer)
                return
            self._respond(call_id, context_id, answer)
        self._statistics.answered(perf_counter_ns() - started)

    def _park(self, call_id: int, context_id: int, answer: Awaitable[bytes]) -> None:
        self._statistics.outstanding += 1
        future = self._parked[call_id] = ensure_future(answer)
        future.add_done_callback(partial(self._finish, call_id, context_id))

    def _finish(self, call_id: int, context_id: int, future: Future[bytes]) -> None:
        self._statistics.outstanding -= 1
        waited_for = self._parked.pop(call_id, None) is not None
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, RpcFault | WireError):
            raise error
        if not waited_for:
            return
        if future.cancelled():
            self._fault(call_id, context_id, CANCELLED)
        elif error is None:
            self._respond(call_id, context_id, future.result())
        else:
            self._fault(call_id, context_id, error.status if isinstance(error, RpcFault) else BAD_STUB_DATA)

    def _abandon(self, call_id: int) -> None:
        """The client no longer wants the answer ([C706] 12.6.4.8)."""
        if not self._features & KEEP_CONNECTION_ON_ORPHAN:
            raise RemoteProtocolError(f"call {call_id} was orphaned")
        if self._partial is not None and self._partial.call_id == call_id:
            self._partial = None
        future = self._parked.pop(call_id, None)
        if future is not None:
            future.cancel()

    def _respond(self, call_id: int, context_id: int, stub: bytes) -> None:
        room = (self._max_send - CALL_HEADER_SIZE) & ~7
        if len(stub) <= room:
            self._transmit(Response(call_id, context_id, stub))
            return
        for start in range(0, len(stub), room):
            last = start + room >= len(stub)
            flags = (FIRST_FRAG if start == 0 else 0) | (LAST_FRAG if last else 0)
            fragment = stub[start : start + room]
            self._transmit(Response(call_id, context_id, fragment, flags, len(stub) - start))

    def _fault(self, call_id: int, context_id: int, status: int, flags: int = 0) -> None:
        self._statistics.faults += 1
        self._transmit(Fault(call_id, context_id, status, WHOLE | flags))

    def _break(self, request: Request, problem: str) -> NoReturn:
        """The protocol was broken: the client is told so, and then the connection ends."""
        self._fault(request.call_id, request.context_id, PROTOCOL_ERROR, DID_NOT_EXECUTE)
        raise RemoteProtocolError(problem)

    def _transmit(self, pdu: "_Encodable") -> None:
        self._statistics.packets_out += 1
        self._send(pdu.encode())


class _Encodable(Protocol):
    def encode(self) -> bytes: ...
