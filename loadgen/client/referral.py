"""Asking the referral service which directory server to use ([MS-OXABREF])."""

from loadgen.client.account import Account
from loadgen.client.transport import RpcConnection
from loadgen.errors import MapiError, WrongAnswer
from loadgen.wire.rfr import RfrGetNewDSARequest


async def refer(connection: RpcConnection, account: Account) -> str:
    """The server that answers directory calls of ``account``; raises :class:`~loadgen.errors.PeerError`."""
    response = await connection.call(RfrGetNewDSARequest(account.legacy_dn))
    if response.return_value != 0:
        raise MapiError("RfrGetNewDSA", response.return_value)
    if response.server is None or not response.server.name:
        raise WrongAnswer("RfrGetNewDSA names no server")
    return response.server.name
