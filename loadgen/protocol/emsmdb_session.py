"""A client's session with a store ([MS-OXCRPC] 3.2): context handles, and the ROPs that travel under them."""

from collections.abc import Collection, Sequence
from typing import Final, NewType, TypeVar

import msgspec

from loadgen.errors import LocalProtocolError, MapiError, RemoteProtocolError
from loadgen.wire import emsmdb
from loadgen.wire.auxiliary import AuxiliaryBlock, PerfRequestId, write_blocks
from loadgen.wire.extended_buffer import COMPRESSED, XOR_MAGIC, read_payloads, write_payload
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.base import ColumnsOf, RopErrorResponse, RopRequest, RopResponse
from loadgen.wire.rop.buffer import read_responses, write_requests
from loadgen.wire.rop.oxcnotif import RopNotifyResponse
from loadgen.wire.rop.oxcrops import (
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopReleaseRequest,
)
from loadgen.wire.rop.oxctabl import RopSetColumnsRequest

ServerObjectHandle = NewType("ServerObjectHandle", int)
"""A server's number for an open object, valid within one session ([MS-OXCROPS] 2.2.1)."""

UNSET: Final = ServerObjectHandle(0xFFFFFFFF)

ROOM_SINGLE: Final = 0x8007
ROOM_CHAINED: Final = 0x18007
"""pcbOut: room for one payload of 32 KB, or for three of them."""

_EC_BUFFER_TOO_SMALL = 0x47D
_EC_SERVER_BUSY = 0x480
_WARNING = 0x0004
"""The upper half of a code that comes with success."""

ResponseT = TypeVar("ResponseT", bound=RopResponse)


class Transfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How ROP buffers travel ([MS-OXCRPC] 3.1.4.2)."""

    compress_sent: bool = False
    """Pack request payloads with LZ77; message bodies and attachments of this generator do not shrink."""
    compress_received: bool = False
    """Let the server pack its responses (pulFlags without NoCompression)."""
    obfuscate: bool = True
    """XOR payloads both ways (pulFlags without NoXorMagic)."""
    auxiliary: bool = True
    """Send the auxiliary buffers by which Outlook tells about itself."""


class RopBatch:
    """ROP requests that travel in one call, and the handle table that they share."""

    __slots__ = ("columns", "handles", "logon_id", "requests")

    def __init__(self, logon_id: int = 0) -> None:
        self.logon_id = logon_id
        self.requests: list[RopRequest] = []
        self.handles: list[ServerObjectHandle] = []
        self.columns: dict[int, tuple[PropertyTag, ...]] = {}

    def use(self, handle: ServerObjectHandle) -> int:
        """The index under which requests of this batch name an open object."""
        self.handles.append(handle)
        return len(self.handles) - 1

    def reserve(self) -> int:
        """The index of an object that a request of this batch will open."""
        return self.use(UNSET)

    def add(self, request: RopRequest) -> None:
        """Append a request."""
        self.requests.append(request)
        if isinstance(request, RopSetColumnsRequest):
            self.columns[request.input_handle_index] = request.property_tags

    def release(self, index: int) -> None:
        """Append the request that gives the object at ``index`` back."""
        self.add(RopReleaseRequest(self.logon_id, index))


class RopResults(msgspec.Struct, frozen=True):
    """What came back for a batch: a response for each request that has one, in order, then chained ones."""

    responses: tuple[RopResponse | RopErrorResponse, ...]
    handles: tuple[ServerObjectHandle, ...]
    notifications: tuple[RopNotifyResponse, ...] = ()

    def require_success(self, tolerated: Collection[int] = ()) -> None:
        """Raises :class:`MapiError` for the first request that failed, other than with a tolerated code."""
        for response in self.responses:
            code = response.return_value
            if code != 0 and code >> 16 != _WARNING and code not in tolerated:
                raise MapiError(f"ROP 0x{response.rop_id:02X}", code)

    def all_of(self, kind: type[ResponseT]) -> list[ResponseT]:
        """The successful responses of one kind, in order."""
        return [response for response in self.responses if isinstance(response, kind)]

    def one(self, kind: type[ResponseT]) -> ResponseT:
        """The only response of its kind; raises :class:`RemoteProtocolError` if it is not there."""
        found = self.all_of(kind)
        if len(found) != 1:
            raise RemoteProtocolError(f"{len(found)} answers of kind {kind.__name__} instead of one")
        return found[0]


class EmsmdbSession:
    """Builds the calls of one session and takes their answers.

    Every method that takes an answer raises :class:`MapiError` for a return value other than success, and
    :class:`RemoteProtocolError` for one that contradicts the session's state.
    """

    __slots__ = (
        "_async_handle",
        "_columns",
        "_handle",
        "_request_id",
        "_transfer",
        "client_version",
        "poll_interval_s",
        "retries",
        "retry_delay_s",
        "session_index",
        "time_stamp",
        "user_dn",
    )

    def __init__(
        self,
        user_dn: str,
        client_version: emsmdb.VersionWords,
        transfer: Transfer = Transfer(),  # noqa: B008
    ) -> None:
        self.user_dn = user_dn
        self.client_version = client_version
        self.poll_interval_s = 60.0
        self.retries = 0
        self.retry_delay_s = 0.0
        self.session_index = 0
        self.time_stamp = 0
        self._transfer = transfer
        self._handle = emsmdb.NO_CONTEXT
        self._async_handle = emsmdb.NO_CONTEXT
        self._columns: dict[ServerObjectHandle, tuple[PropertyTag, ...]] = {}
        self._request_id = 0

    @property
    def connected(self) -> bool:
        """Whether there is a session context."""
        return self._handle != emsmdb.NO_CONTEXT

    def connect(
        self, *about: AuxiliaryBlock, link: "EmsmdbSession | None" = None
    ) -> emsmdb.EcDoConnectExRequest:
        """The call that opens the session; the blocks say who asks.

        ``link`` is another session of the same client ([MS-OXCRPC] 3.1.4.1, ulIcxrLink).
        """
        if self.connected:
            raise LocalProtocolError("EcDoConnectEx on a session that is connected")
        return emsmdb.EcDoConnectExRequest(
            user_dn=self.user_dn,
            client_version=self.client_version,
            con_mod=_hash_of(self.user_dn),
            session_index_link=emsmdb.NO_LINK if link is None else link.session_index,
            time_stamp=0 if link is None else link.time_stamp,
            aux_in=self._auxiliary(*about),
        )

    def take_connected(self, response: emsmdb.EcDoConnectExResponse) -> None:
        """The session is open."""
        _require("EcDoConnectEx", response.return_value)
        if response.context_handle == emsmdb.NO_CONTEXT:
            raise RemoteProtocolError("EcDoConnectEx succeeded without a session context")
        self._handle = response.context_handle
        self.session_index = response.session_index
        self.time_stamp = response.time_stamp
        self.poll_interval_s = response.polls_max_ms / 1000
        self.retries = response.retries
        self.retry_delay_s = response.retry_delay_ms / 1000

    def connect_async(self) -> emsmdb.EcDoAsyncConnectExRequest:
        """The call that asks for the asynchronous context."""
        return emsmdb.EcDoAsyncConnectExRequest(self._require_handle())

    def take_async_connected(self, response: emsmdb.EcDoAsyncConnectExResponse) -> None:
        """Notifications can be waited for."""
        _require("EcDoAsyncConnectEx", response.return_value)
        if response.async_context_handle == emsmdb.NO_CONTEXT:
            raise RemoteProtocolError("EcDoAsyncConnectEx succeeded without an asynchronous context")
        self._async_handle = response.async_context_handle

    def wait(self) -> emsmdb.EcDoAsyncWaitExRequest:
        """The call that comes back when there is news, or after minutes without."""
        if self._async_handle == emsmdb.NO_CONTEXT:
            raise LocalProtocolError("EcDoAsyncWaitEx without EcDoAsyncConnectEx")
        return emsmdb.EcDoAsyncWaitExRequest(self._async_handle)

    def take_waited(self, response: emsmdb.EcDoAsyncWaitExResponse) -> bool:
        """Whether there is news to fetch."""
        _require("EcDoAsyncWaitEx", response.return_value)
        return bool(response.flags & emsmdb.NOTIFICATION_PENDING)

    def execute(self, batch: RopBatch, *, chain: bool = False) -> emsmdb.EcDoRpcExt2Request:
        """The call that carries ``batch``; ``chain`` lets the last answer go on over several payloads."""
        transfer = self._transfer
        self._request_id = self._request_id % 0xFFFF + 1
        return emsmdb.EcDoRpcExt2Request(
            context_handle=self._require_handle(),
            rgb_in=write_payload(write_requests(batch.requests, batch.handles), self._forms),
            flags=(0 if transfer.compress_received else emsmdb.NO_COMPRESSION)
            | (0 if transfer.obfuscate else emsmdb.NO_XOR_MAGIC)
            | (emsmdb.CHAIN if chain else 0),
            out_max=ROOM_CHAINED if chain else ROOM_SINGLE,
            aux_in=self._auxiliary(PerfRequestId(self.session_index, self._request_id)),
        )

    def take_executed(self, batch: RopBatch, response: emsmdb.EcDoRpcExt2Response) -> RopResults:
        """The answers to ``batch``; those of single ROPs that failed are among them."""
        if response.context_handle == emsmdb.NO_CONTEXT:
            self._forget()
        _require("EcDoRpcExt2", response.return_value)
        first, *chained = read_payloads(response.rgb_out)
        answers, handles = read_responses(first, batch.requests, self._columns_of(batch))
        for payload in chained:
            answers += read_responses(payload, batch.requests[-1:], self._columns_of(batch))[0]
        results = _sort_out(answers, [ServerObjectHandle(handle) for handle in handles])
        self._remember_columns(batch, results.handles)
        return results

    def disconnect(self) -> emsmdb.EcDoDisconnectRequest:
        """The call that ends the session; there is none any more from now on."""
        request = emsmdb.EcDoDisconnectRequest(self._require_handle())
        self._forget()
        return request

    def take_disconnected(self, response: emsmdb.EcDoDisconnectResponse) -> None:
        """The server agrees that the session is over."""
        _require("EcDoDisconnect", response.return_value)

    def columns_of(self, table: ServerObjectHandle) -> tuple[PropertyTag, ...]:
        """The columns last set on an open table; () if none were."""
        return self._columns.get(table, ())

    def release(self, handle: ServerObjectHandle) -> None:
        """Forget what is known of an object that RopRelease gives back."""
        self._columns.pop(handle, None)

    def _columns_of(self, batch: RopBatch) -> ColumnsOf:
        return lambda index: batch.columns.get(index) or self.columns_of(batch.handles[index])

    def _remember_columns(self, batch: RopBatch, handles: Sequence[ServerObjectHandle]) -> None:
        for index, columns in batch.columns.items():
            if index < len(handles):
                self._columns[handles[index]] = columns

    @property
    def _forms(self) -> int:
        transfer = self._transfer
        return (COMPRESSED if transfer.compress_sent else 0) | (XOR_MAGIC if transfer.obfuscate else 0)

    def _auxiliary(self, *blocks: AuxiliaryBlock) -> bytes:
        if not blocks or not self._transfer.auxiliary:
            return b""
        return write_payload(write_blocks(*blocks), self._forms & XOR_MAGIC)

    def _require_handle(self) -> bytes:
        if not self.connected:
            raise LocalProtocolError("a call of a session that is not connected")
        return self._handle

    def _forget(self) -> None:
        self._handle = self._async_handle = emsmdb.NO_CONTEXT
        self._columns.clear()


def _sort_out(answers: Sequence[object], handles: list[ServerObjectHandle]) -> RopResults:
    responses: list[RopResponse | RopErrorResponse] = []
    notifications: list[RopNotifyResponse] = []
    for answer in answers:
        if isinstance(answer, RopNotifyResponse):
            notifications.append(answer)
        elif isinstance(answer, RopResponse | RopErrorResponse):
            responses.append(answer)
        elif isinstance(answer, RopBufferTooSmallResponse):
            raise MapiError("EcDoRpcExt2", _EC_BUFFER_TOO_SMALL)
        elif isinstance(answer, RopBackoffResponse):
            raise MapiError("RopBackoff", _EC_SERVER_BUSY)
    return RopResults(tuple(responses), tuple(handles), tuple(notifications))


def _require(call: str, return_value: int) -> None:
    if return_value != 0:
        raise MapiError(call, return_value)


def _hash_of(user_dn: str) -> int:
    """ulConMod: any number that is the same each time ([MS-OXCRPC] 3.1.4.1)."""
    value = 0
    for character in user_dn.lower().encode("latin-1", "replace"):
        value = (value * 31 + character) & 0xFFFFFFFF
    return value
