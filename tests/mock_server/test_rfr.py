"""The referral interface of the mock."""

import pytest
from impacket.dcerpc.v5 import oxabref

from loadgen.errors import WireError
from loadgen.wire import rfr
from mock_server.directory import Directory, Organisation
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.rfr import rfr_interface

DIRECTORY = Directory(Organisation(servers=("MBX1", "MBX2")), 4)
INTERFACE = rfr_interface(DIRECTORY)
CONTEXT = CallContext("", AssociationGroup(1), "MBX1")


def call(request):
    return request.decode_response(INTERFACE.methods[request.opnum](CONTEXT, request.encode()))


def test_interface():
    assert INTERFACE.interface == rfr.INTERFACE
    assert sorted(INTERFACE.methods) == [0, 1]


@pytest.mark.parametrize(
    ("dn", "server"),
    [
        (DIRECTORY.users[0].dn, "mbx1.contoso.test"),
        (DIRECTORY.users[1].dn.upper(), "mbx2.contoso.test"),
        ("", "mbx1.contoso.test"),
    ],
)
def test_the_users_own_server(dn: str, server: str):
    assert call(rfr.RfrGetNewDSARequest(dn)) == rfr.RfrGetNewDSAResponse(rfr.NamePlace(server))


def test_names_go_where_the_client_has_a_place():
    dn = DIRECTORY.users[0].dn
    nothing, name = rfr.NamePlace(None), rfr.NamePlace("mbx1.contoso.test")
    assert call(rfr.RfrGetNewDSARequest(dn, nothing, nothing)) == rfr.RfrGetNewDSAResponse(name, nothing)
    assert call(rfr.RfrGetNewDSARequest(dn, None)) == rfr.RfrGetNewDSAResponse(None)


def test_an_unknown_user():
    response = call(rfr.RfrGetNewDSARequest(DIRECTORY.users[0].dn + "x"))
    assert response == rfr.RfrGetNewDSAResponse(rfr.NamePlace(None), None, rfr.GENERAL_FAILURE)


def test_direct_referral_names_global_catalogs_in_turn():
    """Whoever asks; the server of a name stays the same, and nobody is referred who is not known."""
    interface = rfr_interface(DIRECTORY, ("gc2.contoso.test", "gc1.contoso.test"))

    def ask(request):
        return request.decode_response(interface.methods[request.opnum](CONTEXT, request.encode()))

    asked = [
        ask(rfr.RfrGetNewDSARequest(dn)).server for dn in (DIRECTORY.users[0].dn, "", DIRECTORY.users[1].dn)
    ]
    assert asked == [rfr.NamePlace(f"gc{number}.contoso.test") for number in (2, 1, 2)]
    assert ask(rfr.RfrGetNewDSARequest("nobody")).return_value == rfr.GENERAL_FAILURE
    named = ask(rfr.RfrGetFQDNFromServerDNRequest(DIRECTORY.servers[1].dn))
    assert named == rfr.RfrGetFQDNFromServerDNResponse("mbx2.contoso.test")


def test_the_name_of_a_server():
    server = DIRECTORY.servers[1]
    for dn in (server.dn, server.private_store_dn):
        request = rfr.RfrGetFQDNFromServerDNRequest(dn)
        assert call(request) == rfr.RfrGetFQDNFromServerDNResponse("mbx2.contoso.test")
    unknown = rfr.RfrGetFQDNFromServerDNRequest(server.dn + "x")
    assert call(unknown) == rfr.RfrGetFQDNFromServerDNResponse(None, rfr.GENERAL_FAILURE)


def test_bad_stubs():
    for method in INTERFACE.methods.values():
        with pytest.raises(WireError):
            method(CONTEXT, b"")


@pytest.mark.judge
def test_impacket_asks_for_both_names():
    request = oxabref.RfrGetNewDSA()
    request["ulFlags"] = 0
    request["pUserDN"] = DIRECTORY.users[1].dn + "\0"
    request["ppszUnused"] = oxabref.NULL
    request["ppszServer"] = "\0"
    stub = INTERFACE.methods[0](CONTEXT, request.getData())
    # impacket's class has no return value, so it is cut off for it.
    assert oxabref.RfrGetNewDSAResponse(stub[:-4])["ppszServer"] == "mbx2.contoso.test\0"

    request = oxabref.RfrGetFQDNFromServerDN()
    request["ulFlags"] = 0
    request["szMailboxServerDN"] = DIRECTORY.servers[1].dn + "\0"
    request["cbMailboxServerDN"] = len(request["szMailboxServerDN"])
    response = oxabref.RfrGetFQDNFromServerDNResponse(INTERFACE.methods[1](CONTEXT, request.getData()))
    assert (response["ppszServerFQDN"], response["ErrorCode"]) == ("mbx2.contoso.test\0", 0)
