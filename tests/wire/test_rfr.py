"""Both referral methods against stubs that others wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import rfr

DN = "/o=Contoso/ou=First Administrative Group"
GROMOX_DN = "/o=Gromox default/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)"
GROMOX_SERVER = "75303031-4065-7861-6d70-6c6501000000@example.test"
MESSAGES: dict[str, Any] = {
    "get_new_dsa_request": rfr.RfrGetNewDSARequest(DN + "/cn=Recipients/cn=user001"),
    "get_new_dsa_response": rfr.RfrGetNewDSAResponse(rfr.NamePlace("gc01.contoso.test")),
    "get_fqdn_from_server_dn_request": rfr.RfrGetFQDNFromServerDNRequest(
        DN + "/cn=Configuration/cn=Servers/cn=EXCH01"
    ),
    "get_fqdn_from_server_dn_response": rfr.RfrGetFQDNFromServerDNResponse("exch01.contoso.test"),
    "impacket_get_new_dsa_request": rfr.RfrGetNewDSARequest(
        GROMOX_DN + "/cn=Recipients/cn=0100000001000000-u001"
    ),
    "gromox_get_new_dsa_response": rfr.RfrGetNewDSAResponse(rfr.NamePlace(GROMOX_SERVER)),
    "impacket_get_fqdn_from_server_dn_request": rfr.RfrGetFQDNFromServerDNRequest(
        f"{GROMOX_DN}/cn=Configuration/cn=Servers/cn={GROMOX_SERVER}/cn=Microsoft Private MDB"
    ),
    "gromox_get_fqdn_from_server_dn_response": rfr.RfrGetFQDNFromServerDNResponse(GROMOX_SERVER),
}
REQUESTS = {
    "get_new_dsa": rfr.RfrGetNewDSARequest,
    "get_fqdn_from_server_dn": rfr.RfrGetFQDNFromServerDNRequest,
}


@pytest.mark.parametrize("name", MESSAGES)
def test_stubs_of_others_both_ways(name: str, vector):
    wire, message = vector(f"rfr/{name}.hex"), MESSAGES[name]
    assert type(message).decode(wire) == message
    # impacket and Gromox number their referents otherwise, which means nothing.
    own = message.encode()
    assert len(own) == len(wire)
    assert own == wire or name.startswith(("impacket", "gromox"))


@pytest.mark.parametrize("name", MESSAGES)
def test_stubs_cut_or_lengthened_are_wire_errors(name: str, vector):
    wire = vector(f"rfr/{name}.hex")
    for size in range(len(wire)):
        with pytest.raises(WireError):
            type(MESSAGES[name]).decode(wire[:size])
    with pytest.raises(WireError, match="left over"):
        type(MESSAGES[name]).decode(wire + b"\0")


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_read_their_responses(name: str, vector):
    request = REQUESTS[name]
    response = request.decode_response(vector(f"rfr/{name}_response.hex"))
    assert response == MESSAGES[f"{name}_response"]
    assert type(response) is request.response
    assert request.interface == rfr.INTERFACE


def test_opnums():
    assert [request.opnum for request in REQUESTS.values()] == [0, 1]


names = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30)
places = st.none() | st.builds(rfr.NamePlace, st.none() | names)
u32 = st.integers(0, 0xFFFFFFFF)


@given(
    st.builds(rfr.RfrGetNewDSARequest, names, places, places, u32)
    | st.builds(rfr.RfrGetNewDSAResponse, places, places, u32)
    | st.builds(rfr.RfrGetFQDNFromServerDNRequest, names.map("/o=Contoso".__add__), u32)
    | st.builds(rfr.RfrGetFQDNFromServerDNResponse, st.none() | names, u32)
)
def test_round_trip(message):
    assert type(message).decode(message.encode()) == message


@pytest.mark.parametrize(
    "dn",
    ["/o=short", "/o=" + 1021 * "x"],  # 9 and 1025 bytes with the NUL
)
def test_server_dns_out_of_bounds(dn: str):
    with pytest.raises(WireError, match="cbMailboxServerDN"):
        rfr.RfrGetFQDNFromServerDNRequest.decode(rfr.RfrGetFQDNFromServerDNRequest(dn).encode())


def test_size_of_the_server_dn_must_agree(vector):
    wire = bytearray(vector("rfr/get_fqdn_from_server_dn_request.hex"))
    wire[4] -= 1
    with pytest.raises(WireError, match="cbMailboxServerDN"):
        rfr.RfrGetFQDNFromServerDNRequest.decode(bytes(wire))
