"""Virtual connections over real sockets, to a scripted proxy on loopback."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from math import inf

import pytest
import uvloop

from loadgen.client.account import Account, Credentials, RpcProxy
from loadgen.client.transport import ConnectionOptions, VirtualConnection, open_virtual_connection
from loadgen.client.transport.sockets import reason
from loadgen.client.transport.virtual_connection import _host
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    HttpRefused,
    PeerError,
    RpcFault,
    TimedOut,
    TransportError,
    Unauthorized,
    WireError,
)
from loadgen.wire import pdu as wire
from loadgen.wire import rts
from loadgen.wire.http import parse_basic, rpc_error_head
from loadgen.wire.pdu import ContextResult, SyntaxId

from .scripted_proxy import INTERFACE, Proxy, Say, echo, reply

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

ADDRESS = "127.0.77.1"
SOURCES = ("127.0.77.11", "127.0.77.12")
CREDENTIALS = Credentials("user00000@contoso.test", "secret")
MORE = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)


def put_off_answers(proxy: Proxy) -> "asyncio.Queue[wire.Request]":
    """Requests are kept instead of answered."""
    asked: asyncio.Queue[wire.Request] = asyncio.Queue()

    def put_off(request: wire.Request) -> list[bytes]:
        asked.put_nowait(request)
        return []

    proxy.answer = put_off
    return asked


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    scripted = Proxy()
    server = await asyncio.start_server(scripted.serve, ADDRESS, 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    for writer in scripted.writers.values():
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*scripted.tasks)


async def connect(proxy: Proxy, probe=None, interfaces=(INTERFACE,), **options) -> VirtualConnection:
    where = RpcProxy(ADDRESS, proxy.port, source_addresses=SOURCES)
    settings = ConnectionOptions(**options)
    return await open_virtual_connection(where, "MBX1", 6001, interfaces, CREDENTIALS, settings, probe)


@asynccontextmanager
async def connected(proxy: Proxy, **options) -> AsyncIterator[VirtualConnection]:
    connection = await connect(proxy, **options)
    yield connection
    await connection.close()


async def lost(connection: VirtualConnection) -> PeerError:
    """What the owner of a connection is told when it goes."""
    told: asyncio.Future[PeerError] = asyncio.get_running_loop().create_future()
    connection.on_lost = told.set_result  # a second time would raise
    return await told


async def test_calls(proxy):
    layers = []
    connection = await connect(proxy, probe=lambda *layer: layers.append(layer))
    assert await connection.call(Say(b"hello")) == b"you said hello"
    assert await connection.call(Say(bytes(20_000)[:5000])) == b"you said " + bytes(5000)
    assert [layer[0] for layer in layers] == ["connect_tcp", "http_auth", "rts_establish", "rpc_bind"]
    assert all(started <= ended for _, started, ended in layers)
    assert [ended for _, _, ended in layers[:-1]] == [started for _, started, _ in layers[1:]]
    await connection.close()
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}
    assert connection.bytes_sent == proxy.bytes_received
    assert connection.bytes_received == proxy.bytes_sent


async def test_heads(proxy):
    async with connected(proxy):
        for name in ("IN", "OUT"):
            line, *fields = proxy.heads[name].decode().split("\r\n")
            assert line == f"RPC_{name}_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1"
            headers = dict(field.split(": ", 1) for field in fields if field)
            assert parse_basic(headers["Authorization"]) == (CREDENTIALS.user, CREDENTIALS.password)
            assert headers["Host"] == f"{ADDRESS}:{proxy.port}"


async def test_source_addresses_take_turns(proxy):
    for _ in SOURCES:
        async with connected(proxy):
            pass
    assert proxy.sources[0] == proxy.sources[1]
    assert proxy.sources[2] == proxy.sources[3]
    assert set(proxy.sources) == set(SOURCES)


async def test_addresses_stand_for_the_name(proxy):
    where = RpcProxy("mail.contoso.test", proxy.port, addresses=(ADDRESS,))
    connection = await open_virtual_connection(where, "MBX1", 6001, [INTERFACE], CREDENTIALS)
    assert b"Host: mail.contoso.test:%d\r\n" % proxy.port in proxy.heads["OUT"]
    await connection.close()


async def test_several_calls_are_outstanding(proxy):
    requests = []

    def in_reverse(request):
        requests.append(request)
        return [reply(late, late.stub) for late in reversed(requests)] if len(requests) == 3 else []

    proxy.answer = in_reverse
    async with connected(proxy, interfaces=(MORE, INTERFACE)) as connection:
        answers = await asyncio.gather(*(connection.call(Say(text)) for text in (b"a", b"b", b"c")))
    assert answers == [b"a", b"b", b"c"]
    assert {request.context_id for request in requests} == {1}


async def test_a_fault_is_the_callers_business(proxy):
    proxy.answer = lambda request: [wire.Fault(request.call_id, 0, 0x6F7).encode()]
    async with connected(proxy) as connection:
        with pytest.raises(RpcFault) as caught:
            await connection.call(Say(b""))
        assert caught.value.status == 0x6F7
        proxy.answer = echo
        assert await connection.call(Say(b"still here")) == b"you said still here"


async def test_an_unreadable_answer_is_the_callers_business(proxy):
    proxy.answer = lambda request: [reply(request, b"rubbish")]
    async with connected(proxy) as connection:
        with pytest.raises(WireError):
            await connection.call(Say(b""))
        proxy.answer = echo
        assert await connection.call(Say(b"still here")) == b"you said still here"


@pytest.mark.parametrize("granted", [True, False])
@pytest.mark.parametrize("how", ["timeout", "cancellation"])
async def test_giving_up_a_call(proxy, how, granted):
    """The server is told if it promised to keep the connection; a late answer is dropped."""
    asked = put_off_answers(proxy)
    if granted:
        proxy.features = ContextResult(wire.NEGOTIATE_ACK, wire.KEEP_CONNECTION_ON_ORPHAN)
    async with connected(proxy) as connection:
        if how == "timeout":
            with pytest.raises(TimedOut, match="MBX1:6001"):
                await connection.call(Say(b"?"), timeout=0.0)
            request = await asked.get()
        else:
            task = asyncio.create_task(connection.call(Say(b"?")))
            request = await asked.get()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        if granted:
            assert wire.decode(await proxy.pdus.get()) == wire.Orphaned(request.call_id)
        proxy.answer = lambda late: [reply(request, b"too late"), reply(late, b"in time")]
        assert await connection.call(Say(b"?")) == b"in time"
        assert proxy.pdus.empty()


async def test_an_answer_that_crosses_a_cancellation_is_dropped(proxy):
    asked = put_off_answers(proxy)
    async with connected(proxy) as connection:
        task = asyncio.create_task(connection.call(Say(b"?")))
        await asked.get()
        ((call_id, (future, _)),) = connection._calls.items()
        future.cancel()
        for pdu in (wire.Response(call_id, 0, b"").encode(), wire.Fault(call_id, 0, 5).encode()):
            connection._calls[call_id] = future, 0.0
            connection._association._calls[call_id] = None
            connection._take(iter([pdu]), 0.0)
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.answer = echo
        assert await connection.call(Say(b"still here")) == b"you said still here"


async def test_beginning_a_call_needs_no_task(proxy):
    asked = put_off_answers(proxy)
    async with connected(proxy) as connection:
        answered, given_up = (connection.begin(Say(text)) for text in (b"a", b"b"))
        first, second = await asked.get(), await asked.get()
        given_up.cancel()
        await asyncio.wait([given_up])
        for request in (second, first):
            proxy.down(reply(request, request.stub))
        assert await answered == b"a"
        assert connection._calls == {}


LOSSES = {
    "OUT closed": (lambda proxy: proxy.writers["OUT"].close(), ConnectionLost, "closed the OUT channel"),
    "IN closed": (lambda proxy: proxy.writers["IN"].close(), ConnectionLost, "closed the IN channel"),
    "IN refused": (
        lambda proxy: proxy.writers["IN"].write(b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
        HttpRefused,
        "HTTP 408 Request Timeout",
    ),
    "OUT refused": (lambda proxy: proxy.down(rpc_error_head(0x6BE)), HttpRefused, "RPC Error: 6be"),
    "rubbish": (lambda proxy: proxy.down(bytes(16)), WireError, "rpc_vers"),
    "shutdown": (lambda proxy: proxy.down(wire.Shutdown(0).encode()), ConnectionLost, "shut the connection"),
    "reset": (
        lambda proxy: reset(proxy.writers["OUT"]),
        ConnectionLost,
        "OUT channel: Connection reset by peer",
    ),
}


def reset(writer: asyncio.StreamWriter) -> None:
    linger = (1).to_bytes(4, "little") + bytes(4)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@pytest.mark.parametrize("name", LOSSES)
async def test_losing_the_connection(proxy, name):
    """Pending calls and the owner are told the same; both channels go; nothing more can be called."""
    cut, error, text = LOSSES[name]
    asked = put_off_answers(proxy)
    connection = await connect(proxy)
    calls = [asyncio.create_task(connection.call(Say(b"?"))) for _ in range(2)]
    told = asyncio.create_task(lost(connection))
    for _ in calls:
        await asked.get()
    cut(proxy)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [error, error]
    assert text in str(results[0])
    assert str(results[0]).startswith(f"{ADDRESS}:{proxy.port} (MBX1:6001): ")
    assert await told is results[0]
    with pytest.raises(ConnectionLost, match="MBX1:6001"):
        await connection.call(Say(b"?"))
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}
    await connection.close()


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_closing_by_ourselves_is_no_loss(proxy, end):
    asked = put_off_answers(proxy)
    connection = await connect(proxy)
    connection.on_lost = lambda error: pytest.fail(str(error))
    call = asyncio.create_task(connection.call(Say(b"?")))
    await asked.get()
    if end == "close":
        await asyncio.gather(connection.close(), connection.close())
    else:
        connection.abort()
        connection.abort()
    with pytest.raises(ConnectionLost, match="closed by the client"):
        await call
    with pytest.raises(ConnectionLost, match="closed by the client"):
        await connection.call(Say(b"?"))
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}
    await connection.close()


async def test_an_idle_connection_pings(proxy):
    async with connected(proxy) as connection:
        connection._rts._last_sent -= 60.0
        connection.alarm_at = inf
        connection.wake(connection._loop.time())
        assert rts.RtsPdu.decode(await proxy.pdus.get()).names == ("Ping",)
        assert connection.alarm_at == connection._rts.next_timer()


async def test_calls_do_not_touch_the_alarm(proxy):
    async with connected(proxy) as connection:
        alarm_at = connection.alarm_at
        for _ in range(3):
            await connection.call(Say(b"?"))
        assert connection.alarm_at == alarm_at
        await connection.call(Say(b"?"), timeout=1.0)
        assert connection.alarm_at < alarm_at


REFUSALS = {
    "server not reached": ({"out_answer": rpc_error_head(0x6BA)}, HttpRefused, "HTTP 503 RPC Error: 6ba"),
    "no contexts": (
        {"out_answer": b"HTTP/1.1 503 L-202 Service Unavailable\r\n\r\n"},
        HttpRefused,
        "HTTP 503 L-202 Service Unavailable",
    ),
    "wrong password": (
        {"out_answer": b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\r\n"},
        Unauthorized,
        "HTTP 401 Unauthorized",
    ),
    "refused on IN": (
        {"in_answer": b"HTTP/1.1 404 Not Found\r\n\r\n", "c2": b""},
        HttpRefused,
        "HTTP 404 Not Found",
    ),
    "unknown interface": (
        {"bind_result": ContextResult(wire.PROVIDER_REJECTION, 1)},
        BindRefused,
        "interface afa8bd80-7d8a-11c9-bef4-08002b102989 1.0 refused",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusals_name_the_peer(proxy, name):
    script, error, text = REFUSALS[name]
    for attribute, value in script.items():
        setattr(proxy, attribute, value)
    with pytest.raises(error, match=rf"^{ADDRESS}:{proxy.port} \(MBX1:6001\): {text}"):
        await connect(proxy)
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ({"out_answer": b"", "c2": b""}, "the answer on the OUT channel did not come"),
        ({"c2": b""}, "did not come"),
        ({"bind_result": None}, "did not come|no answer to bind"),
    ],
)
async def test_establishment_has_a_time_limit(proxy, script, text):
    for attribute, value in script.items():
        setattr(proxy, attribute, value)
    with pytest.raises(TimedOut, match=text):
        await connect(proxy, establishment_timeout_s=0.05)
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}


async def test_an_unanswered_bind_times_out(proxy):
    async with connected(proxy) as connection:
        opening = asyncio.get_running_loop().create_future()
        connection._calls[0] = opening, 0.0
        connection.wake(connection._loop.time())
        with pytest.raises(TimedOut, match="no answer to bind"):
            await opening


async def test_cancelling_while_it_opens(proxy):
    proxy.c2 = b""
    task = asyncio.create_task(connect(proxy))
    assert {await proxy.begun.get(), await proxy.begun.get()} == {"IN", "OUT"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}


async def test_nobody_listens():
    with socket.socket() as reserved:
        reserved.bind((ADDRESS, 0))
        port = reserved.getsockname()[1]
        with pytest.raises(TransportError, match=rf"^{ADDRESS}:{port} \(MBX1:6001\): Connection refused$"):
            await open_virtual_connection(RpcProxy(ADDRESS, port), "MBX1", 6001, [INTERFACE], CREDENTIALS)


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (OSError(111, "Connect call failed ('192.0.2.1', 80)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("no address"), "no address"),
    ],
)
def test_what_is_said_of_a_failure(error, meant):
    assert reason(error) == meant


async def test_a_source_address_that_is_not_ours():
    where = RpcProxy(ADDRESS, 9, source_addresses=("192.0.2.1",))
    with pytest.raises(TransportError, match="Cannot assign requested address"):
        await open_virtual_connection(where, "MBX1", 6001, [INTERFACE], CREDENTIALS)


async def test_connecting_has_a_time_limit():
    """The server's queue is full of connections that it does not take, so it answers no more."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((ADDRESS, 0))
        full.listen(0)
        for taking_room in (first, second):
            taking_room.setblocking(False)
            taking_room.connect_ex(full.getsockname())
        where = RpcProxy(*full.getsockname())
        options = ConnectionOptions(connect_timeout_s=0.0)
        with pytest.raises(TimedOut, match="no TCP connection within 0 s"):
            await open_virtual_connection(where, "MBX1", 6001, [INTERFACE], CREDENTIALS, options)


@pytest.mark.parametrize(
    ("host", "port", "said"), [("cas1", 80, "cas1"), ("cas1", 8080, "cas1:8080"), ("::1", 80, "[::1]")]
)
def test_host_header(host, port, said):
    assert _host(RpcProxy(host, port)) == said


async def test_a_server_name_that_cannot_be_asked_for(proxy):
    """The sockets that are open by then are closed."""
    where = RpcProxy(ADDRESS, proxy.port)
    with pytest.raises(WireError, match="server"):
        await open_virtual_connection(where, "MBX 1", 6001, [INTERFACE], CREDENTIALS)


def picky(proxy: Proxy, *offered: str) -> list[str]:
    """Connections that come with another scheme than Basic are closed, as Gromox does; gives what came."""
    tried: list[str] = []
    names = "".join(f"WWW-Authenticate: {name}\r\n" for name in offered)

    def refuse(head: bytes) -> bytes:
        _, said, rest = head.partition(b"Authorization: ")
        scheme, token = rest.split()[:2] if said else (b"", b"")
        tried.append(scheme.decode() + " NTLM" * token.startswith(b64encode(b"NTLMSSP")[:9]))
        refusal = f"HTTP/1.1 401 Unauthorized\r\n{names}Connection: close\r\n\r\n"
        return b"" if scheme == b"Basic" else refusal.encode()

    proxy.refuse = refuse
    return tried


@pytest.mark.parametrize(
    ("offered", "tried"),
    [
        (("Basic realm=x",), ["Negotiate", "Basic"]),
        (("Basic realm=x", "NTLM"), ["Negotiate", "NTLM NTLM", "Basic"]),
        (("Basic realm=x", "Negotiate"), ["Negotiate", "Negotiate NTLM", "Basic"]),
    ],
)
async def test_schemes_are_tried_on_new_connections(proxy, offered, tried):
    """Strongest first, until the server takes one; from then on that one comes first."""
    said = picky(proxy, *offered)
    auth = ("negotiate", "ntlm", "basic")
    connection = await connect(proxy, auth=auth)
    assert [scheme for scheme, _ in groupby(said)] == tried
    connection.abort()
    said.clear()
    connection = await connect(proxy, auth=auth)
    assert said == ["Basic", "Basic"]
    connection.abort()


def test_passwords_are_not_shown():
    account = Account(0, "user", "secret", "a", "A", "/o=x", "a@x", "MBX1", "PF1")
    assert account.credentials == Credentials("user", "secret")
    for shown in (repr(account), repr(account.credentials), str(account.credentials)):
        assert "secret" not in shown
        assert "user" in shown
