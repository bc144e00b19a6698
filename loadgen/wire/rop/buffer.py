"""The ROP buffer ([MS-OXCROPS] 2.2.1): a list of ROPs, and the table of objects that they name by index.

It is the payload of one extended buffer: RopSize (u16, itself included), the ROPs, then handles to the end.
"""

from collections.abc import Container, Iterable, Sequence
from struct import Struct
from typing import Final, Protocol, TypeAlias

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.base import ColumnsOf, RopErrorResponse, RopRequest, RopResponse
from loadgen.wire.rop.oxcmsg import RopOpenMessageResponse
from loadgen.wire.rop.oxcprpt import RopProgressResponse
from loadgen.wire.rop.oxctabl import RopSetColumnsRequest
from loadgen.wire.rop.registry import REQUESTS, UNREQUESTED, Response

NO_HANDLE: Final = 0xFFFFFFFF
"""Stands in the handle table for an object that is yet to be opened, or that could not be."""

Handles: TypeAlias = list[int]

_HANDLE = Struct("<I")


class _Writable(Protocol):
    def write(self, writer: Writer) -> None: ...


def write_requests(requests: Sequence[RopRequest], handles: Sequence[int]) -> bytes:
    """The payload of a request."""
    return _write(requests, handles)


def write_responses(responses: Sequence[Response], handles: Sequence[int]) -> bytes:
    """The payload of an answer."""
    return _write(responses, handles)


def read_requests(payload: bytes, public_logons: Container[int] = ()) -> tuple[list[RopRequest], Handles]:
    """The requests and the handle table; raises :class:`WireError`, also for a ROP that the registry lacks.

    ``public_logons`` are the LogonIds of public folder stores.
    """
    reader = Reader(payload)
    requests: list[RopRequest] = []
    with reader.limited_to(_list_size(reader), "RopsList"):
        while reader.remaining:
            rop_id = reader.u8("RopId")
            request = REQUESTS.get(rop_id)
            if request is None:
                raise WireError("RopId", reader.offset - 1, f"0x{rop_id:02X} is not known")
            requests.append(request.read(reader, public_logons))
    return requests, _read_handles(reader)


def read_responses(
    payload: bytes, requests: Iterable[RopRequest], columns_of: ColumnsOf
) -> tuple[list[Response], Handles]:
    """The responses to ``requests`` in their order, then what the server adds, and the handle table.

    ``columns_of`` gives the columns last set on the table (or told for the message) at a handle index; those
    that these very ROPs set or tell come first. A server that stops early leaves out the last responses.
    Raises :class:`WireError`.
    """
    reader = Reader(payload)
    with reader.limited_to(_list_size(reader), "RopsList"):
        responses = _read_list(reader, requests, columns_of)
    return responses, _read_handles(reader)


def _write(rops: Iterable[_Writable], handles: Iterable[int]) -> bytes:
    writer = Writer()
    writer.u16(0)
    for rop in rops:
        rop.write(writer)
    writer.patch_u16(0, len(writer))
    for handle in handles:
        writer.u32(handle)
    return writer.getvalue()


def _list_size(reader: Reader) -> int:
    size = reader.u16("RopSize")
    if size < 2:
        raise WireError("RopSize", 0, f"{size} does not even hold itself")
    return size - 2


def _read_handles(reader: Reader) -> Handles:
    start = reader.offset
    table = reader.rest()
    if len(table) % _HANDLE.size:
        raise WireError("ServerObjectHandleTable", start, f"{len(table)} bytes")
    return [handle for (handle,) in _HANDLE.iter_unpack(table)]


def _read_list(reader: Reader, requests: Iterable[RopRequest], columns_of: ColumnsOf) -> list[Response]:
    set_here: dict[int, Sequence[PropertyTag]] = {}

    def columns_now(handle_index: int) -> Sequence[PropertyTag]:
        return set_here[handle_index] if handle_index in set_here else columns_of(handle_index)

    responses: list[Response] = []
    pending = (request for request in requests if request.answered)
    while reader.remaining:
        rop_id = reader.u8("RopId")
        unrequested = UNREQUESTED.get(rop_id)
        if unrequested is not None:
            responses.append(unrequested.read(reader))
            continue
        request = next(pending, None)
        if request is None:
            raise WireError("RopId", reader.offset - 1, f"0x{rop_id:02X} answers no request")
        response = _read_response(reader, rop_id, request, columns_now)
        if isinstance(response, RopOpenMessageResponse):
            set_here[response.handle_index] = response.recipient_columns
        elif isinstance(request, RopSetColumnsRequest) and isinstance(response, RopResponse):
            set_here[request.input_handle_index] = request.property_tags
        responses.append(response)
    return responses


def _read_response(
    reader: Reader, rop_id: int, request: RopRequest, columns_of: ColumnsOf
) -> RopResponse | RopErrorResponse:
    handle_index, return_value = reader.u8("HandleIndex"), reader.u32("ReturnValue")
    kind = request.response_type(return_value)
    if rop_id == RopProgressResponse.rop_id:
        kind = RopProgressResponse  # a request with WantAsynchronous goes on in the background
    elif rop_id != request.rop_id:
        raise WireError("RopId", reader.offset - 6, f"0x{rop_id:02X} answers 0x{request.rop_id:02X}")
    if not kind.fields_follow(reader, return_value):
        return RopErrorResponse(rop_id, handle_index, return_value)
    return kind.read(reader, handle_index, return_value, request.response_columns(columns_of))
