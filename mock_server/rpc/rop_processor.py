"""Carries out the ROPs of one EcDoRpcExt2 ([MS-OXCRPC] 3.1.4.2, [MS-OXCROPS] 3.2.5)."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Writer
from loadgen.wire.extended_buffer import HEADER_SIZE, LARGEST_PAYLOAD
from loadgen.wire.rop.base import RopErrorResponse, RopRequest, RopResponse
from loadgen.wire.rop.buffer import NO_HANDLE, read_requests
from loadgen.wire.rop.oxcfxics_transfer import RopFastTransferSourceGetBufferRequest
from loadgen.wire.rop.oxcnotif import RopPendingResponse
from loadgen.wire.rop.oxcprpt import RopReadStreamRequest, RopWriteStreamResponse
from loadgen.wire.rop.oxcrops import RopBufferTooSmallResponse, RopReleaseRequest
from loadgen.wire.rop.oxctabl import RopQueryRowsRequest
from mock_server.mailboxes.session import Session
from mock_server.rops import (
    oxcfold,
    oxcfxics_download,
    oxcfxics_transfer,
    oxcfxics_upload,
    oxcmsg,
    oxcnotif,
    oxcprpt,
    oxcstor,
    oxctabl,
    oxomsg,
    streams,
)
from mock_server.rops.call import (
    BufferFormatError,
    BufferTooSmallError,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import Logon

_DOCUMENTS: Final = (
    oxcstor,
    oxcfold,
    oxctabl,
    oxcmsg,
    oxcprpt,
    streams,
    oxcnotif,
    oxomsg,
    oxcfxics_transfer,
    oxcfxics_download,
    oxcfxics_upload,
)
HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    rop: handler for document in _DOCUMENTS for rop, handler in document.HANDLERS.items()
}

_ANSWERED_AT: Final = (
    "response_handle_index",
    "output_handle_index",
    "source_handle_index",
    "input_handle_index",
)
"""Which of a request's handle indexes its response repeats; the first that it has."""

_SMALLEST_PAYLOAD_ROOM: Final = 32
"""Bytes that must be left before a ROP is carried out; one that fails needs 6."""

_EMPTY: Final = 2
"""Bytes of a payload that holds no response yet: RopSize."""

_PENDING_SIZE: Final = 3


class _Chain(msgspec.Struct, frozen=True):
    """A ROP that may go on in further payloads, and the room in the answer without which it does not."""

    rest: Callable[[RopCall, Any, Any], RopRequest | None]
    room: int


_CHAINS: Final[Mapping[type[RopRequest], _Chain]] = {
    RopReadStreamRequest: _Chain(streams.rest_of_read, 0x2000),
    RopFastTransferSourceGetBufferRequest: _Chain(oxcfxics_transfer.rest_of_transfer, 0x2000),
    RopQueryRowsRequest: _Chain(oxctabl.rest_of_query, 0x8000),
}
_MOST_PAYLOADS: Final = 96


def process(session: Session, payload: bytes, room: int, *, chain: bool) -> list[bytes]:
    """The payloads that answer ``payload``; with their headers they take at most ``room`` bytes.

    Raises :class:`BufferFormatError` when the payload cannot be read, or names objects beyond its table, and
    :class:`BufferTooSmallError` when an answer would not fit even if it were alone.
    """
    try:
        requests, handles = read_requests(payload, _public_logons(session))
    except WireError:
        raise BufferFormatError from None
    if any(index >= len(handles) for request in requests for index in _handle_indexes(request)):
        raise BufferFormatError
    session.is_executing = True
    try:
        return _Processing(session, handles, room).run(requests, chain=chain)
    finally:
        session.is_executing = False


class _Processing:
    def __init__(self, session: Session, handles: list[int], room: int) -> None:
        self._call = RopCall(session, handles)
        self._room = room
        self._payloads: list[bytes] = []
        self._writer = Writer()

    def run(self, requests: list[RopRequest], *, chain: bool) -> list[bytes]:
        """All payloads: the first answers every request, the others go on with the last."""
        self._begin_payload()
        last: RopResponse | RopErrorResponse | None = None
        for position, request in enumerate(requests):
            try:
                last = self._execute(request)
            except BufferTooSmallError as error:
                if len(self._writer) == _EMPTY:
                    raise
                self._refuse(requests[position:], error.size)
                chain = False
                break
        self._add_notifications()
        self._end_payload()
        if chain and requests and isinstance(last, RopResponse):
            self._go_on(requests[-1], last)
        return self._payloads

    def _execute(self, request: RopRequest) -> RopResponse | RopErrorResponse | None:
        call = self._call
        call.logon_id = request.logon_id
        if isinstance(request, RopReleaseRequest):
            call.release(request.input_handle_index)
            return None
        call.room = self._room_left() - _PENDING_SIZE
        if call.room < _SMALLEST_PAYLOAD_ROOM:
            raise BufferTooSmallError(LARGEST_PAYLOAD)
        try:
            response: RopResponse | RopErrorResponse = HANDLERS[type(request)](call, request)
        except RopError as error:
            output = getattr(request, "output_handle_index", None)
            if output is not None:
                call.handles[output] = NO_HANDLE
            response = _failure(request, error.code)
        start = len(self._writer)
        response.write(self._writer)
        size = len(self._writer) - start
        if size > call.room:
            del self._writer.buffer[start:]
            raise BufferTooSmallError(size)
        return response

    def _go_on(self, request: RopRequest, response: RopResponse) -> None:
        """Chained payloads: the same ROP again for what did not fit ([MS-OXCRPC] 3.1.4.2.1.2)."""
        chain = _CHAINS.get(type(request))
        while chain is not None and len(self._payloads) < _MOST_PAYLOADS and self._room >= chain.room:
            rest = chain.rest(self._call, request, response)
            if rest is None:
                return
            self._begin_payload()
            answer = self._execute(rest)
            self._end_payload()
            if not isinstance(answer, RopResponse):
                return
            request, response = rest, answer

    def _begin_payload(self) -> None:
        self._writer = Writer()
        self._writer.u16(0)

    def _end_payload(self) -> None:
        self._writer.patch_u16(0, len(self._writer))
        for handle in self._call.handles:
            self._writer.u32(handle)
        self._payloads.append(self._writer.getvalue())
        self._room -= HEADER_SIZE + len(self._writer)

    def _room_left(self) -> int:
        whole = min(self._room - HEADER_SIZE, LARGEST_PAYLOAD)
        return whole - len(self._writer) - 4 * len(self._call.handles)

    def _refuse(self, requests: list[RopRequest], size: int) -> None:
        tail = Writer()
        for request in requests:
            request.write(tail)
        RopBufferTooSmallResponse(min(size, LARGEST_PAYLOAD), tail.getvalue()).write(self._writer)

    def _add_notifications(self) -> None:
        session = self._call.session
        for notification in session.notifications.take(self._room_left() - _PENDING_SIZE):
            self._writer.raw(notification)
        if len(session.notifications) and self._room_left() >= _PENDING_SIZE:
            RopPendingResponse(session.index).write(self._writer)


def _handle_indexes(request: RopRequest) -> list[int]:
    return [getattr(request, name) for name in _index_fields(type(request))]


@cache
def _index_fields(kind: type[RopRequest]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name.endswith("_handle_index"))


def _failure(request: RopRequest, code: int) -> RopResponse | RopErrorResponse:
    """The answer of a ROP that failed; some keep their fields then."""
    index = getattr(request, next(name for name in _ANSWERED_AT if hasattr(request, name)))
    kind = request.response_type(code)
    if code not in kind.fields_present_for:
        return RopErrorResponse(request.rop_id, index, code)
    if kind is RopWriteStreamResponse:
        return RopWriteStreamResponse(index, 0, return_value=code)
    return kind(index, return_value=code)


def _public_logons(session: Session) -> frozenset[int]:
    return frozenset(
        logon_id
        for logon_id, logon in session.logons.items()
        if isinstance(logon, Logon) and logon.mailbox is None
    )
