"""The endpoint mapper of one server ([C706] appendix O): which port serves which interface."""

from collections.abc import Sequence
from typing import Final

from loadgen.errors import RpcFault
from loadgen.wire import epm
from loadgen.wire.pdu import NDR, SyntaxId
from mock_server.rpc.dispatch import CONTEXT_MISMATCH, AssociationGroup, CallContext, Interface

_MOST_ENTRIES: Final = 500
"""Of one answer ([MS-RPCE] 2.2.1.2.5)."""
_INTERFACE_FLOOR, _TRANSFER_FLOOR = range(2)


class _Rest:
    """The entries that an enumeration has still to tell."""

    def __init__(self, entries: Sequence[epm.Entry]) -> None:
        self.entries = entries


class _EndpointMapper:
    def __init__(self, entries: Sequence[epm.Entry]) -> None:
        self._entries = tuple(entries)

    def lookup(self, context: CallContext, stub: bytes) -> bytes:
        """Entries in the order of their registration; those of objects are none."""
        request = epm.EptLookupRequest.decode(stub)
        if request.inquiry > epm.MATCH_BY_BOTH:
            raise RpcFault(epm.NOT_REGISTERED)
        found = [entry for entry in self._entries if self._is_meant(entry, request)]
        entries, handle = _next(context.association, found, request.entry_handle, request.max_entries)
        status = 0 if entries else epm.NOT_REGISTERED
        return epm.EptLookupResponse(tuple(entries), request.max_entries, status, handle).encode()

    def map(self, context: CallContext, stub: bytes) -> bytes:
        """The towers that go down as the client's does, with the ports and addresses of the server."""
        request = epm.EptMapRequest.decode(stub)
        found = [entry for entry in self._entries if _leads_to(request.tower, entry.tower)]
        entries, handle = _next(context.association, found, request.entry_handle, request.max_towers)
        towers = tuple(entry.tower for entry in entries)
        status = 0 if towers else epm.NOT_REGISTERED
        return epm.EptMapResponse(towers, request.max_towers, status, handle).encode()

    def free(self, context: CallContext, stub: bytes) -> bytes:
        """The client wants no more of an enumeration."""
        handle = epm.EptLookupHandleFreeRequest.decode(stub).entry_handle
        if handle != epm.NO_HANDLE:
            context.association.find(handle, _Rest)
            context.association.close_handle(handle)
        return epm.EptLookupHandleFreeResponse().encode()

    def _is_meant(self, entry: epm.Entry, request: epm.EptLookupRequest) -> bool:
        if request.inquiry in (epm.MATCH_BY_INTERFACE, epm.MATCH_BY_BOTH) and not (
            request.syntax is not None and _serves(entry.tower.interface, request.syntax)
        ):
            return False
        by_object = request.inquiry in (epm.MATCH_BY_OBJECT, epm.MATCH_BY_BOTH)
        return not by_object or request.object_uuid in (None, entry.object_uuid)


def _next(
    group: AssociationGroup, found: Sequence[epm.Entry], handle: bytes, most: int
) -> tuple[Sequence[epm.Entry], bytes]:
    """So many entries, of an enumeration that goes on if there is a handle, and the handle for the others."""
    if most > _MOST_ENTRIES:
        raise RpcFault(CONTEXT_MISMATCH)
    if handle != epm.NO_HANDLE:
        found = group.find(handle, _Rest).entries
        group.close_handle(handle)
    rest = found[most:]
    return found[:most], group.open_handle(_Rest(rest)) if rest else epm.NO_HANDLE


def _leads_to(asked: epm.Tower, served: epm.Tower) -> bool:
    """Whether a tower has the same protocols, and compatible versions of interface and transfer syntax."""
    if len(asked.floors) != len(served.floors):
        return False
    protocols = [
        (one.protocol, other.protocol) for one, other in zip(asked.floors, served.floors, strict=True)
    ]
    syntax = asked.interface
    return (
        syntax is not None
        and _serves(served.interface, syntax)
        and asked.floors[_TRANSFER_FLOOR].interface == NDR
        and all(one == other for one, other in protocols[_TRANSFER_FLOOR + 1 :])
    )


def _serves(served: SyntaxId | None, asked: SyntaxId) -> bool:
    """The same interface and major version, and that minor version or a later one."""
    return (
        served is not None
        and served.uuid == asked.uuid
        and served.version & 0xFFFF == asked.version & 0xFFFF
        and served.version >> 16 >= asked.version >> 16
    )


def epm_interface(entries: Sequence[epm.Entry]) -> Interface:
    """EPM 3.0 over what the server has registered."""
    mapper = _EndpointMapper(entries)
    return Interface(
        epm.INTERFACE,
        {
            epm.EptLookupRequest.opnum: mapper.lookup,
            epm.EptMapRequest.opnum: mapper.map,
            epm.EptLookupHandleFreeRequest.opnum: mapper.free,
        },
    )
