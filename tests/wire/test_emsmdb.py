"""The calls of EMSMDB and AsyncEMSMDB, against stubs of the reference and of a real server."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.emsmdb import (
    ASYNC_INTERFACE,
    INTERFACE,
    NO_CONTEXT,
    NOTIFICATION_PENDING,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcDummyRpcRequest,
    EcDummyRpcResponse,
    EcRRegisterPushNotificationRequest,
    EcRRegisterPushNotificationResponse,
    version_from_words,
    words_from_version,
)
from loadgen.wire.extended_buffer import read_payloads, write_payload
from loadgen.wire.rop.buffer import read_requests, read_responses, write_requests, write_responses
from loadgen.wire.rop.oxctabl import RopSetColumnsRequest

CXH = bytes(4) + bytes.fromhex("01eeffc0341278569abcdef012345678")
ACXH = bytes(4) + bytes.fromhex("02eeffc0341278569abcdef012345678")
DN = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn="
AUX_IN = bytes.fromhex("000006001c001c00b9a5a7a1a4a5a5a59988bbaaffeeddcc2233001166774455b4a5a5a5")
AUX_OUT = bytes.fromhex("00000400140014000c00010a0400000000840c240800011701000000")
OUTLOOK_2007 = (0x000C, 0x183E, 0x03E8)
CALLS = {
    "connect-ex": (
        EcDoConnectExRequest(DN + "user001", OUTLOOK_2007, con_mod=0x1D2A5F03, aux_in=AUX_IN),
        EcDoConnectExResponse(
            CXH, 60000, 6, 10000, 1, DN, "Alice Adams", (0x0801, 0x80F0, 6), OUTLOOK_2007, 0x1D2B3C4D, AUX_OUT
        ),
    ),
    "disconnect": (EcDoDisconnectRequest(CXH), EcDoDisconnectResponse()),
    "register-push": (
        EcRRegisterPushNotificationRequest(
            CXH,
            context=bytes.fromhex("a1a2a3a4a5a6a7a8"),
            callback_address=bytes.fromhex("02000401c00002150000000000000000"),
        ),
        EcRRegisterPushNotificationResponse(CXH, 1),
    ),
    "async-connect": (EcDoAsyncConnectExRequest(CXH), EcDoAsyncConnectExResponse(ACXH)),
    "async-wait": (EcDoAsyncWaitExRequest(ACXH), EcDoAsyncWaitExResponse(NOTIFICATION_PENDING)),
}
REQUESTS = (
    EcDoConnectExRequest,
    EcDoRpcExt2Request,
    EcDoDisconnectRequest,
    EcRRegisterPushNotificationRequest,
    EcDummyRpcRequest,
    EcDoAsyncConnectExRequest,
    EcDoAsyncWaitExRequest,
)
RECORDED = sorted(
    path.name.removesuffix("-request.hex")
    for path in (Path(__file__).parents[1] / "vectors/emsmdb/gromox").glob("*-request.hex")
)


def check_truncations(decode, stub):
    for size in range(len(stub)):
        with pytest.raises(WireError):
            decode(stub[:size])
    with pytest.raises(WireError, match="left over"):
        decode(stub + bytes(4))


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_read_and_written_as_they_stand(vector, name):
    request, response = CALLS[name]
    stub = vector(f"emsmdb/{name}-request.hex")
    assert request.encode() == stub
    assert type(request).decode(stub) == request
    check_truncations(type(request).decode, stub)
    stub = vector(f"emsmdb/{name}-response.hex")
    assert response.encode() == stub
    assert request.decode_response(stub) == response
    check_truncations(request.decode_response, stub)


def test_the_carrier_of_rops(vector):
    stub = vector("emsmdb/rpc-ext2-request.hex")
    request = EcDoRpcExt2Request.decode(stub)
    aux_in = bytes.fromhex("0000060008000800ada5a4a4a4a5a7a5")
    assert request == EcDoRpcExt2Request(CXH, request.rgb_in, out_max=0x8007, aux_in=aux_in)
    assert len(request.rgb_in) == 94
    assert request.encode() == stub
    check_truncations(EcDoRpcExt2Request.decode, stub)
    stub = vector("emsmdb/rpc-ext2-response.hex")
    response = EcDoRpcExt2Request.decode_response(stub)
    assert response == EcDoRpcExt2Response(CXH, response.rgb_out, trans_time_ms=2)
    assert len(response.rgb_out) == 180
    assert response.encode() == stub
    check_truncations(EcDoRpcExt2Request.decode_response, stub)


def test_the_probe_has_no_arguments():
    assert EcDummyRpcRequest().encode() == b""
    assert EcDummyRpcRequest.decode(b"") == EcDummyRpcRequest()
    with pytest.raises(WireError):
        EcDummyRpcRequest.decode(b"\0")
    assert EcDummyRpcRequest.decode_response(bytes(4)) == EcDummyRpcResponse()
    check_truncations(EcDummyRpcRequest.decode_response, EcDummyRpcResponse(5).encode())


def test_a_failed_connection_has_no_handle_and_may_have_no_strings():
    refused = EcDoConnectExResponse(
        NO_CONTEXT, 0, 0, 0, 0, None, None, (0, 0, 0), (6, 0x1A63, 0), 0, return_value=0x80040110
    )
    stub = refused.encode()
    assert stub[36:44] == bytes(8)
    assert EcDoConnectExResponse.decode(stub) == refused


@pytest.mark.parametrize("field", ["rgbIn", "rgbAuxIn"])
def test_a_size_other_than_that_of_its_array_is_refused(field):
    stub = bytearray(EcDoRpcExt2Request(CXH, b"abcd", aux_in=b"efgh").encode())
    place = {"rgbIn": 32, "rgbAuxIn": 48}[field]
    assert stub[place] == 4
    stub[place] = 3
    with pytest.raises(WireError, match=f"{field}.*3 bytes"):
        EcDoRpcExt2Request.decode(bytes(stub))


@pytest.mark.parametrize("name", RECORDED)
def test_calls_of_a_real_server_come_out_as_they_were(vector, name):
    stub = vector(f"emsmdb/gromox/{name}-request.hex")
    kind = {
        "connect": EcDoConnectExRequest,
        "disconnect": EcDoDisconnectRequest,
        "async-connect": EcDoAsyncConnectExRequest,
        "async-wait": EcDoAsyncWaitExRequest,
    }.get(name.removeprefix("basic-").removeprefix("notify-async-").partition("-")[2], EcDoRpcExt2Request)
    request = kind.decode(stub)
    assert request.encode() == stub
    stub = vector(f"emsmdb/gromox/{name}-response.hex")
    response = request.decode_response(stub)
    assert response.encode() == stub
    assert response.return_value == 0


COLUMNS_SET_BEFORE = {
    "basic-06-query-rows": "basic-05-set-columns",
    "basic-17-query-inbox": "basic-16-set-inbox-columns",
}
CARRIERS = [name for name in RECORDED if not name.endswith(("-connect", "-disconnect", "-async-wait"))]


@pytest.mark.parametrize("name", CARRIERS)
def test_rops_of_a_real_server_come_out_as_they_were(vector, name):
    def payloads_of(recorded):
        request = EcDoRpcExt2Request.decode(vector(f"emsmdb/gromox/{recorded}-request.hex"))
        response = request.decode_response(vector(f"emsmdb/gromox/{recorded}-response.hex"))
        return read_payloads(request.rgb_in), read_payloads(response.rgb_out)

    def columns_of(_handle_index):
        ((earlier,), _) = payloads_of(COLUMNS_SET_BEFORE[name])
        ((set_columns,), _) = read_requests(earlier)
        assert isinstance(set_columns, RopSetColumnsRequest)
        return set_columns.property_tags

    (asked,), (answered,) = payloads_of(name)
    requests, handles = read_requests(asked)
    assert write_requests(requests, handles) == asked
    responses, answered_handles = read_responses(answered, requests, columns_of)
    assert write_responses(responses, answered_handles) == answered
    assert read_payloads(write_payload(answered)) == [answered]


VERSIONS = [
    ((0x000C, 0x183E, 0x03E8), (12, 0, 6206, 1000), False),
    ((0x0801, 0x80F0, 0x0006), (8, 1, 240, 6), True),
    ((0x0600, 0x9A63, 0x0000), (6, 0, 6755, 0), True),
    ((0x0006, 0x1A63, 0x0000), (6, 0, 6755, 0), False),
]


@pytest.mark.parametrize(("words", "version", "new_form"), VERSIONS)
def test_versions_have_two_forms(words, version, new_form):
    assert version_from_words(words) == version
    assert words_from_version(version, new_form=new_form) == words


def test_every_call_has_its_number():
    assert {(request.interface, request.opnum) for request in REQUESTS} == {
        *((INTERFACE, opnum) for opnum in (1, 4, 6, 10, 11, 14)),
        (ASYNC_INTERFACE, 0),
    }


@given(
    st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0"), max_size=50),
    st.binary(),
    st.integers(0, 0xFFFFFFFF),
)
def test_any_connection_comes_back(text, data, number):
    request = EcDoConnectExRequest(text, OUTLOOK_2007, flags=number, aux_in=data, time_stamp=number)
    assert EcDoConnectExRequest.decode(request.encode()) == request
    response = EcDoConnectExResponse(
        CXH, 1, 2, 3, 4, text, None, OUTLOOK_2007, OUTLOOK_2007, number, data, number
    )
    assert EcDoConnectExResponse.decode(response.encode()) == response


@given(st.binary(), st.binary(), st.integers(0, 0xFFFFFFFF))
def test_any_carrier_comes_back(data, aux, number):
    request = EcDoRpcExt2Request(CXH, data, number, number, aux, number)
    assert EcDoRpcExt2Request.decode(request.encode()) == request
    response = EcDoRpcExt2Response(CXH, data, 0, aux, number, number)
    assert EcDoRpcExt2Response.decode(response.encode()) == response
    push = EcRRegisterPushNotificationRequest(CXH, data, aux, number)
    assert EcRRegisterPushNotificationRequest.decode(push.encode()) == push
