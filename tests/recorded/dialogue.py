"""What the PDUs of one virtual connection say: calls, their methods, the ROPs that they carry."""

import inspect
from collections.abc import Container, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from loadgen.wire import emsmdb, mgmt, nspi, pdu, rfr
from loadgen.wire.extended_buffer import read_payloads
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.properties import PropertyTag, PropertyValue
from loadgen.wire.rop.base import RopRequest
from loadgen.wire.rop.buffer import read_requests, read_responses
from loadgen.wire.rop.oxcnotif import RopNotifyResponse, TableEvent
from loadgen.wire.rop.oxctabl import RopSetColumnsRequest
from loadgen.wire.rop.registry import Response
from tests.recorded.capture import Part


def _methods(*modules: ModuleType) -> Iterator[Any]:
    for module in modules:
        for kind in vars(module).values():
            if inspect.isclass(kind) and hasattr(kind, "opnum") and hasattr(kind, "interface"):
                yield kind


METHODS = {(kind.interface, kind.opnum): kind for kind in _methods(emsmdb, nspi, rfr, mgmt)}

SPECIAL_TABLE_POINTER = slice(24, 28)
"""impacket writes a referent id before pStat of NspiGetSpecialTable, which no server expects."""


class Message(NamedTuple):
    """A whole request or response stub and what it means; ``stray`` are bytes that have no place in it."""

    call_id: int
    context_id: int
    kind: Any
    by_client: bool
    stub: bytes
    value: Any
    stray: bytes = b""


class Dialogue:
    """One RPC connection: joins fragments, knows which interface and method each of them is about.

    Calls whose numbers are ``refused`` mean nothing: the server faults them.
    """

    def __init__(self, refused: Container[int] = ()) -> None:
        self._refused = refused
        self._interfaces: dict[int, SyntaxId] = {}
        self._kinds: dict[int, Any] = {}
        self._stubs: dict[tuple[int, bool], bytes] = {}

    def hear(self, value: pdu.Pdu) -> Message | None:
        """The message that this PDU completes, if it does."""
        match value:
            case pdu.Bind() | pdu.AlterContext():
                for context in value.contexts:
                    self._interfaces.setdefault(context.context_id, context.abstract_syntax)
            case pdu.Request() if value.call_id not in self._refused:
                self._kinds[value.call_id] = METHODS[self._interfaces[value.context_id], value.opnum]
                return self._join(value, by_client=True)
            case pdu.Response():
                return self._join(value, by_client=False)
        return None

    def _join(self, fragment: pdu.Request | pdu.Response, *, by_client: bool) -> Message | None:
        call_id = fragment.call_id
        stub = self._stubs.pop((call_id, by_client), b"") + fragment.stub
        if not fragment.flags & pdu.LAST_FRAG:
            self._stubs[call_id, by_client] = stub
            return None
        kind, stray = self._kinds[call_id], b""
        if not by_client:
            return Message(call_id, fragment.context_id, kind, by_client, stub, kind.decode_response(stub))
        if kind is nspi.NspiGetSpecialTableRequest and len(stub) > kind.size:
            place = SPECIAL_TABLE_POINTER
            stub, stray = stub[: place.start] + stub[place.stop :], stub[place]
        return Message(call_id, fragment.context_id, kind, by_client, stub, kind.decode(stub), stray)


def refused_calls(parts: Iterable[Part], cookies: dict[int, bytes]) -> dict[bytes, set[int]]:
    """The calls that the server answers with a fault, by virtual connection."""
    refused: dict[bytes, set[int]] = {cookie: set() for cookie in cookies.values()}
    for part in parts:
        if not part.by_client and not part.is_head and not part.is_rts:
            value = pdu.decode(part.data)
            if isinstance(value, pdu.Fault):
                refused[cookies[part.port]].add(value.call_id)
    return refused


def whole_requests(parts: Iterable[Part], cookies: dict[int, bytes]) -> dict[tuple[bytes, int], Message]:
    """All requests of a conversation, by virtual connection and call_id."""
    dialogues = {cookie: Dialogue() for cookie in cookies.values()}
    requests = {}
    for part in parts:
        if part.by_client and not part.is_head and not part.is_rts:
            cookie = cookies[part.port]
            message = dialogues[cookie].hear(pdu.decode(part.data))
            if message is not None:
                requests[cookie, message.call_id] = message
    return requests


class RopExchange(NamedTuple):
    """The ROPs of one call and what answers them; a notified row comes with the columns of its table."""

    requests: list[RopRequest]
    handles: list[int]
    responses: list[Response]
    handles_after: list[int]
    notified_rows: list[tuple[TableEvent, Sequence[PropertyTag]]]


class RopReader:
    """Reads the ROP buffers of one session, whose rows mean nothing without the columns set before."""

    def __init__(self) -> None:
        self._columns: dict[int, Sequence[PropertyTag]] = {}

    def read(self, request: emsmdb.EcDoRpcExt2Request, response: emsmdb.EcDoRpcExt2Response) -> RopExchange:
        """None of the recorded calls asks for a chain of payloads; one that failed has none."""
        requests, handles = read_rops(request)
        if response.return_value:
            return RopExchange(requests, handles, [], [], [])
        (payload,) = read_payloads(response.rgb_out)
        responses, after = read_responses(payload, requests, lambda index: self._columns[handles[index]])
        for rop in requests:
            if isinstance(rop, RopSetColumnsRequest):
                self._columns[after[rop.input_handle_index]] = rop.property_tags
        notified = [
            (rop.event, self._columns[rop.notification_handle])
            for rop in responses
            if isinstance(rop, RopNotifyResponse) and isinstance(rop.event, TableEvent)
        ]
        return RopExchange(requests, handles, responses, after, notified)


def read_rops(request: emsmdb.EcDoRpcExt2Request) -> tuple[list[RopRequest], list[int]]:
    """The ROPs of a request and its handle table."""
    (payload,) = read_payloads(request.rgb_in)
    return read_requests(payload)


def property_values(value: object) -> Iterator[PropertyTag]:
    """The tags of all property values in a message, at any depth."""
    if isinstance(value, PropertyValue):
        yield value.tag
    elif isinstance(value, msgspec.Struct):
        columns = getattr(value, "columns", ()) if hasattr(value, "values") else ()
        yield from columns
        for name in value.__struct_fields__:
            yield from property_values(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from property_values(item)


def differences(recorded: object, ours: object, where: str = "") -> Iterator[str]:
    """Where two values differ: the innermost type and its field, or the property tag."""
    if type(recorded) is not type(ours):
        yield where or f"{type(recorded).__name__} and {type(ours).__name__}"
    elif isinstance(recorded, PropertyValue) and isinstance(ours, PropertyValue):
        if recorded != ours:
            yield f"property 0x{recorded.tag:08X}"
    elif isinstance(recorded, msgspec.Struct) and isinstance(ours, msgspec.Struct):
        if hasattr(recorded, "columns") and hasattr(recorded, "values"):
            yield from _differing_columns(recorded, ours)
            return
        for name in recorded.__struct_fields__:
            field = f"{type(recorded).__name__}.{name}"
            yield from differences(getattr(recorded, name), getattr(ours, name), field)
    elif isinstance(recorded, tuple | list) and isinstance(ours, tuple | list):
        if len(recorded) != len(ours):
            yield where
        for one, other in zip(recorded, ours, strict=False):
            yield from differences(one, other, where)
    elif recorded != ours:
        yield where


def _differing_columns(recorded: Any, ours: Any) -> Iterator[str]:
    mine = dict(zip(ours.columns, ours.values, strict=True))
    for tag, value in zip(recorded.columns, recorded.values, strict=True):
        if tag not in mine or mine[tag] != value:
            yield f"property 0x{tag:08X}"
    if set(mine) - set(recorded.columns):
        yield "PropertyRow.columns"
