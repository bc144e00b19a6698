from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import http
from loadgen.wire.http import (
    ChannelRequest,
    Target,
    basic_authorization,
    parse_basic,
    parse_target,
    rpc_error,
    rpc_error_head,
    success_head,
)

Vector = Callable[[str], bytes]

RECORDED = ChannelRequest(
    http.RPC_IN_DATA,
    "exch.example.test",
    6002,
    http.CHANNEL_LENGTH,
    "127.0.0.1:8880",
    basic_authorization("u001@example.test", "Passw0rd!"),
)


def parsed(head: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event


def answered(head: bytes) -> h11.Response:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="RPC_OUT_DATA", target="/", headers=[("Host", "x")]))
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    return event


@pytest.mark.parametrize(
    ("name", "method", "length"),
    [
        ("in_request", http.RPC_IN_DATA, http.CHANNEL_LENGTH),
        ("out_request", http.RPC_OUT_DATA, http.OUT_REQUEST_LENGTH),
    ],
)
def test_a_head_says_what_a_recorded_one_says(
    name: str, method: http.Method, length: int, vector: Vector
) -> None:
    theirs = parsed(vector(f"http/{name}.hex"))
    request = ChannelRequest(
        method,
        RECORDED.server,
        RECORDED.port,
        length,
        RECORDED.host,
        RECORDED.authorization,
    )
    ours = parsed(request.encode())
    assert (ours.method, ours.target, ours.http_version) == (theirs.method, theirs.target, b"1.1")
    optional = {b"accept-encoding"}  # impacket's, not of the specification
    assert dict(ours.headers) == {name: value for name, value in theirs.headers if name not in optional}


def test_a_head_has_the_order_of_the_specification() -> None:
    request = ChannelRequest(http.RPC_OUT_DATA, "mbx", 6001, 76, "mail.example.com")
    assert request.encode() == (
        b"RPC_OUT_DATA /rpc/rpcproxy.dll?mbx:6001 HTTP/1.1\r\n"
        b"Cache-Control: no-cache\r\nConnection: Keep-Alive\r\nPragma: No-cache\r\n"
        b"Accept: application/rpc\r\nUser-Agent: MSRPC\r\nContent-Length: 76\r\n"
        b"Host: mail.example.com\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/rpc/rpcproxy.dll?exch:6001", Target("/rpc/rpcproxy.dll", "exch", 6001)),
        ("/RpcWithCert/RpcProxy.dll?a@b.test:593", Target("/RpcWithCert/RpcProxy.dll", "a@b.test", 593)),
        ("/rpc/rpcproxy.dll?fe80::1:6004", Target("/rpc/rpcproxy.dll", "fe80::1", 6004)),
        ("http://mail.test:80/rpc/rpcproxy.dll?m:6002", Target("/rpc/rpcproxy.dll", "m", 6002)),
    ],
)
def test_targets_are_split_at_the_last_colon(target: str, parts: Target) -> None:
    assert parse_target(target) == parts


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/rpc/rpcproxy.dll",
        "/rpc/rpcproxy.dll?",
        "/rpc/rpcproxy.dll?server",
        "/rpc/rpcproxy.dll?:6001",
        "/rpc/rpcproxy.dll?server:",
        "/rpc/rpcproxy.dll?server:port",
        "/rpc/rpcproxy.dll?server:1234567",
        "/rpc/rpcproxy.dll?ser ver:6001",
        f"/rpc/rpcproxy.dll?{'s' * 1024}:6001",
        "rpcproxy.dll?server:6001",
    ],
)
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(WireError, match="URI"):
        parse_target(target)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.integers(0, 999_999))
def test_every_target_comes_back(server: str, port: int) -> None:
    request = ChannelRequest(http.RPC_IN_DATA, server, port, 0, "h")
    assert parse_target(request.target) == (http.RPC_PROXY_PATH, server, port)


@pytest.mark.parametrize("server", ["", "mbx\r\nHost: other", "m b", "mäx", "s" * 1024])
def test_a_server_name_that_would_break_the_head_is_refused(server: str) -> None:
    with pytest.raises(WireError, match="server"):
        ChannelRequest(http.RPC_IN_DATA, server, 6001, 0, "h").encode()


# RFC 7617 2 and 2.1
BASIC = {
    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==": ("Aladdin", "open sesame"),
    "Basic dGVzdDoxMjPCow==": ("test", "123£"),
}


@pytest.mark.parametrize(("value", "credentials"), BASIC.items())
def test_basic_credentials(value: str, credentials: tuple[str, str]) -> None:
    assert basic_authorization(*credentials) == value
    assert parse_basic(value) == credentials
    assert parse_basic(value.replace("Basic", "bAsIc")) == credentials


def test_a_password_may_hold_colons_and_latin_1() -> None:
    assert parse_basic("Basic dTpwOnE=") == ("u", "p:q")
    assert parse_basic("Basic dTr8") == ("u", "ü")


@pytest.mark.parametrize("value", ["", "Basic", "Basic %", "Basic dQ", "Basic dQ==", "NTLM dTpw"])
def test_what_is_no_basic_is_refused(value: str) -> None:
    with pytest.raises(WireError, match="Authorization"):
        parse_basic(value)


def test_a_success_says_what_a_recorded_one_says(vector: Vector) -> None:
    theirs, ours = answered(vector("http/out_response.hex")), answered(success_head())
    assert (ours.status_code, ours.reason) == (theirs.status_code, theirs.reason)
    assert set(ours.headers) <= set(theirs.headers)


def test_an_echo_says_what_a_recorded_one_says(vector: Vector) -> None:
    wire = vector("http/echo_response.hex")
    theirs, ours = answered(wire), answered(success_head(20))
    assert set(ours.headers) <= set(theirs.headers)
    assert len(http.ECHO_REQUEST_BODY) <= http.ECHO_LENGTH_LIMIT


def test_a_success_may_be_chunked() -> None:
    headers = dict(answered(success_head(None)).headers)
    assert headers == {b"content-type": b"application/rpc", b"transfer-encoding": b"chunked"}


def test_an_rpc_error_is_told_in_the_reason() -> None:
    assert rpc_error_head(0x6BA) == b"HTTP/1.0 503 RPC Error: 6ba\r\n\r\n"
    response = answered(rpc_error_head(0x6BA))
    assert (response.status_code, rpc_error(response.reason.decode())) == (503, 0x6BA)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("RPC Error: 6ba", 0x6BA),
        ("RPC Error: 6BA, EEInfo: AQAAAA==", 0x6BA),
        ("RPC Error: 5", 5),
        ("RPC Error: ", None),
        ("RPC Error: 123456789", None),
        ("Service Unavailable", None),
        ("L-202 Service Unavailable", None),
        ("", None),
    ],
)
def test_rpc_errors_are_read(reason: str, code: int | None) -> None:
    assert rpc_error(reason) == code
