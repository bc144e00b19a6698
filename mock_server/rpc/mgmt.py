"""Remote management ([C706] appendix Q), which every RPC server answers on every endpoint."""

from collections.abc import Iterable
from typing import Final

from loadgen.wire import mgmt
from loadgen.wire.pdu import SyntaxId
from mock_server.counters import RpcStatistics
from mock_server.rpc.dispatch import ACCESS_DENIED, CallContext, Interface

UNKNOWN_AUTHN_SERVICE: Final = 0x6D3


class _Management:
    def __init__(self, interfaces: Iterable[SyntaxId], statistics: RpcStatistics) -> None:
        self._interfaces = (*interfaces, mgmt.INTERFACE)
        self._statistics = statistics

    def inq_if_ids(self, _context: CallContext, stub: bytes) -> bytes:
        mgmt.InqIfIdsRequest.decode(stub)
        return mgmt.InqIfIdsResponse(self._interfaces).encode()

    def inq_stats(self, _context: CallContext, stub: bytes) -> bytes:
        room = mgmt.InqStatsRequest.decode(stub).count
        figures = self._statistics
        counts = (figures.calls, 0, figures.packets_in, figures.packets_out)
        return mgmt.InqStatsResponse(tuple(count & 0xFFFFFFFF for count in counts[:room])).encode()

    def is_server_listening(self, _context: CallContext, stub: bytes) -> bytes:
        mgmt.IsServerListeningRequest.decode(stub)
        return mgmt.IsServerListeningResponse(listening=True).encode()

    def stop_server_listening(self, _context: CallContext, stub: bytes) -> bytes:
        mgmt.StopServerListeningRequest.decode(stub)
        return mgmt.StopServerListeningResponse(ACCESS_DENIED).encode()

    def inq_princ_name(self, _context: CallContext, stub: bytes) -> bytes:
        """Nobody has registered authentication, so there is no name to tell."""
        request = mgmt.InqPrincNameRequest.decode(stub)
        return mgmt.InqPrincNameResponse("", request.princ_name_size, UNKNOWN_AUTHN_SERVICE).encode()


def mgmt_interface(interfaces: Iterable[SyntaxId], statistics: RpcStatistics) -> Interface:
    """MGMT 1.0 for an endpoint that serves ``interfaces`` beside it."""
    management = _Management(interfaces, statistics)
    return Interface(
        mgmt.INTERFACE,
        {
            mgmt.InqIfIdsRequest.opnum: management.inq_if_ids,
            mgmt.InqStatsRequest.opnum: management.inq_stats,
            mgmt.IsServerListeningRequest.opnum: management.is_server_listening,
            mgmt.StopServerListeningRequest.opnum: management.stop_server_listening,
            mgmt.InqPrincNameRequest.opnum: management.inq_princ_name,
        },
    )
