"""What the PDUs of one virtual connection are called: interface, method, and the ROPs that it carries."""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from loadgen.errors import WireError
from loadgen.trace.record import Record
from loadgen.wire import emsmdb, epm, mgmt, nspi, pdu, rfr, rts
from loadgen.wire.extended_buffer import read_payloads
from loadgen.wire.pdu import PduType, SyntaxId
from loadgen.wire.rop.buffer import read_requests

_MODULES: Final = (emsmdb, nspi, rfr, mgmt, epm)
INTERFACES: Final[dict[SyntaxId, str]] = {
    emsmdb.INTERFACE: "EMSMDB",
    emsmdb.ASYNC_INTERFACE: "AsyncEMSMDB",
    nspi.INTERFACE: "NSPI",
    rfr.INTERFACE: "RFR",
    mgmt.INTERFACE: "MGMT",
    epm.INTERFACE: "EPM",
}
_LEVELS: Final = {2: "connect", 5: "integrity", 6: "privacy"}
_AUTH_TYPES: Final = {9: "SPNEGO", 10: "NTLM", 16: "Kerberos"}
_PRIVACY: Final = 6
_TYPES: Final = {
    value: name.lower() for name, value in vars(PduType).items() if name.isupper() and isinstance(value, int)
}
_MOST_JOINED: Final = 1 << 20
_MAP: Final = "EPM.EptMap"


def _methods(modules: Iterable[ModuleType]) -> Iterator[tuple[tuple[SyntaxId, int], Any]]:
    for module in modules:
        for kind in vars(module).values():
            if isinstance(kind, type) and hasattr(kind, "opnum") and hasattr(kind, "interface"):
                yield (kind.interface, kind.opnum), kind


_METHODS: Final[dict[tuple[SyntaxId, int], Any]] = dict(_methods(_MODULES))


def interface_name(interface: SyntaxId) -> str:
    """The short name of an interface that we know, else its UUID and version."""
    version = f"{interface.version & 0xFFFF}.{interface.version >> 16}"
    return f"{INTERFACES.get(interface) or UUID(bytes_le=interface.uuid)} {version}"


class Dialogue:
    """One RPC connection as an onlooker understands it, over however many channels."""

    def __init__(self) -> None:
        self._interfaces: dict[int, SyntaxId] = {}
        self._calls: dict[int, str] = {}
        self._stubs: dict[int, bytes] = {}

    def hear(self, data: bytes) -> Record:
        """What a PDU says; one that cannot be read says at least its type and why."""
        ptype = data[2]
        if ptype == PduType.RTS:
            return _rts_record(data)
        name = _TYPES.get(ptype, f"PDU type {ptype}")
        try:
            return Record("RPC", name, len(data), self._detail(pdu.decode(data)))
        except WireError as error:
            return Record("RPC", name, len(data), f"malformed: {error}")

    def _detail(self, message: pdu.Pdu) -> str:
        match message:
            case pdu.Bind() | pdu.AlterContext():
                return self._proposal(message)
            case pdu.BindAck() | pdu.AlterContextResponse():
                results = ", ".join(_result(result) for result in message.results)
                return f"call {message.call_id}: {results}{_security(message.auth)}"
            case pdu.BindNak():
                return f"call {message.call_id}: reason {message.reason}"
            case pdu.Request():
                return f"call {message.call_id}: {self._request(message)}{_security(message.auth)}"
            case pdu.Response():
                return f"call {message.call_id}: {self._response(message)}{_security(message.auth)}"
            case pdu.Fault():
                called = self._calls.get(message.call_id, "a call that was not seen")
                return f"call {message.call_id}: {called}, status 0x{message.status:08X}"
            case _:
                return f"call {message.call_id}{_security(message.auth)}"

    def _proposal(self, proposal: pdu.Bind | pdu.AlterContext) -> str:
        names = []
        for context in proposal.contexts:
            if any(pdu.offered_features(syntax) is not None for syntax in context.transfer_syntaxes):
                continue
            self._interfaces[context.context_id] = context.abstract_syntax
            names.append(interface_name(context.abstract_syntax))
        return f"call {proposal.call_id}: {', '.join(names)}{_security(proposal.auth)}"

    def _request(self, request: pdu.Request) -> str:
        if not request.flags & pdu.FIRST_FRAG:
            called = self._calls.get(request.call_id, "")
            return f"{called}, continued{self._rops(request)}"
        interface = self._interfaces.get(request.context_id)
        if interface is None:
            return f"context {request.context_id}, opnum {request.opnum}"
        kind = _METHODS.get((interface, request.opnum))
        method = f"opnum {request.opnum}" if kind is None else kind.__name__.removesuffix("Request")
        called = f"{interface_name(interface).partition(' ')[0]}.{method}"
        self._calls[request.call_id] = called
        return called + (_wanted(request.stub) if called == _MAP else self._rops(request))

    def _rops(self, request: pdu.Request) -> str:
        """The ROPs of a call that is complete, if they can be read."""
        if request.auth is not None and request.auth.auth_level == _PRIVACY:
            return ""
        stub = self._stubs.pop(request.call_id, b"") + request.stub
        if not request.flags & pdu.LAST_FRAG:
            if len(stub) <= _MOST_JOINED:
                self._stubs[request.call_id] = stub
            return ""
        if self._calls.get(request.call_id) != "EMSMDB.EcDoRpcExt2":
            return ""
        try:
            called = emsmdb.EcDoRpcExt2Request.decode(stub)
            payloads = read_payloads(called.rgb_in)
            rops = [rop for payload in payloads for rop in read_requests(payload)[0]]
        except WireError:
            return " [ROPs that cannot be read]"
        return f" [{', '.join(type(rop).__name__.removesuffix('Request') for rop in rops)}]"

    def _response(self, response: pdu.Response) -> str:
        called = self._calls.get(response.call_id, "a call that was not seen")
        sealed = response.auth is not None and response.auth.auth_level == _PRIVACY
        if sealed or not response.flags & pdu.LAST_FRAG or len(response.stub) < 4:
            return called
        mapped = _mapped(response.stub) if called == _MAP else ""
        return f"{called} returns 0x{int.from_bytes(response.stub[-4:], 'little'):08X}{mapped}"


def _wanted(stub: bytes) -> str:
    """The interface that an endpoint mapper is asked for."""
    try:
        interface = epm.EptMapRequest.decode(stub).tower.interface
    except WireError:
        return " [a tower that cannot be read]"
    return f" [{interface_name(interface)}]" if interface is not None else ""


def _mapped(stub: bytes) -> str:
    """Where it says that the interface is."""
    try:
        towers = epm.EptMapResponse.decode(stub).towers
    except WireError:
        return " [towers that cannot be read]"
    endpoints = filter(None, (tower.tcp_endpoint for tower in towers))
    return f" [{', '.join(f'{address}:{port}' for address, port in endpoints) or 'nowhere'}]"


def _rts_record(data: bytes) -> Record:
    try:
        message = rts.RtsPdu.decode(data)
    except WireError as error:
        return Record("RTS", "RTS", len(data), f"malformed: {error}")
    name = " or ".join(message.names) or "RTS PDU of unknown shape"
    return Record("RTS", name, len(data), ", ".join(map(_command, message.commands)))


def _command(command: rts.Command) -> str:
    values = (getattr(command, name) for name in command.__struct_fields__)
    shown = (value.hex() if isinstance(value, bytes) else str(value) for value in values)
    return " ".join((type(command).__name__, *shown))


def _result(result: pdu.ContextResult) -> str:
    if result.result == pdu.ACCEPTANCE:
        return "accepted"
    if result.result == pdu.NEGOTIATE_ACK:
        return f"features {result.reason}"
    return f"refused (result {result.result}, reason {result.reason})"


def _security(auth: pdu.AuthVerifier | None) -> str:
    if auth is None:
        return ""
    kind = _AUTH_TYPES.get(auth.auth_type, f"security {auth.auth_type}")
    return f", {kind} {_LEVELS.get(auth.auth_level, str(auth.auth_level))}"
