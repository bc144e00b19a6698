"""Single properties read and written as streams of bytes ([MS-OXCPRPT] 3.2.5.11 to 3.2.5.20)."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from loadgen.wire.properties import PropertyTag, PtypBinary, PtypString, PtypString8
from loadgen.wire.rop import oxcprpt as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.property_bag import read_property
from mock_server.mailboxes.session import ServerObject
from mock_server.rops.call import (
    ACCESS_DENIED,
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    TOO_BIG,
    BufferTooSmallError,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import PropertyHolder, find_holder

_CODECS: Final = {PtypString: "utf-16-le", PtypString8: "latin-1"}
_STREAMABLE: Final = (PtypBinary, *_CODECS)
_MODES: Final = (wire.STREAM_READ_ONLY, wire.STREAM_READ_WRITE, wire.STREAM_CREATE)
_BEST_ACCESS: Final = 3
_LARGEST: Final = 0x8000000
"""Bytes in a stream: far more than a server lets users send, far less than would exhaust the machine."""

_HEADER: Final = 8
"""RopId, handle index, ReturnValue and DataSize of RopReadStream."""

_ENOUGH_TO_GO_ON: Final = 256
"""With less room than this a read waits for the next call."""


class StreamObject(ServerObject):
    """The bytes of one property; what is written reaches the property on commit, or when the handle goes."""

    def __init__(self, holder: PropertyHolder, tag: PropertyTag, data: bytes, *, writable: bool) -> None:
        super().__init__()
        self.holder = holder
        self.tag = tag
        self.data: bytes | bytearray = data
        self.writable = writable
        self.position = 0
        self._is_dirty = False

    def write(self, data: bytes) -> None:
        """Put bytes at the position; raises :class:`RopError`."""
        buffer = self._buffer()
        end = self.position + len(data)
        if end > _LARGEST:
            raise RopError(TOO_BIG)
        if self.position > len(buffer):
            buffer.extend(bytes(self.position - len(buffer)))
        buffer[self.position : end] = data
        self.position = end

    def resize(self, size: int) -> None:
        """Cut off, or fill up with zeros; raises :class:`RopError`."""
        buffer = self._buffer()
        if size > _LARGEST:
            raise RopError(TOO_BIG)
        del buffer[size:]
        buffer.extend(bytes(size - len(buffer)))

    def _buffer(self) -> bytearray:
        if not self.writable:
            raise RopError(ACCESS_DENIED)
        self._is_dirty = True
        if not isinstance(self.data, bytearray):
            self.data = bytearray(self.data)
        return self.data

    def commit(self) -> None:
        """Hand what was written over to the object; raises :class:`RopError`."""
        if not self._is_dirty:
            return
        data = bytes(self.data)
        codec = _CODECS.get(self.tag & 0xFFFF)
        value = data if codec is None else data.decode(codec, "replace").partition("\0")[0]
        self.holder.change({self.tag: value}, ())
        self._is_dirty = False

    def release(self) -> None:
        """What was not committed is, if the object still takes it."""
        try:
            self.commit()
        except RopError:
            self._is_dirty = False


def open_stream(call: RopCall, request: wire.RopOpenStreamRequest) -> RopResponse:
    """RopOpenStream ([MS-OXCPRPT] 3.2.5.11)."""
    holder = find_holder(call, request.input_handle_index)
    tag, mode = request.property_tag, request.open_mode_flags
    if tag & 0xFFFF not in _STREAMABLE:
        raise RopError(NOT_SUPPORTED)
    if mode not in (*_MODES, _BEST_ACCESS):
        raise RopError(INVALID_PARAMETER)
    writable = mode != wire.STREAM_READ_ONLY
    if writable and (code := holder.refusal(tag)):
        raise RopError(code)
    value = read_property(holder, tag)
    codec = _CODECS.get(tag & 0xFFFF)
    if mode == wire.STREAM_CREATE:
        value = b"" if codec is None else ""
        holder.change({tag: value}, ())
    if value is None:
        raise RopError(NOT_FOUND)
    data: bytes = value if codec is None else value.encode(codec)
    call.open(request.output_handle_index, StreamObject(holder, tag, data, writable=writable))
    return wire.RopOpenStreamResponse(request.output_handle_index, len(data))


def read_stream(call: RopCall, request: wire.RopReadStreamRequest) -> RopResponse:
    """RopReadStream ([MS-OXCPRPT] 3.2.5.12): as much as is there, was asked for and fits."""
    stream = call.find(request.input_handle_index, StreamObject)
    room = call.room - _HEADER
    wanted = min(_byte_count(request), max(len(stream.data) - stream.position, 0))
    if wanted > room and room < _ENOUGH_TO_GO_ON:
        raise BufferTooSmallError(wanted + _HEADER)
    end = stream.position + min(wanted, room)
    data = bytes(stream.data[stream.position : end])
    stream.position += len(data)
    return wire.RopReadStreamResponse(request.input_handle_index, data)


def rest_of_read(
    call: RopCall, request: wire.RopReadStreamRequest, response: wire.RopReadStreamResponse
) -> wire.RopReadStreamRequest | None:
    """The same read for what did not fit; None if there is no more ([MS-OXCRPC] 3.1.4.2.1)."""
    stream = call.find(request.input_handle_index, StreamObject)
    left = _byte_count(request) - len(response.data)
    if left <= 0 or stream.position >= len(stream.data):
        return None
    return replace(request, byte_count=wire.MAXIMUM_BYTE_COUNT_FOLLOWS, maximum_byte_count=left)


def _byte_count(request: wire.RopReadStreamRequest) -> int:
    follows = request.byte_count == wire.MAXIMUM_BYTE_COUNT_FOLLOWS
    return request.maximum_byte_count if follows else request.byte_count


def write_stream(call: RopCall, request: wire.RopWriteStreamRequest) -> RopResponse:
    """RopWriteStream ([MS-OXCPRPT] 3.2.5.13)."""
    call.find(request.input_handle_index, StreamObject).write(request.data)
    return wire.RopWriteStreamResponse(request.input_handle_index, len(request.data))


def commit_stream(call: RopCall, request: wire.RopCommitStreamRequest) -> RopResponse:
    """RopCommitStream ([MS-OXCPRPT] 3.2.5.14)."""
    call.find(request.input_handle_index, StreamObject).commit()
    return wire.RopCommitStreamResponse(request.input_handle_index)


def get_stream_size(call: RopCall, request: wire.RopGetStreamSizeRequest) -> RopResponse:
    """RopGetStreamSize ([MS-OXCPRPT] 3.2.5.16)."""
    stream = call.find(request.input_handle_index, StreamObject)
    return wire.RopGetStreamSizeResponse(request.input_handle_index, len(stream.data))


def set_stream_size(call: RopCall, request: wire.RopSetStreamSizeRequest) -> RopResponse:
    """RopSetStreamSize ([MS-OXCPRPT] 3.2.5.17)."""
    call.find(request.input_handle_index, StreamObject).resize(request.stream_size)
    return wire.RopSetStreamSizeResponse(request.input_handle_index)


def seek_stream(call: RopCall, request: wire.RopSeekStreamRequest) -> RopResponse:
    """RopSeekStream ([MS-OXCPRPT] 3.2.5.18)."""
    stream = call.find(request.input_handle_index, StreamObject)
    origins = {
        wire.SEEK_BEGINNING: 0,
        wire.SEEK_CURRENT: stream.position,
        wire.SEEK_END: len(stream.data),
    }
    origin = origins.get(request.origin)
    if origin is None or not 0 <= origin + request.offset <= _LARGEST:
        raise RopError(INVALID_PARAMETER)
    stream.position = origin + request.offset
    return wire.RopSeekStreamResponse(request.input_handle_index, stream.position)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopOpenStreamRequest: open_stream,
    wire.RopReadStreamRequest: read_stream,
    wire.RopWriteStreamRequest: write_stream,
    wire.RopCommitStreamRequest: commit_stream,
    wire.RopGetStreamSizeRequest: get_stream_size,
    wire.RopSetStreamSizeRequest: set_stream_size,
    wire.RopSeekStreamRequest: seek_stream,
}
