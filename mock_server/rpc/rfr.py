"""The referral interface as a mailbox server serves it ([MS-OXABREF] 3.1)."""

from collections.abc import Sequence
from itertools import cycle

from loadgen.wire import rfr
from mock_server.directory import Directory, Server
from mock_server.rpc.dispatch import CallContext, Interface


class _Rfr:
    def __init__(self, directory: Directory, global_catalogs: Sequence[str]) -> None:
        self._directory = directory
        self._global_catalogs = cycle(global_catalogs)

    def get_new_dsa(self, context: CallContext, stub: bytes) -> bytes:
        """The mailbox server of the user, where DSProxy is; this server, if no user is named.

        A server that refers clients to global catalogs names these in turn.
        """
        request = rfr.RfrGetNewDSARequest.decode(stub)
        user = self._directory.by_dn(request.user_dn)
        if user is not None:
            server: Server | None = self._directory.home_server(user)
        else:
            server = None if request.user_dn else self._directory.server_by_host(context.server_name)
        return rfr.RfrGetNewDSAResponse(
            _filled(request.server, None if server is None else next(self._global_catalogs, server.fqdn)),
            _filled(request.unused, None),
            rfr.GENERAL_FAILURE if server is None else rfr.SUCCESS,
        ).encode()

    def get_fqdn_from_server_dn(self, _context: CallContext, stub: bytes) -> bytes:
        """The server's name, also if the name of its mailbox database is given, as clients do."""
        dn = rfr.RfrGetFQDNFromServerDNRequest.decode(stub).server_dn
        server = self._directory.server_by_dn(dn) or self._directory.server_by_store_dn(dn)
        if server is None:
            return rfr.RfrGetFQDNFromServerDNResponse(None, rfr.GENERAL_FAILURE).encode()
        return rfr.RfrGetFQDNFromServerDNResponse(server.fqdn).encode()


def _filled(place: rfr.NamePlace | None, name: str | None) -> rfr.NamePlace | None:
    # A null pointer at the outer level stays one: there is no place for a name behind it.
    return None if place is None else rfr.NamePlace(name)


def rfr_interface(directory: Directory, global_catalogs: Sequence[str] = ()) -> Interface:
    """RFR 1.0 over ``directory``; clients are referred to ``global_catalogs`` if any are named."""
    service = _Rfr(directory, global_catalogs)
    return Interface(
        rfr.INTERFACE,
        {
            rfr.RfrGetNewDSARequest.opnum: service.get_new_dsa,
            rfr.RfrGetFQDNFromServerDNRequest.opnum: service.get_fqdn_from_server_dn,
        },
    )
