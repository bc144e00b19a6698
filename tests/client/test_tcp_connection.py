"""RPC over TCP on real sockets, to a scripted server on loopback: how it begins, and all the ways it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from loadgen.client.inside import Inside, TcpPorts, TcpServer
from loadgen.client.transport import (
    ConnectionOptions,
    TcpConnection,
    open_mapped_connection,
    open_service,
    open_tcp_connection,
    tcp_connection,
)
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    LocalProtocolError,
    NameNotFound,
    PeerError,
    TimedOut,
    TransportError,
    WireError,
)
from loadgen.protocol.credentials import Credentials
from loadgen.wire import epm
from loadgen.wire import pdu as wire
from loadgen.wire.http import BANNER
from loadgen.wire.pdu import NDR, ContextResult, PduType, SyntaxId

from .scripted_proxy import INTERFACE, Say

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ADDRESS, OWN = "127.42.77.1", "127.42.77.2"
CREDENTIALS = Credentials("user", "secret")


class Server:
    """Binds what is asked and says what was said, unless a test wants otherwise."""

    def __init__(self) -> None:
        self.port = 0
        self.greeting = b""
        self.sources: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task] = []
        self.answer: Callable[[wire.Request], bytes] = lambda request: wire.Response(
            request.call_id, request.context_id, request.stub
        ).encode()
        self.bind: Callable[[wire.Bind], bytes] = accept

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        self.writers.append(writer)
        self.sources.append(writer.get_extra_info("peername")[0])
        writer.write(self.greeting)
        try:
            while True:
                head = await reader.readexactly(16)
                pdu = head + await reader.readexactly(wire.frag_length(head) - 16)
                decoded = wire.decode(pdu)
                writer.write(self.bind(decoded) if pdu[2] == PduType.BIND else self.answer(decoded))
        except (EOFError, ConnectionError):
            writer.close()


def accept(bind: wire.Bind) -> bytes:
    refused = ContextResult(wire.PROVIDER_REJECTION, 2)
    results = (ContextResult(wire.ACCEPTANCE, 0, NDR), *(refused for _ in bind.contexts[1:]))
    return wire.BindAck(bind.call_id, 5840, 5840, 7, b"6101\0", results).encode()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    scripted = Server()
    listening = await asyncio.start_server(scripted.serve, ADDRESS, 0)
    scripted.port = listening.sockets[0].getsockname()[1]
    yield scripted
    for writer in scripted.writers:
        writer.transport.abort()
    listening.close()
    await listening.wait_closed()
    await asyncio.gather(*scripted.tasks)


async def connect(server: Server, probe=None, **options) -> TcpConnection:
    where = TcpServer("mbx1", server.port, (ADDRESS,), (OWN,))
    return await open_tcp_connection(where, (INTERFACE,), CREDENTIALS, ConnectionOptions(**options), probe)


@pytest.mark.parametrize("greeting", [b"", BANNER])
async def test_calls(server, greeting):
    server.greeting = greeting
    layers: list[str] = []
    connection = await connect(server, lambda layer, *_: layers.append(layer))
    assert [await connection.call(Say(text)) for text in (b"one", bytes(5000))] == [b"one", bytes(5000)]
    assert layers == ["connect_tcp", "rpc_bind"]
    assert server.sources == [OWN]
    assert min(connection.bytes_sent, connection.bytes_received) > 5000
    await connection.close()
    await connection.close()
    with pytest.raises(ConnectionLost, match="closed by the client"):
        await connection.call(Say(b"late"))


async def test_the_endpoint_mapper_leads_there(server):
    def told(request: wire.Request) -> bytes:
        if len(request.stub) < 100:
            return wire.Response(request.call_id, request.context_id, b"said").encode()
        asked = epm.EptMapRequest.decode(request.stub)
        there = epm.Tower.of_tcp(INTERFACE, server.port, "127.9.9.9")
        elsewhere = epm.Tower.of_tcp(SyntaxId.of("f5cc5a18-4264-101a-8c59-08002b2f8426", 56), 1)
        answer = epm.EptMapResponse((elsewhere, there), asked.max_towers)
        return wire.Response(request.call_id, request.context_id, answer.encode()).encode()

    server.answer = told
    inside = Inside(TcpPorts(endpoint_mapper=server.port), {"mbx1": (ADDRESS,)})
    connection = await open_service(inside, "MBX1", "store", (INTERFACE,), CREDENTIALS)
    assert await connection.call(Say(b"?")) == b"said"
    assert len(server.writers) == 2
    assert connection.bytes_sent > 2 * 72
    await connection.close()


@pytest.mark.parametrize(
    ("name", "addresses", "why"),
    [
        ("MBX1", {"mbx1": (ADDRESS, "192.0.2.1")}, r"MBX1 is another machine \(192\.0\.2\.1\)"),
        ("192.0.2.1", {}, "nobody has agreed to its load"),
        (f"{'x' * 70}.test", {}, "x{70}.test: "),
    ],
)
@pytest.mark.parametrize("ports", [TcpPorts(store=6101), TcpPorts()], ids=["static", "mapped"])
async def test_a_server_elsewhere_is_left_alone_unless_somebody_agreed(name, addresses, why, ports):
    inside = Inside(ports, addresses, only_here=True)
    with pytest.raises(TransportError, match=why):
        await open_service(inside, name, "store", (INTERFACE,), CREDENTIALS)


async def test_a_server_on_this_machine_needs_no_agreement(server):
    inside = Inside(TcpPorts(store=server.port), only_here=True)
    connection = await open_service(inside, ADDRESS, "store", (INTERFACE,), CREDENTIALS)
    await connection.close()


async def test_what_the_endpoint_mapper_does_not_know(server):
    empty = epm.EptMapResponse((), 4, epm.NOT_REGISTERED).encode()
    server.answer = lambda request: wire.Response(request.call_id, request.context_id, empty).encode()
    mapper = TcpServer("mbx1", server.port, (ADDRESS,))
    with pytest.raises(BindRefused, match="no port for afa8bd80-7d8a-11c9-bef4-08002b102989"):
        await open_mapped_connection(
            mapper, (INTERFACE,), CREDENTIALS, ConnectionOptions(rpc_security="privacy")
        )


@pytest.mark.parametrize(
    ("bind", "error"),
    [
        (lambda bind: b"", TimedOut),
        (lambda bind: wire.BindNak(bind.call_id, 0).encode(), BindRefused),
        (lambda bind: b"HTTP/1.1 400 Bad Request\r\n\r\n", WireError),
    ],
)
async def test_a_bind_that_comes_to_nothing(server, bind, error):
    server.bind = bind
    with pytest.raises(error, match=f"mbx1:{server.port}"):
        await connect(server, establishment_timeout_s=0.05)


async def test_nobody_listens():
    with pytest.raises(TransportError, match="mbx1:1: Connection refused"):
        await open_tcp_connection(TcpServer("mbx1", 1, (ADDRESS,)), (INTERFACE,), CREDENTIALS)


@pytest.mark.parametrize("way", ["end", "reset"])
async def test_the_server_goes(server, way):
    connection = await connect(server)
    told: asyncio.Future[PeerError] = asyncio.get_running_loop().create_future()
    connection.on_lost = told.set_result
    if way == "end":
        server.writers[0].write_eof()
    else:
        server.writers[0].transport.abort()
    assert isinstance(await told, ConnectionLost)
    await connection.close()


async def test_an_aborted_connection_tells_nobody(server):
    connection = await connect(server)
    connection.on_lost = pytest.fail
    connection.abort()
    with pytest.raises(ConnectionLost):
        await connection.call(Say(b"late"))
    await connection.close()


async def test_a_tap_hears_both_ways(server):
    heard: list[tuple[str, str]] = []
    connection = await connect(server, tap=lambda tapped, what, _data: heard.append((tapped.channel, what)))
    await connection.close()
    assert heard == [("TCP", what) for what in ("opened", "sent", "received", "closed")]


async def test_a_name_that_nobody_has():
    with pytest.raises(NameNotFound, match=r"^nobody\.invalid:135: "):
        await open_tcp_connection(TcpServer("nobody.invalid", 135), (INTERFACE,), CREDENTIALS)


async def test_nobody_is_connected_to_before_there_is_something_to_say(monkeypatch):
    """Else a socket would be left open: nobody listens there, which would be the error."""

    def fail(*_):
        raise LocalProtocolError("no security")

    monkeypatch.setattr(tcp_connection, "new_association", fail)
    with pytest.raises(LocalProtocolError, match="no security"):
        await open_tcp_connection(TcpServer(OWN, 1), (INTERFACE,), CREDENTIALS)
