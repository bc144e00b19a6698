"""Asking the referral service which directory server to use, and what servers are called ([MS-OXABREF])."""

from typing import Final

from loadgen.client.account import Account
from loadgen.client.transport import RpcConnection
from loadgen.errors import MapiError, WrongAnswer
from loadgen.wire.rfr import RfrGetFQDNFromServerDNRequest, RfrGetNewDSARequest

_SERVERS: Final = "/cn=servers/cn="
"""What stands before a server's name in its DN."""


async def refer(connection: RpcConnection, account: Account) -> str:
    """The server that answers directory calls of ``account``; raises :class:`~loadgen.errors.PeerError`."""
    response = await connection.call(RfrGetNewDSARequest(account.legacy_dn))
    if response.return_value != 0:
        raise MapiError("RfrGetNewDSA", response.return_value)
    if response.server is None or not response.server.name:
        raise WrongAnswer("RfrGetNewDSA names no server")
    return response.server.name


async def name_of_server(connection: RpcConnection, dn: str) -> str:
    """What a server is called, given its DN or that of a database on it.

    A service that does not know says nothing that the DN does not, so then it is the name in there; raises
    :class:`~loadgen.errors.PeerError` if the call fails in any other way.
    """
    response = await connection.call(RfrGetFQDNFromServerDNRequest(dn))
    if response.return_value == 0 and response.server_fqdn:
        return response.server_fqdn
    _, _, behind = dn.lower().rpartition(_SERVERS)
    start = len(dn) - len(behind)
    return dn[start:].partition("/")[0] if behind != dn.lower() else ""
