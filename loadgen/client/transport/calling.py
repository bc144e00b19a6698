"""Calls on an RPC connection: who waits for which answer, until when, and what ends them all."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from time import monotonic_ns
from typing import Final

from loadgen.client.alarm import alarm_clock
from loadgen.client.transport.connection import ConnectionOptions, Probe, ResponseT
from loadgen.errors import ConnectionLost, PeerError, TimedOut
from loadgen.protocol.association import Association
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted, Event, ShutdownRequested
from loadgen.protocol.security import RpcSecurity
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire import emsmdb, nspi, rfr
from loadgen.wire.pdu import KEEP_CONNECTION_ON_ORPHAN, SyntaxId
from loadgen.wire.rpc import RpcRequest

_SERVICE: Final = "host"
_SERVICES: Final = {
    emsmdb.INTERFACE: "exchangeMDB",
    nspi.INTERFACE: "exchangeAB",
    rfr.INTERFACE: "exchangeRFR",
}
"""What servers are called in service principal names, by interface ([MS-OXCRPC] 2.1, [MS-OXNSPI] 2.1)."""
OPENING: Final = 0
"""Opening is waited for like a call, under a number that no call has."""


def new_association(
    interfaces: Sequence[SyntaxId], server: str, credentials: Credentials, options: ConnectionOptions
) -> Association:
    """An association with ``server``, secured as the options say."""
    level = options.rpc_security
    if level == "none":
        return Association()
    service = _SERVICES.get(interfaces[0], _SERVICE)
    context = SecurityContext(options.rpc_mechanism, credentials, service, server, dce=True)
    return Association(RpcSecurity(level, context, verification=options.verification))


class Opening:
    """What a connection needs until it is open; ``layer`` is what it is busy with."""

    __slots__ = ("interfaces", "layer", "probe", "ready", "started_ns")

    def __init__(self, interfaces: Sequence[SyntaxId], probe: Probe | None) -> None:
        self.interfaces = interfaces
        self.probe = probe
        self.ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.layer = "connect_tcp"
        self.started_ns = monotonic_ns()

    def begin(self, layer: str) -> None:
        """Report the layer that is passed, and begin ``layer``."""
        ended_ns = monotonic_ns()
        if self.probe is not None:
            self.probe(self.layer, self.started_ns, ended_ns)
        self.layer = layer
        self.started_ns = ended_ns


class Caller(ABC):
    """The calls of one RPC connection and its association; a subclass brings the PDUs there and back.

    It is a :class:`~loadgen.client.transport.connection.RpcConnection` but for closing.
    """

    __slots__ = (
        "_association",
        "_calls",
        "_failure",
        "_loop",
        "_opening",
        "_options",
        "_peer",
        "alarm_at",
        "bytes_received",
        "bytes_sent",
        "on_lost",
    )

    def __init__(self, association: Association, peer: str, options: ConnectionOptions) -> None:
        self.on_lost: Callable[[PeerError], None] | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self.alarm_at = inf
        self._loop = asyncio.get_running_loop()
        self._association = association
        self._peer = peer
        self._options = options
        self._opening: Opening | None = None
        self._calls: dict[int, tuple[asyncio.Future[bytes], float]] = {}
        self._failure: PeerError | None = None

    @abstractmethod
    def abort(self) -> None:
        """Close without waiting for anything."""

    @abstractmethod
    def _flush(self, now: float) -> None:
        """Give the sockets all there is to send, the association's PDUs included."""

    @abstractmethod
    def _handle_timer(self, now: float) -> None:
        """Do what the carrier has to do by now."""

    @abstractmethod
    def _next_timer(self) -> float:
        """When the carrier has to do something."""

    @abstractmethod
    def _release(self) -> None:
        """The connection has ended: nothing is to be said or heard any more."""

    @abstractmethod
    def _proceed(self, opening: Opening) -> None:
        """Take the steps of opening that the carrier allows by now."""

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:  # noqa: ASYNC109 - deadlines share one timer
        """Call a method and wait for its answer; see :class:`RpcConnection`."""
        return request.decode_response(await self.begin(request, timeout))

    def begin(self, request: RpcRequest[object], timeout: float | None = None) -> "asyncio.Future[bytes]":
        """Call a method; its response stub comes in the future. Cancelling it gives the call up."""
        if self._failure is not None:
            raise ConnectionLost(str(self._failure))
        association = self._association
        context_id = association.context_id(request.interface)
        call_id = association.call(context_id, request.opnum, request.encode())
        future: asyncio.Future[bytes] = self._loop.create_future()
        future.add_done_callback(partial(self._given_up, call_id))
        now = self._loop.time()
        wait_s = self._options.call_timeout_s if timeout is None else timeout
        self._await_answer(call_id, future, now + wait_s)
        self._flush(now)
        return future

    def wake(self, now: float) -> None:
        """Do what is due, and give up what took too long."""
        try:
            self._handle_timer(now)
        except PeerError as error:
            self._fail(error)
            return
        overdue = [call_id for call_id, (_, deadline) in self._calls.items() if deadline <= now]
        for call_id in overdue:
            self._expire(call_id)
        self._flush(now)
        self._arm(min(self._next_timer(), *(deadline for _, deadline in self._calls.values()), inf))

    def _given_up(self, call_id: int, future: "asyncio.Future[bytes]") -> None:
        if future.cancelled() and self._calls.pop(call_id, None) is not None:
            self._forget(call_id)
            self._flush(self._loop.time())

    def _take(self, pdus: Iterator[bytes], now: float) -> None:
        try:
            for pdu in pdus:
                for event in self._association.receive_pdu(pdu):
                    self._on_event(event)
            if self._opening is not None:
                self._proceed(self._opening)
        except PeerError as error:
            self._fail(error)
        else:
            self._flush(now)

    def _on_event(self, event: Event) -> None:
        match event:
            case CallReturned():
                self._answer(event.call_id, event.stub)
            case CallFaulted():
                future, _ = self._calls.pop(event.call_id)
                if not future.done():
                    future.set_exception(event.fault)
            case ContextsAccepted():
                self._on_bound()
            case ShutdownRequested():
                raise ConnectionLost("the server asked to shut the connection down")

    def _on_bound(self) -> None:
        if self._opening is not None:
            self._opening.begin("")
            self._opening = None
            self._answer(OPENING, b"")

    def _answer(self, call_id: int, stub: bytes) -> None:
        future, _ = self._calls.pop(call_id)
        if not future.done():  # cancelled, and its call not yet told
            future.set_result(stub)

    def _await_answer(self, call_id: int, future: "asyncio.Future[bytes]", deadline: float) -> None:
        self._calls[call_id] = future, deadline
        self._arm(deadline)

    def _forget(self, call_id: int) -> None:
        """Give up a call, and tell only those servers that promised not to close the connection for it."""
        association = self._association
        if association.features & KEEP_CONNECTION_ON_ORPHAN:
            association.orphan(call_id)
        else:
            association.abandon(call_id)

    def _arm(self, when: float) -> None:
        """Make sure to be woken at ``when`` or before."""
        if when < self.alarm_at:
            alarm_clock().set(self, when)

    def _expire(self, call_id: int) -> None:
        if call_id == OPENING:
            self._fail(TimedOut("no answer to bind"))
            return
        future, _ = self._calls.pop(call_id)
        self._forget(call_id)
        if not future.done():
            future.set_exception(TimedOut(f"{self._peer}: no answer to a call in time"))

    def _fail(self, error: PeerError) -> None:
        """The connection is of no more use: tell whoever waits, and the owner if there is none to be told."""
        if self._failure is not None:
            return
        error.args = (f"{self._peer}: {error}",)
        self._end(error)
        self.abort()
        if self.on_lost is not None:
            self.on_lost(error)

    def _end(self, error: PeerError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        self._release()
        self.alarm_at = -inf
        calls, self._calls = self._calls, {}
        for future, _ in calls.values():
            if not future.done():
                future.set_exception(error)
