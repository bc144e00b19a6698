"""Streams are cut into the same parts however their bytes come."""

import pytest

from loadgen.trace.http_stream import HttpStream
from loadgen.wire import rts
from loadgen.wire.http import rpc_error_head, success_head

A1 = rts.conn_a1(bytes(16), bytes(16), 65536).encode()
A3, C2 = rts.conn_a3(120_000).encode(), rts.conn_c2(65536, 120_000).encode()
OUT = b"RPC_OUT_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nContent-Length: 76\r\n\r\n"
EMPTY = OUT.replace(b"76", b"0")
ECHO = OUT.replace(b"76", b"4")
REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /autodiscover HTTP/1.1\r\nContent-Length: 5\r\n\r\n"


def chunks(*contents: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(each), each) for each in contents) + end


CONVERSATIONS = {
    "plain": ([OUT, A1], [success_head(), A3, C2]),
    "legs": ([EMPTY, OUT, A1], [REFUSAL, b"no!\n", success_head(), A3]),
    "chunked": ([OUT, A1], [success_head(None), A3, C2]),
    "continued": ([OUT, A1], [CONTINUE, success_head(), A3]),
    "echo": ([ECHO, b"echo"], [success_head(20), rts.echo().encode()]),
    "late error": ([OUT, A1], [success_head(), A3, rpc_error_head(0x6BA)]),
    "autodiscover": ([POST, b"hello"], [CHUNKED, b"world"]),
    "no HTTP": ([A1, C2], [A3]),
}


def say(kind: str, parts: list[bytes]) -> bytes:
    """As it goes on the wire."""
    if kind == "chunked" and parts[0].startswith(b"HTTP/"):
        return parts[0] + chunks(parts[1] + parts[2][:7], parts[2][7:])
    if parts[0] == CHUNKED:
        return parts[0] + chunks(*parts[1:], end=b"0\r\nTrailer: x\r\n\r\n")
    return b"".join(parts)


def whole(parts) -> list[bytes]:
    """Pieces of one body together."""
    found: list[tuple[str, bytes]] = []
    for part in parts:
        if part.what == "body" and found and found[-1][0] == "body":
            found[-1] = "body", found[-1][1] + part.data
        else:
            found.append((part.what, part.data))
    return [data for _, data in found]


@pytest.mark.parametrize("step", [1, 2, 7, 100_000])
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_the_parts_are_those_that_were_said(kind, step):
    asked, answered = CONVERSATIONS[kind]
    client = HttpStream()
    server = HttpStream(client)
    for stream, parts in ((client, asked), (server, answered)):
        data = say(kind, parts)
        found = [part for at in range(0, len(data), step) for part in stream.receive(data[at : at + step])]
        expected = [*parts]
        if kind == "echo" and stream is server:
            expected = [success_head(20), rts.echo().encode()]
        assert whole(found) == expected
        assert stream.cut_short == 0


@pytest.mark.parametrize("size", [1, 15, 16, 27])
def test_a_pdu_that_is_cut_short_is_counted(size):
    client = HttpStream()
    assert [part.what for part in client.receive(OUT + A1)] == ["head", "pdu"]
    server = HttpStream(client)
    assert [part.what for part in server.receive(success_head() + A3[:size])] == ["head"]
    assert server.cut_short == size


@pytest.mark.parametrize(
    "data",
    [
        success_head() + bytes(40),
        CHUNKED.replace(b"OK", b"Success") + b"zz\r\n",
        b"x" * (1 << 17),
    ],
)
def test_what_makes_no_sense_is_passed_on(data):
    client = HttpStream()
    list(client.receive(OUT + A1))
    parts = list(HttpStream(client).receive(data))
    assert sum(len(part.data) for part in parts) >= len(data) - 4
