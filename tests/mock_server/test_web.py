"""The HTTP side of a client access server, as real clients use it."""

import pytest

from mock_server.security.http_authentication import Verdict
from mock_server.web import HttpConnection

AUTHORIZATION = "Basic dXNlcjpwdw=="
LET_IN = Verdict("user")
REFUSED = Verdict(None, ('WWW-Authenticate: Basic realm="contoso.test"',))
GOOD = {"Host": "mail", "Authorization": AUTHORIZATION}
TARGET = "/rpc/rpcproxy.dll?MBX1:6001"
ECHO = bytes.fromhex("05001403100000001400000000000000 40000000")


def connection():
    return HttpConnection(lambda value: LET_IN if value == AUTHORIZATION else REFUSED)


def request(method="RPC_IN_DATA", target=TARGET, headers=GOOD, version="1.1", **more):
    lines = [f"{method} {target} HTTP/{version}"]
    lines += (f"{name.replace('_', '-')}: {value}" for name, value in (headers | more).items())
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def first_line(http):
    return bytes(http.output).partition(b"\r\n")[0]


def test_requests_that_real_clients_send_open_channels(vector):
    for name, method, length in (("in_request", "RPC_IN_DATA", 1 << 30), ("out_request", "RPC_OUT_DATA", 76)):
        http = HttpConnection(lambda _: LET_IN)
        head = http.receive(vector(f"http/{name}.hex") + b"\x05")
        assert head is not None
        assert (head.method, head.content_length, head.http_minor, head.user) == (method, length, 1, "user")
        assert (http.body, bytes(http.output)) == (b"\x05", b"")


def test_any_cut_gives_the_same_channel():
    data = request(Content_Length=1 << 30) + b"PDUs"
    for cut in range(len(data)):
        http = connection()
        head = http.receive(data[:cut])
        later = b"" if head is None else data[cut:]
        head = head or http.receive(data[cut:])
        assert (head.server, head.port) == ("MBX1", 6001)
        assert http.body + later == b"PDUs"


@pytest.mark.parametrize(
    "target",
    [
        "/RPC/RpcProxy.dll?MBX1:6001",
        "http://mail:80/rpc/rpcproxy.dll?MBX1:6001",
        "/rpcwithcert/rpcproxy.dll?MBX1:6001",
    ],
)
def test_forms_of_the_target(target):
    head = connection().receive(request(target=target, Content_Length=76))
    assert (head.server, head.port) == ("MBX1", 6001)


def test_http_1_0_is_noted():
    head = connection().receive(request(version="1.0", Content_Length=76, Connection="keep-alive"))
    assert head.http_minor == 0


def test_expect_is_answered_before_anything_else():
    http = connection()
    head = http.receive(request(Content_Length=76, Expect="100-continue"))
    assert head is not None
    assert bytes(http.output) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("length", range(17))
def test_echo(length):
    http = connection()
    assert http.receive(request(Content_Length=length)) is None
    head, _, body = bytes(http.output).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 20")
    assert (body, http.closing) == (ECHO, False)
    http.output.clear()
    assert http.receive(bytes(length) + request(Content_Length=76)) is not None


def test_ntlm_negotiate_to_a_basic_only_server():
    """impacket asks without a query, with Content-Length 0, and goes on with Basic on the same connection."""
    http = connection()
    ntlm = {
        "Host": "mail",
        "Authorization": "NTLM TlRMTVNTUAAB",
        "Expect": "100-continue",
        "Content-Length": "0",
    }
    assert http.receive(request(target="/rpc/rpcproxy.dll", headers=ntlm)) is None
    answer = bytes(http.output)
    assert answer.startswith(b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="contoso.test"\r\n')
    assert b"Content-Length: " in answer
    assert not http.closing
    http.output.clear()
    assert http.receive(request(Content_Length=1 << 30, Expect="100-continue")) is not None


@pytest.mark.parametrize(
    ("version", "more", "kept"),
    [
        ("1.1", {"Content-Length": 0}, True),
        ("1.1", {"Content-Length": 76}, True),
        ("1.1", {"Content-Length": 76, "Expect": "100-continue"}, False),
        ("1.1", {"Content-Length": 1 << 30}, False),
        ("1.1", {"Content-Length": 0, "Connection": "close"}, False),
        ("1.0", {"Content-Length": 0}, False),
        ("1.0", {"Content-Length": 0, "Connection": "keep-alive"}, True),
    ],
)
def test_a_refused_request_keeps_the_connection_if_its_body_can_be_skipped(version, more, kept):
    http = connection()
    assert http.receive(request(headers={"Host": "mail"} | more, version=version)) is None
    assert first_line(http) == b"HTTP/1.1 401 Unauthorized"
    assert http.closing is not kept
    http.output.clear()
    if kept:
        body = bytes(int(more["Content-Length"]))
        assert http.receive(body + request(Content_Length=76)) is not None
    else:
        assert http.receive(request(Content_Length=76)) is None
        assert http.output == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(target="/owa/"), b"404 Not Found"),
        (request(target="http://mail"), b"404 Not Found"),
        (request(method="GET"), b"405 Method Not Allowed"),
        (request(), b"411 Length Required"),
        (request(target="/rpc/rpcproxy.dll", Content_Length=76), b"400 Bad Request"),
        (request(target="/rpc/rpcproxy.dll?MBX1:port", Content_Length=76), b"400 Bad Request"),
        (b"no http at all\r\n\r\n", b"400 Bad Request"),
        (request(headers={}, Content_Length=76), b"400 Bad Request"),
        (request(X="x" * 20000)[:-1], b"431 Bad Request"),
    ],
)
def test_what_is_refused(data, status):
    http = connection()
    assert http.receive(data) is None
    assert first_line(http) == b"HTTP/1.1 " + status


@pytest.mark.parametrize(
    ("pragma", "milliseconds"),
    [
        ("No-cache, MinConnTimeout=120", 120000),
        ("minconntimeout=14400", 14400000),
        ("MinConnTimeout=119", None),
        ("MinConnTimeout=14401", None),
        ("MinConnTimeout=soon", None),
        ("No-cache", None),
    ],
)
def test_minimum_timeout(pragma, milliseconds):
    assert connection().receive(request(Content_Length=76, Pragma=pragma)).minimum_timeout_ms == milliseconds


def test_several_headers_of_one_name_are_joined():
    data = request(Content_Length=76).replace(
        b"\r\n\r\n", b"\r\nPragma: No-cache\r\nPragma: MinConnTimeout=150\r\n\r\n"
    )
    assert connection().receive(data).minimum_timeout_ms == 150000


PAGE = "/autodiscover/autodiscover.xml"


def site():
    return HttpConnection(
        lambda value: LET_IN if value == AUTHORIZATION else REFUSED,
        pages={PAGE: lambda body, host: b"<" + body + b"@" + host.encode() + b">"},
    )


def page(target="/Autodiscover/Autodiscover.xml", method="POST", **more):
    return request(method, target, **more)


def test_a_page_gets_the_body_of_its_request_however_it_comes():
    data = page(Content_Length=5) + b"hello" + page(Content_Length=0) + request(Content_Length=76) + b"PDUs"
    for cut in range(len(data)):
        http = site()
        channels = [http.receive(data[:cut]), http.receive(data[cut:])]
        answers = bytes(http.output).split(b"HTTP/1.1 ")
        assert [each.partition(b"\r\n\r\n")[2] for each in answers] == [b"", b"<hello@mail>", b"<@mail>"]
        assert sum(channel is not None for channel in channels) == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (page(headers={"Host": "mail"}, Content_Length=5), b"401 Unauthorized"),
        (page(method="GET", Content_Length=0), b"405 Method Not Allowed"),
        (page(), b"411 Length Required"),
        (page(Content_Length=70000), b"413 Content Too Large"),
        (page("/autodiscover/autodiscover.svc", Content_Length=5), b"404 Not Found"),
    ],
)
def test_what_is_no_visit_to_a_page_is_refused(data, status):
    http = site()
    assert http.receive(data) is None
    assert first_line(http) == b"HTTP/1.1 " + status
