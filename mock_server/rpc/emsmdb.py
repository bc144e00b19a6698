"""EMSMDB and AsyncEMSMDB, server side ([MS-OXCRPC] 3.1 and 3.3): sessions, ROPs, and waiting for news."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, Protocol

import msgspec

from loadgen.errors import RpcFault, WireError
from loadgen.wire import emsmdb as wire
from loadgen.wire.auxiliary import (
    ENABLE_COMPRESSION,
    PUBLIC_FOLDERS_ENABLED,
    AuxiliaryBlock,
    ClientControl,
    ExOrgInfo,
    OsVersionInfo,
    read_blocks,
    write_blocks,
)
from loadgen.wire.extended_buffer import COMPRESSED, XOR_MAGIC, read_payloads, write_payload
from mock_server.dialect import StoreManners
from mock_server.directory import Entry
from mock_server.limits.table import LimitMeter
from mock_server.limits.user_limit import UserLimit
from mock_server.mailboxes.mail import MailTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.session import Session
from mock_server.rops.call import BufferFormatError, BufferTooSmallError
from mock_server.rpc.dispatch import BAD_STUB_DATA, AssociationGroup, CallContext, Interface, Method
from mock_server.rpc.rop_processor import process

EXITING: Final = 0x000003ED
LOGIN_PERMISSION: Final = 0x000003F2
BUFFER_TOO_SMALL: Final = 0x0000047D
RPC_FORMAT: Final = 0x000004B6
ACCESS_DENIED: Final = 0x80070005
TOO_MANY_OBJECTS: Final = 0x000004DE
REJECTED: Final = 0x000007EE
NOT_SUPPORTED: Final = 0x80040102
LOGON_FAILED: Final = 0x80040111
VERSION_MISMATCH: Final = 0x80040110
RPC_FAILED: Final = 0x80040115
"""Return values of the calls themselves ([MS-OXCRPC] 3.1.4)."""

LONGEST_WAIT_S: Final = 300.0
"""EcDoAsyncWaitEx comes back without news after this long ([MS-OXCRPC] 3.3.4.1)."""

_OLDEST_CLIENT: Final = (11, 0, 0, 0)
_KNOWS_ORGANISATION_INFO: Final = (12, 0, 3118, 0)
_ADMIN_PRIVILEGE: Final = 0x1
_SMALLEST_BUFFER: Final = 8
_CLASSIC_BUFFER: Final = 0x8007
_LARGEST_OUT: Final = 0x40000
_LARGEST_AUX: Final = 0x1008
_WEEK_MS: Final = 7 * 24 * 3600 * 1000
_NO_INDEX: Final = 0xFFFF
_WINDOWS_2003_SP2: Final = OsVersionInfo(156, 5, 2, 3790, 2, 0)


class TimerHandle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """It is not."""


class Timers(Protocol):
    """The part of an event loop that tells the time."""

    def time(self) -> float:
        """Now, in seconds."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Call back after ``delay`` seconds."""


class EmsmdbSettings(msgspec.Struct, frozen=True):
    """What EcDoConnectEx tells every client ([MS-OXCRPC] 3.1.4.1), and whom it lets in; 0: no limit.

    A session that its client left open is closed ``session_linger_s`` after the association, or after its
    last call where handles outlive these. ``manners`` are the dialect's.
    """

    version: wire.Version = (8, 1, 240, 6)
    polls_max_ms: int = 60000
    retries: int = 6
    retry_delay_ms: int = 10000
    context_handles: int = 0
    sessions_per_user: int = 0
    session_linger_s: float = 0.0
    manners: StoreManners = StoreManners()


class _Client:
    """A session, and the wait of its owner for something to happen in it."""

    def __init__(self, session: Session, timers: Timers) -> None:
        self.session = session
        self.handle = wire.NO_CONTEXT
        self.async_handle = wire.NO_CONTEXT
        self._timers = timers
        self._last_call = timers.time()
        self._wait: asyncio.Future[bytes] | None = None
        self._timer: TimerHandle | None = None
        session.notifications.on_arrival = self.wake

    def time(self) -> float:
        """Now, in seconds."""
        return self._timers.time()

    def called(self) -> None:
        """An EcDoRpcExt2 has just been answered: waits run from now, and what it left is to be fetched."""
        self._last_call = self._timers.time()
        self.wake()

    def wait(self) -> "asyncio.Future[bytes]":
        """An answer to EcDoAsyncWaitEx that comes with the next notification, or without any in time."""
        self._last_call = self._timers.time()
        self._wait = asyncio.get_running_loop().create_future()
        self._wait.add_done_callback(self._forget_wait)
        self._timer = self._timers.call_later(LONGEST_WAIT_S, self._check_time)
        return self._wait

    @property
    def is_waiting(self) -> bool:
        """Whether an EcDoAsyncWaitEx is outstanding."""
        return self._wait is not None

    def wake(self) -> None:
        """Answer the wait if there is something to fetch that no call is about to fetch anyway."""
        if len(self.session.notifications) and not self.session.is_executing:
            self._answer(wire.EcDoAsyncWaitExResponse(wire.NOTIFICATION_PENDING))

    def close_after(self, seconds: float, close: Callable[[], None]) -> None:
        """Nobody is there any more; ``close`` it when nobody has come back for so long."""

        def check() -> None:
            left = self._last_call + seconds - self._timers.time()
            if left > 0:
                self._timers.call_later(left, check)
            else:
                close()

        self._timers.call_later(seconds, check)

    def close(self) -> None:
        """The session is over."""
        self._answer(wire.EcDoAsyncWaitExResponse(return_value=EXITING))
        self.session.close()

    def _check_time(self) -> None:
        left = self._last_call + LONGEST_WAIT_S - self._timers.time()
        if left > 0:
            self._timer = self._timers.call_later(left, self._check_time)
        else:
            self._answer(wire.EcDoAsyncWaitExResponse())

    def _answer(self, response: wire.EcDoAsyncWaitExResponse) -> None:
        wait = self._wait
        if wait is not None and not wait.done():
            self._end_wait()
            wait.set_result(response.encode())

    def _forget_wait(self, wait: "asyncio.Future[bytes]") -> None:
        if wait is self._wait:
            self._end_wait()

    def _end_wait(self) -> None:
        self._wait = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _AsyncContext(msgspec.Struct, frozen=True):
    """What an asynchronous context handle stands for."""

    client: _Client


class EmsmdbServer:
    """The methods of both interfaces over one store; without ``timers`` the event loop tells the time."""

    def __init__(
        self,
        store: MailboxStore,
        transport: MailTransport,
        settings: EmsmdbSettings = EmsmdbSettings(),  # noqa: B008 - frozen
        timers: Timers | None = None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._settings = settings
        self._server_version = wire.words_from_version(settings.version, new_form=True)
        self._timers = timers
        self._clients: dict[int, _Client] = {}
        self._handles = LimitMeter("context_handles", settings.context_handles)
        self._users = UserLimit("mapi_sessions", settings.sessions_per_user)
        self._last_index = 0
        self._stamps = count(1)

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._clients)

    def report(self) -> dict[str, float]:
        """The counters of sessions and their limits at this moment."""
        counters: dict[str, float] = {"MSExchangeIS\\User Count": self._users.users}
        if most := self._settings.context_handles:
            counters["MSExchangeIS\\% Connections"] = 100 * self._handles.in_use / most
        return {**counters, **self._handles.report(), **self._users.report()}

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Both interfaces with their methods."""
        emsmdb: Mapping[int, Method] = {
            wire.EcDoDisconnectRequest.opnum: self.disconnect,
            wire.EcRRegisterPushNotificationRequest.opnum: self.register_push_notification,
            wire.EcDummyRpcRequest.opnum: self.dummy_rpc,
            wire.EcDoConnectExRequest.opnum: self.connect,
            wire.EcDoRpcExt2Request.opnum: self.rpc,
            wire.EcDoAsyncConnectExRequest.opnum: self.async_connect,
        }
        waiting: Mapping[int, Method] = {wire.EcDoAsyncWaitExRequest.opnum: self.async_wait}
        return Interface(wire.INTERFACE, emsmdb), Interface(wire.ASYNC_INTERFACE, waiting)

    def connect(self, context: CallContext, stub: bytes) -> bytes:
        """EcDoConnectEx ([MS-OXCRPC] 3.1.4.1)."""
        request = wire.EcDoConnectExRequest.decode(stub)
        if request.aux_out_max > _LARGEST_AUX:
            raise RpcFault(BAD_STUB_DATA)
        version = wire.version_from_words(request.client_version)
        user = self._store.directory.by_dn(request.user_dn)
        code = self._refusal(context, request, version, user)
        if code or user is None:
            return self._refuse(request, code)
        if not self._admits(user):
            return self._refuse(request, TOO_MANY_OBJECTS)
        manners = self._settings.manners
        index = self._free_index()
        session = Session(self._store, self._transport, user, index, version)
        client = _Client(session, self._timers or asyncio.get_running_loop())
        self._clients[index] = client
        group = context.association
        client.handle = group.open_handle(client, lambda: self._leave(client, group))
        return wire.EcDoConnectExResponse(
            context_handle=client.handle,
            polls_max_ms=self._settings.polls_max_ms,
            retries=self._settings.retries,
            retry_delay_ms=self._settings.retry_delay_ms,
            session_index=index,
            dn_prefix=self._store.dn_prefix if manners.dn_prefix is None else manners.dn_prefix,
            display_name=user.display_name,
            server_version=self._server_version,
            best_version=request.client_version,
            time_stamp=next(self._stamps),
            aux_out=manners.aux_out or _aux_out(version, request.aux_out_max),
        ).encode()

    def _admits(self, user: Entry) -> bool:
        """Whether there is room for one more session of ``user``, which then counts.

        A session is an object of the user (KB842022), and its context handle one of the store's.
        """
        if not self._users.take(user.alias):
            return False
        if len(self._clients) == _NO_INDEX - 1 or not self._handles.take():
            self._users.give_back(user.alias)
            return False
        return True

    def _free_index(self) -> int:
        while self._last_index in self._clients or not self._last_index:
            self._last_index = (self._last_index + 1) % _NO_INDEX
        return self._last_index

    def _refusal(
        self,
        context: CallContext,
        request: wire.EcDoConnectExRequest,
        version: wire.Version,
        user: Entry | None,
    ) -> int:
        if version < _OLDEST_CLIENT or len(request.aux_in) > _LARGEST_AUX:
            return VERSION_MISMATCH
        if not _is_readable_aux(request.aux_in):
            return RPC_FORMAT
        manners = self._settings.manners
        if user is None:
            return manners.unknown_user if request.user_dn else manners.nobody
        if request.code_page in manners.refused_code_pages:
            return LOGON_FAILED
        if context.user and self._store.directory.by_alias(context.user) != user:
            return ACCESS_DENIED
        return LOGIN_PERMISSION if request.flags & _ADMIN_PRIVILEGE else 0

    def _refuse(self, request: wire.EcDoConnectExRequest, code: int) -> bytes:
        best = request.client_version
        if code == VERSION_MISMATCH:
            best = wire.words_from_version(_OLDEST_CLIENT, new_form=False)
        return wire.EcDoConnectExResponse(
            wire.NO_CONTEXT, 0, 0, 0, 0, "", "", self._server_version, best, 0, return_value=code
        ).encode()

    def disconnect(self, context: CallContext, stub: bytes) -> bytes:
        """EcDoDisconnect ([MS-OXCRPC] 3.1.4.3)."""
        handle = wire.EcDoDisconnectRequest.decode(stub).context_handle
        client = context.association.find(handle, _Client)
        context.association.close_handle(handle)
        if client.async_handle != wire.NO_CONTEXT:
            context.association.close_handle(client.async_handle)
        self._close(client)
        return wire.EcDoDisconnectResponse().encode()

    def _leave(self, client: _Client, group: AssociationGroup) -> None:
        """The client has gone without a word, and its session is still there for a while."""
        if self._settings.session_linger_s:
            client.close_after(self._settings.session_linger_s, lambda: self._expire(client, group))
        else:
            self._close(client)

    def _expire(self, client: _Client, group: AssociationGroup) -> None:
        """The session ends, unless its client has come back to end it."""
        if self._clients.get(client.session.index) is client:
            group.close_handle(client.handle)
            group.close_handle(client.async_handle)
            self._close(client)

    def _close(self, client: _Client) -> None:
        del self._clients[client.session.index]
        self._handles.give_back()
        self._users.give_back(client.session.user.alias)
        client.close()

    def register_push_notification(self, context: CallContext, stub: bytes) -> bytes:
        """EcRRegisterPushNotification ([MS-OXCRPC] 3.1.4.5): not offered, as in Exchange 2010."""
        handle = wire.EcRRegisterPushNotificationRequest.decode(stub).context_handle
        context.association.find(handle, _Client)
        return wire.EcRRegisterPushNotificationResponse(handle, return_value=NOT_SUPPORTED).encode()

    def dummy_rpc(self, _context: CallContext, stub: bytes) -> bytes:
        """EcDummyRpc ([MS-OXCRPC] 3.1.4.6)."""
        wire.EcDummyRpcRequest.decode(stub)
        return wire.EcDummyRpcResponse().encode()

    def rpc(self, context: CallContext, stub: bytes) -> bytes:
        """EcDoRpcExt2 ([MS-OXCRPC] 3.1.4.2)."""
        request = wire.EcDoRpcExt2Request.decode(stub)
        client = self._client(context, request.context_handle)
        if client is None:
            unknown = self._settings.manners.unknown_handle or 0
            return wire.EcDoRpcExt2Response(wire.NO_CONTEXT, b"", return_value=unknown).encode()
        if request.out_max > _LARGEST_OUT or max(len(request.aux_in), request.aux_out_max) > _LARGEST_AUX:
            raise RpcFault(BAD_STUB_DATA)
        started = client.time()
        code, rgb_out = self._carry_out(client, request)
        client.called()
        spent_ms = round((client.time() - started) * 1000)
        return wire.EcDoRpcExt2Response(
            request.context_handle, rgb_out, trans_time_ms=spent_ms, return_value=code
        ).encode()

    def _client(self, context: CallContext, handle: bytes) -> _Client | None:
        """Whose a handle is; None if nobody's and the dialect answers that with a code, else a fault."""
        try:
            return context.association.find(handle, _Client)
        except RpcFault:
            if self._settings.manners.unknown_handle is None:
                raise
            return None

    def _carry_out(self, client: _Client, request: wire.EcDoRpcExt2Request) -> tuple[int, bytes]:
        if len(request.rgb_in) < _SMALLEST_BUFFER:
            return RPC_FAILED, b""
        if len(request.rgb_in) > _CLASSIC_BUFFER or request.out_max < _CLASSIC_BUFFER:
            return RPC_FORMAT, b""
        chain = bool(request.flags & wire.CHAIN)
        try:
            payloads = read_payloads(request.rgb_in)
            if len(payloads) != 1:
                return RPC_FORMAT, b""
            answers = process(client.session, payloads[0], request.out_max, chain=chain)
        except (WireError, BufferFormatError):
            return RPC_FORMAT, b""
        except BufferTooSmallError:
            return BUFFER_TOO_SMALL, b""
        allowed = COMPRESSED * (not request.flags & wire.NO_COMPRESSION)
        allowed |= XOR_MAGIC * (not request.flags & wire.NO_XOR_MAGIC)
        allowed *= not self._settings.manners.plain
        last = len(answers) - 1
        return 0, b"".join(write_payload(answer, allowed, last=i == last) for i, answer in enumerate(answers))

    def async_connect(self, context: CallContext, stub: bytes) -> bytes:
        """EcDoAsyncConnectEx ([MS-OXCRPC] 3.1.4.4): one asynchronous handle for each session."""
        handle = wire.EcDoAsyncConnectExRequest.decode(stub).context_handle
        client = context.association.find(handle, _Client)
        if client.async_handle == wire.NO_CONTEXT:
            client.async_handle = context.association.open_handle(_AsyncContext(client))
        return wire.EcDoAsyncConnectExResponse(client.async_handle).encode()

    def async_wait(self, context: CallContext, stub: bytes) -> "bytes | asyncio.Future[bytes]":
        """EcDoAsyncWaitEx ([MS-OXCRPC] 3.3.4.1)."""
        handle = wire.EcDoAsyncWaitExRequest.decode(stub).async_context_handle
        client = context.association.find(handle, _AsyncContext).client
        if client.is_waiting:
            return wire.EcDoAsyncWaitExResponse(return_value=REJECTED).encode()
        if len(client.session.notifications):
            return wire.EcDoAsyncWaitExResponse(wire.NOTIFICATION_PENDING).encode()
        return client.wait()


def _aux_out(version: wire.Version, room: int) -> bytes:
    blocks: list[AuxiliaryBlock] = [ClientControl(ENABLE_COMPRESSION, _WEEK_MS), _WINDOWS_2003_SP2]
    if version >= _KNOWS_ORGANISATION_INFO:
        blocks.append(ExOrgInfo(PUBLIC_FOLDERS_ENABLED))
    data = write_payload(write_blocks(*blocks), 0)
    return data if len(data) <= room else b""


def _is_readable_aux(data: bytes) -> bool:
    """Exchange 2007 lets pass what is too short to hold a header."""
    if len(data) < _SMALLEST_BUFFER:
        return True
    try:
        for payload in read_payloads(data):
            read_blocks(payload)
    except WireError:
        return False
    return True
