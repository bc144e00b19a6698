"""What a real server (Gromox 3.10) answered to wrong requests is named rightly, whoever was wrong then.

The server's recorded bytes go to a client of ours that is in the place of the recorded one.
"""

import asyncio

import pytest

from loadgen.check.result import Result
from loadgen.client.transport import ConnectionOptions
from loadgen.wire import pdu as wire
from loadgen.wire import rts
from loadgen.wire.http import success_head
from tests.check.scripted_server import failures, first, saying, take
from tests.client.scripted_proxy import Proxy
from tests.recorded.capture import read_parts, read_segments

ANONYMOUS = ConnectionOptions(auth=("anonymous",))
BASIC = ConnectionOptions(auth=("basic",))
NTLM = ConnectionOptions(auth=("ntlm",))


def conversations() -> list[bytes]:
    """What the server said on each connection of http-edges, in their order."""
    said: dict[int, bytes] = {}
    for segment in read_segments("http-edges"):
        said[segment.port] = said.get(segment.port, b"") + (b"" if segment.by_client else segment.data)
    return list(said.values())


HTTP_EDGES = {
    "no Authorization, OUT": (0, ANONYMOUS, "http", "scheme_not_offered"),
    "no Authorization, IN": (1, ANONYMOUS, "http", "scheme_not_offered"),
    "no Authorization, OUT, Content-Length 0": (2, ANONYMOUS, "http", "scheme_not_offered"),
    "the same, if NTLM is tried": (2, NTLM, "http", "authentication_unfinished"),
    "OUT ok + CONN/A1, no IN": (8, BASIC, "rts_referral", "closed_without_answer"),
    "unknown port 6003 + CONN/A1": (9, BASIC, "http", "closed_without_answer"),
    "port 593 + CONN/A1": (10, BASIC, "http", "closed_without_answer"),
    "mixed case path": (12, BASIC, "http", "path_not_understood"),
    "no query": (14, BASIC, "http", "path_not_understood"),
    "ECHO IN CL=4 body 4": (15, BASIC, "rts_referral", "rts_error"),
    "ECHO IN CL=16": (17, BASIC, "rts_referral", "rts_error"),
    "GET /": (20, BASIC, "http", "no_rpc_proxy"),
    "wrong password, OUT, CONN/A1 sent along": (22, BASIC, "http", "wrong_password"),
    "unknown user, OUT, CONN/A1 sent along": (23, BASIC, "http", "wrong_password"),
}
SILENT = {
    "wrong password, OUT": 3,
    "wrong password, IN CL=1G": 4,
    "bare local part as user": 5,
    "DOMAIN\\user": 6,
    "OUT ok + Expect: 100-continue, no body yet": 7,
    "ECHO OUT CL=0": 16,
}
ACCEPTED = {
    "any server name, 6001 + CONN/A1": 11,
    "rpcwithcert path": 13,
    "bare local part as user, OUT, CONN/A1 sent along": 24,
}


@pytest.mark.parametrize("edge", HTTP_EDGES)
async def test_a_refusal_of_http_is_named(edge):
    index, options, step, name = HTTP_EDGES[edge]
    body = 0 if options is NTLM else 76
    result = await take(saying(conversations()[index], body=body), options=options)
    assert failures(result)[step] == name, result


@pytest.mark.parametrize("edge", SILENT)
async def test_silence_is_named(edge):
    answer = conversations()[SILENT[edge]]
    assert answer == b""
    result = await take(saying(answer, closing=False), options=BASIC, timeout_s=0.2)
    assert first(result) == "no_answer"


@pytest.mark.parametrize("edge", ACCEPTED)
def test_what_was_no_refusal_is_none(edge):
    """It went on to CONN/A3, and the recorded client had no more to say."""
    assert conversations()[ACCEPTED[edge]].startswith(success_head()[:20])


def test_all_recorded_edges_are_judged():
    """The others are challenges of NTLM, which tests/protocol answers, and Autodiscover's error."""
    judged = {index for index, *_ in HTTP_EDGES.values()} | {*SILENT.values(), *ACCEPTED.values()}
    assert judged | {18, 19, 21} == {*range(len(conversations()))}


async def test_autodiscover_that_knows_nothing_is_named():
    result = await take(
        saying(conversations()[21], body=0, only="both"), options=BASIC, autodiscover="target"
    )
    assert failures(result)["autodiscover"] == "autodiscover_refuses"


def recorded(name: str, size: int, kind: int) -> list[bytes]:
    """The server's PDUs of a type and size, in their order."""
    return [
        part.data
        for part in read_parts(name)
        if not part.by_client and not part.is_head and part.data[2] == kind and len(part.data) == size
    ]


FAULT, BIND_ACK, RESPONSE = 3, 12, 2
SMALL_FAULT, REFUSING_ACK, CONNECT_ANSWER = 32, 64, 172


def proxy_that_answers(answer: bytes) -> Proxy:
    """It takes every bind, and says to each call what was recorded."""
    proxy = Proxy()
    proxy.answer = lambda request: [answer[:12] + request.call_id.to_bytes(4, "little") + answer[16:]]
    return proxy


async def check_by(proxy: Proxy) -> Result:
    """Each virtual connection has a proxy of its own, but they all say the same."""
    proxies: list[Proxy] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        is_out = head.startswith(b"RPC_OUT")
        name = "OUT" if is_out else "IN"
        waiting = next((each for each in proxies if name not in each.writers), None)
        if waiting is None:
            waiting = Proxy()
            waiting.answer, waiting.bind_result = proxy.answer, proxy.bind_result
            waiting.out_answer, waiting.c2 = proxy.out_answer, proxy.c2
            waiting._hear = hearing(proxy, waiting)
            proxies.append(waiting)
        waiting.writers[name] = writer
        await (waiting._serve_out(reader) if is_out else waiting._serve_in(reader))

    return await take(serve, options=BASIC)


def hearing(pattern: Proxy, proxy: Proxy):
    """As a Proxy does, but with ``pattern.bind_ack`` if there is one."""
    ack = getattr(pattern, "bind_ack", None)

    def hear(pdu: bytes) -> None:
        if ack is not None and pdu[2] == wire.PduType.BIND:
            proxy.down(ack[:12] + pdu[12:16] + ack[16:])
        else:
            Proxy._hear(proxy, pdu)

    return hear


@pytest.mark.parametrize(
    ("place", "name"),
    [*enumerate(("access_denied", "no_such_method", "no_such_method", "no_such_method", "no_such_method"))],
)
async def test_a_fault_is_named(place, name):
    """Request before bind, bad opnum, unknown p_cont_id, garbage stub, a call after CO_CANCEL."""
    fault = recorded("rpc-edges", SMALL_FAULT, FAULT)[place]
    result = await check_by(proxy_that_answers(fault))
    assert failures(result)["referral"] == name


@pytest.mark.parametrize("place", [0, 1])
async def test_a_wrong_password_of_rpc_is_named(place):
    """Levels connect and privacy: bind_ack as usual, then a fault to the first call."""
    fault = recorded("rpc-badpassword", SMALL_FAULT, FAULT)[place]
    result = await check_by(proxy_that_answers(fault))
    assert failures(result)["referral"] == "access_denied"


@pytest.mark.parametrize("place", [0, 1])
async def test_a_rejected_interface_is_named(place):
    """bind unknown interface, and EMSMDB on 6002."""
    proxy = Proxy()
    proxy.bind_ack = recorded("rpc-edges", REFUSING_ACK, BIND_ACK)[place]
    result = await check_by(proxy)
    assert failures(result) == {
        f"bind_{service}": "interface_not_supported" for service in ("referral", "directory", "store")
    }


@pytest.mark.parametrize(
    ("place", "name"),
    [*enumerate(("mailbox_access_denied", "unknown_user", "mailbox_access_denied", "code_page_refused"))],
)
async def test_a_refused_session_is_named(place, name):
    """EcDoConnectEx with someone else's DN, an unknown DN, an empty DN, code page 1200."""
    answer = recorded("rpc-edges", CONNECT_ANSWER, RESPONSE)[place]
    result = await check_by(proxy_that_answers(answer))
    assert failures(result)["mailbox"] == name


@pytest.mark.parametrize(
    ("c2", "name"),
    [
        (rts.conn_c2(1, 120_000), "window_out_of_range"),
        (rts.conn_c2(65536, 7), "timeout_out_of_range"),
        (rts.echo(), "rts_error"),
    ],
)
async def test_values_out_of_range_are_named(c2, name):
    proxy = Proxy()
    proxy.c2 = c2.encode()
    result = await check_by(proxy)
    assert failures(result)["rts_referral"] == name


async def test_a_truncated_pdu_is_named():
    a3 = rts.conn_a3(120_000).encode()
    result = await take(saying(success_head() + a3[:20]), options=BASIC)
    assert failures(result)["rts_referral"] == "truncated_pdu"
