"""Recycling over real sockets: a scripted proxy that has both channels replaced every few kB."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from itertools import cycle
from random import Random

import pytest
import uvloop

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.transport import ConnectionOptions, VirtualConnection, open_virtual_connection
from loadgen.client.transport import virtual_connection as transport
from loadgen.errors import ConnectionLost, HttpRefused, PeerError, TimedOut, TransportError
from loadgen.wire import pdu as wire
from loadgen.wire import rts, rts_recycling
from loadgen.wire.http import rpc_error_head, success_head
from loadgen.wire.pdu import NDR, ContextResult, PduType

from .scripted_proxy import INTERFACE, Say

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

ADDRESS = "127.0.77.2"
SOURCES = ("127.0.77.21", "127.0.77.22")
LIFETIME = 8192


class Proxy:
    """Proxies and server of one virtual connection; what a test wants otherwise, it assigns."""

    def __init__(self) -> None:
        self.forms = cycle(("R1", "R2", "R2", "R1"))
        self.out_lifetime = LIFETIME
        self.refusal = b""
        self.answers_a1 = self.closes_predecessors = True
        self.recycled: Counter[str] = Counter()
        self.lifetimes: list[int] = []
        self.sources: list[str] = []
        self.open: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task] = []
        self.bytes_received = self.bytes_sent = 0
        self.asked: dict[int, bytes] = {}
        self.out: asyncio.StreamWriter
        self.out_open = asyncio.Event()
        self.out_sent = 0
        self.out_steady = True
        self.a7 = asyncio.Event()
        self.queue: list[bytes] | None = None
        self.a5 = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        self.open.append(writer)
        self.sources.append(writer.get_extra_info("peername")[0])
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.bytes_received += len(head)
            await (self._serve_out(reader, writer) if b"_OUT_" in head else self._serve_in(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.remove(writer)
            writer.close()

    async def _pdu(self, reader: asyncio.StreamReader) -> bytes:
        header = await reader.readexactly(16)
        data = header + await reader.readexactly(wire.frag_length(header) - 16)
        self.bytes_received += len(data)
        return data

    def down(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.bytes_sent += len(data)
        writer.write(data)

    async def _serve_out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = rts.RtsPdu.decode(await self._pdu(reader))
        if "CONN/A1" in first.names:
            self.out = writer
            self.down(writer, success_head() + rts.conn_a3(120_000).encode())
            self.out_open.set()
        elif self.refusal:
            self.down(writer, self.refusal)
        else:
            await self._succeed(reader, writer)
        await self._pdu(reader)

    async def _succeed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring the successor of the OUT channel into its place."""
        form, predecessor = next(self.forms), self.out
        a6 = rts_recycling.out_r1_a6(120_000) if form == "R1" else rts_recycling.out_r2_a6()
        self.down(predecessor, a6.encode())
        await self.a7.wait()
        self.a7.clear()
        last = rts_recycling.out_r1_a10() if form == "R1" else rts_recycling.out_r2_b3()
        self.queue = []
        self.down(predecessor, last.encode())
        predecessor.close()
        await self._pdu(reader)  # A11 or C1
        self.recycled[f"OUT_{form}"] += 1
        waiting, self.queue = self.queue, None
        self.out, self.out_sent, self.out_steady = writer, 0, True
        self.down(writer, success_head())
        for data in waiting:
            self.say(data)

    def say(self, data: bytes) -> None:
        """Send on the OUT channel, or hold it while that is being replaced."""
        if self.queue is not None:
            self.queue.append(data)
            return
        self.down(self.out, data)
        self.out_sent += len(data)
        if self.out_sent >= self.out_lifetime and self.out_steady:
            self.out_steady = False
            self.down(self.out, rts_recycling.out_r1_a2().encode())

    async def _serve_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = rts.RtsPdu.decode(data := await self._pdu(reader))
        carried = len(data)
        if "CONN/B1" in first.names:
            await self.out_open.wait()
            self.say(rts.conn_c2(65536, 120_000).encode())
        elif self.answers_a1:
            form = next(self.forms)
            a4 = rts_recycling.in_r1_a4(65536, 120_000) if form == "R1" else rts_recycling.in_r2_a4()
            self.say(a4.encode())
            await self.a5.wait()
            self.a5.clear()
            self.recycled[f"IN_{form}"] += 1
        last = False
        while not last:
            pdu = await self._pdu(reader)
            carried += len(pdu)
            assert carried <= LIFETIME
            last = "IN_R2/A5" in pdu_names(pdu)
            if not last:
                self._hear(pdu)
        self.lifetimes.append(carried)
        self.a5.set()
        if not self.closes_predecessors:
            await self._pdu(reader)

    def _hear(self, pdu: bytes) -> None:
        kind = wire.pdu_type(pdu)
        if kind == PduType.BIND:
            bind = wire.Bind.decode(pdu)
            accepted = ContextResult(wire.ACCEPTANCE, 0, NDR)
            results = (accepted, ContextResult(wire.PROVIDER_REJECTION, 2))
            ack = wire.BindAck(bind.call_id, 5840, 5840, 1, b"6001\0", results, wire.WHOLE | wire.CONC_MPX)
            self.say(ack.encode())
        elif kind == PduType.REQUEST:
            self._on_request(wire.Request.decode(pdu))
        elif "OUT_R1/A7" in pdu_names(pdu) or "OUT_R2/A7" in pdu_names(pdu):
            self.a7.set()

    def _on_request(self, request: wire.Request) -> None:
        text = self.asked.pop(request.call_id, b"") + request.stub
        if not request.flags & wire.LAST_FRAG:
            self.asked[request.call_id] = text
            return
        parts = [text[start : start + 5000] for start in range(0, len(text), 5000)] or [b""]
        for index, part in enumerate(parts):
            flags = wire.FIRST_FRAG * (index == 0) | wire.LAST_FRAG * (index == len(parts) - 1)
            self.say(wire.Response(request.call_id, request.context_id, part, flags).encode())


def pdu_names(pdu: bytes) -> tuple[str, ...]:
    return rts.RtsPdu.decode(pdu).names if wire.pdu_type(pdu) == PduType.RTS else ()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    scripted = Proxy()
    scripted.server = await asyncio.start_server(scripted.serve, ADDRESS, 0)
    scripted.port = scripted.server.sockets[0].getsockname()[1]
    yield scripted
    for writer in scripted.open:
        writer.transport.abort()
    scripted.server.close()
    await scripted.server.wait_closed()
    for task in scripted.tasks:
        task.cancel()
    for ended in await asyncio.gather(*scripted.tasks, return_exceptions=True):
        assert ended is None or isinstance(ended, asyncio.CancelledError)


async def connect(proxy: Proxy, **options) -> VirtualConnection:
    where = RpcProxy(ADDRESS, proxy.port, source_addresses=SOURCES)
    settings = ConnectionOptions(channel_lifetime=LIFETIME, receive_window=8192, **options)
    credentials = Credentials("user00000@contoso.test", "secret")
    return await open_virtual_connection(where, "MBX1", 6001, [INTERFACE], credentials, settings)


async def lost(connection: VirtualConnection) -> PeerError:
    """What the owner of a connection is told when it goes."""
    told: asyncio.Future[PeerError] = asyncio.get_running_loop().create_future()
    connection.on_lost = told.set_result  # a second time would raise
    return await told


def settled(proxy: Proxy, connection: VirtualConnection) -> bool:
    """Nothing is recycled, nothing is under way, and both ends have counted the same."""
    return len(connection._rts.channels) == len(proxy.open) == 2 and (
        connection.bytes_sent,
        connection.bytes_received,
    ) == (proxy.bytes_received, proxy.bytes_sent)


async def test_nothing_is_lost_or_doubled(proxy):
    """Five callers at a time, in both directions more than a window, through some hundred channels."""
    connection = await connect(proxy)
    connection.on_lost = lambda error: pytest.fail(str(error))

    async def talk(caller: int) -> None:
        random = Random(caller)
        for _ in range(60):
            text = random.randbytes(random.choice((10, 3000, 12_000)))
            assert await connection.call(Say(text)) == text

    await asyncio.gather(*(talk(caller) for caller in range(5)))
    assert set(proxy.recycled) == {"IN_R1", "IN_R2", "OUT_R1", "OUT_R2"}
    assert min(proxy.recycled.values()) > 30
    assert min(proxy.lifetimes) > LIFETIME - 5840 - 1024
    assert set(proxy.sources) == set(SOURCES)
    async with asyncio.timeout(10.0):
        while not settled(proxy, connection):  # noqa: ASYNC110 - no one moment tells
            await asyncio.sleep(0)
    assert {link.channel for link in connection._links} == set(connection._rts.channels)
    assert connection._connecting == ()
    await connection.close()
    assert connection._links == ()


async def test_a_successor_that_finds_nobody(proxy):
    """Calls and owner are told what could not be opened, and for what."""
    connection = await connect(proxy)
    told = asyncio.create_task(lost(connection))
    proxy.server.close()
    calls = [connection.call(Say(bytes(5000))) for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    error = await told
    assert set(results) <= {error, bytes(5000)}
    assert error in results
    assert isinstance(error, TransportError)
    where = rf"{ADDRESS}:{proxy.port} \(MBX1:6001\)"
    assert re.fullmatch(rf"{where}: successor of the (IN|OUT) channel: Connection refused", str(error))
    await connection.close()


async def test_a_refused_successor(proxy):
    proxy.refusal = rpc_error_head(0x6BA)
    connection = await connect(proxy)
    with pytest.raises(HttpRefused, match="RPC Error: 6ba"):
        await asyncio.gather(*(connection.call(Say(bytes(5000))) for _ in range(3)))
    await connection.close()


async def test_recycling_has_a_time_limit(proxy):
    """The alarm is set for it when it begins."""
    proxy.answers_a1 = False
    proxy.out_lifetime = 1 << 30
    connection = await connect(proxy, recycle_timeout_s=0.05)
    with pytest.raises(TimedOut, match=r"recycling the IN channel: IN_R1/A4 or IN_R2/A4 did not come"):
        await asyncio.gather(*(connection.call(Say(bytes(5000))) for _ in range(3)))
    await connection.close()


async def test_a_predecessor_that_the_proxy_leaves_open(proxy):
    """It is closed in the end, and the next recycling begins."""
    proxy.closes_predecessors = False
    proxy.out_lifetime = 1 << 30
    connection = await connect(proxy, recycle_timeout_s=0.5)
    for _ in range(3):
        assert await connection.call(Say(bytes(5000))) == bytes(5000)
    while sum(proxy.recycled.values()) < 3 or len(proxy.open) > 3:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await connection.close()


@pytest.mark.parametrize("end", ["close", "abort", "loss"])
async def test_the_end_while_a_successor_connects(proxy, monkeypatch, end):
    begun: asyncio.Queue[str] = asyncio.Queue()

    async def never(proxy, many, what, timeout_s):
        begun.put_nowait(what)
        await asyncio.get_running_loop().create_future()

    proxy.out_lifetime = 1 << 30
    connection = await connect(proxy)
    monkeypatch.setattr(transport, "connect", never)
    call = asyncio.create_task(connection.call(Say(bytes(5000))))
    assert await begun.get() == "successor of the IN channel"
    (connecting,) = connection._connecting
    assert await call == bytes(5000)
    if end == "close":
        await connection.close()
        assert connecting.cancelled()
    elif end == "abort":
        connection.abort()
    else:
        told = asyncio.create_task(lost(connection))
        await asyncio.sleep(0)
        proxy.out.transport.abort()
        assert isinstance(await told, ConnectionLost)
    await asyncio.wait([connecting])
    assert connection._connecting == ()
    await connection.close()
