"""Which directory server a user is sent to."""

import pytest

from loadgen.client.referral import refer
from loadgen.errors import MapiError, RpcFault, WrongAnswer
from loadgen.wire import rfr

from .scripted import ScriptedConnection, ScriptedReferral, make_account

ACCOUNT = make_account(7)


@pytest.fixture
def connection() -> ScriptedConnection:
    return ScriptedConnection(ScriptedReferral("dc1.contoso.test"), (rfr.INTERFACE,))


async def test_the_server_that_is_named(connection):
    assert await refer(connection, ACCOUNT) == "dc1.contoso.test"
    (request,) = connection.requests
    assert (request.user_dn, request.flags) == (ACCOUNT.legacy_dn, 0)
    assert request.server == rfr.NamePlace("")


@pytest.mark.parametrize("place", [None, rfr.NamePlace(None), rfr.NamePlace("")])
async def test_no_server_is_named(connection, place):
    connection.answer.change(rfr.RfrGetNewDSARequest, server=place)
    with pytest.raises(WrongAnswer, match="RfrGetNewDSA names no server"):
        await refer(connection, ACCOUNT)


async def test_refusals(connection):
    connection.answer.change(rfr.RfrGetNewDSARequest, return_value=rfr.GENERAL_FAILURE)
    with pytest.raises(MapiError) as refusal:
        await refer(connection, ACCOUNT)
    assert (refusal.value.call, refusal.value.code) == ("RfrGetNewDSA", rfr.GENERAL_FAILURE)
    connection.answer.fail(rfr.RfrGetNewDSARequest)
    with pytest.raises(RpcFault):
        await refer(connection, ACCOUNT)
