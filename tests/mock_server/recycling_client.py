"""A client made of bytes whose channels are replaced while it calls, written from [MS-RPCH] 3.2.2 alone.

It is strict: a PDU that has no place where it comes ends the test, as does an answer that nobody asked for.
"""

import asyncio
from collections import Counter, deque
from os import urandom
from typing import Any

from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import (
    CONC_MPX,
    FIRST_FRAG,
    LAST_FRAG,
    Bind,
    PduType,
    PresentationContext,
    Request,
    Response,
    SyntaxId,
    decode,
)
from loadgen.wire.rts import (
    ANCE,
    ConnectionTimeout,
    Destination,
    FlowControlAck,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)
from tests.mock_server.wire_client import Connection, request_head

KEPT_FOR_RTS = 1024
RECYCLE_BELOW = 4096
UINT32 = 0xFFFFFFFF


class InChannel:
    """An IN channel and what may still be sent on it."""

    def __init__(self, connection: Connection, lifetime: int) -> None:
        self.connection = connection
        self.cookie = urandom(16)
        self.left = lifetime
        self.sent = 0
        self.window = 0
        self.available = 0

    def opened(self, window: int) -> None:
        self.window = self.available = window

    def send_rts(self, pdu: RtsPdu) -> None:
        self._write(pdu.encode())

    def has_room(self, size: int) -> bool:
        return self.left - size >= KEPT_FOR_RTS

    def send_rpc(self, pdu: bytes) -> None:
        self._write(pdu)
        self.sent += len(pdu)
        self.available -= len(pdu)

    def acknowledged(self, ack: FlowControlAck) -> None:
        self.available = ack.available_window - ((self.sent - ack.bytes_received) & UINT32)
        assert 0 <= self.available <= self.window

    def _write(self, data: bytes) -> None:
        self.left -= len(data)
        assert self.left >= 0
        self.connection.send(data)


class OutChannel:
    """An OUT channel and what has come on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.cookie = urandom(16)
        self.received = 0
        self.acknowledged = 0


class RecyclingClient:
    """One virtual connection to ``server`` and ``port``. ``recycles`` counts by form, as the mock does."""

    def __init__(
        self, proxy: tuple[str, int], server: str, port: int, *, in_lifetime: int, window: int = 65536
    ) -> None:
        self.recycles: Counter[str] = Counter()
        self._proxy = proxy
        self._server = server
        self._port = port
        self._in_lifetime = in_lifetime
        self._window = window
        self._vc = urandom(16)
        self._queue: deque[bytes] = deque()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._call_id = 0
        self._next_in: InChannel | None = None
        self._opening_in = False
        self._next_out: OutChannel | None = None
        self._out_form = ""
        self._in: InChannel
        self._out: OutChannel
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connections: list[Connection] = []

    async def open(self, interface: SyntaxId) -> "RecyclingClient":
        """Establish and bind."""
        self._in = await self._new_in()
        connection = await self._connect("RPC_OUT_DATA", 76)
        self._out = OutChannel(connection)
        connection.send(rts.conn_a1(self._vc, self._out.cookie, self._window).encode())
        lifetime, group = self._in_lifetime, urandom(16)
        self._in.send_rts(rts.conn_b1(self._vc, self._in.cookie, lifetime, 300000, group))
        await self._response_head(connection)
        assert RtsPdu.decode(await connection.pdu()).names == ("CONN/A3",)
        c2 = RtsPdu.decode(await connection.pdu())
        assert c2.names == ("CONN/C1", "CONN/C2")
        self._in.opened(c2.commands[1].size)
        self._start(self._listen())
        context = PresentationContext(0, interface)
        await self._ask(Bind(self._new_id(), 5840, 5840, 0, (context,), FIRST_FRAG | LAST_FRAG | CONC_MPX))
        return self

    def call(self, opnum: int, stub: bytes) -> "asyncio.Future[Response]":
        """A call, of which many may be outstanding."""
        return self._ask(Request(self._new_id(), 0, opnum, stub))

    async def close(self) -> None:
        """Raises what has gone wrong behind the scenes."""
        failed = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        for task in self._tasks:
            task.cancel()
        for channel in (self._in, self._out, self._next_in, self._next_out):
            if channel is not None:
                await channel.connection.close()
        assert not any(failed), failed
        assert not self._calls

    async def abort(self) -> None:
        """Go without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for connection in self._connections:
            connection.writer.transport.abort()

    def _new_id(self) -> int:
        self._call_id += 1
        return self._call_id

    def _ask(self, request: Any) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        self._calls[request.call_id] = future
        self._queue.append(request.encode())
        self._pump()
        return future

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        """Whoever waits for an answer hears why none will come."""
        if not task.cancelled() and task.exception() is not None:
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(task.exception())
        elif task.done() and not task.cancelled():
            self._tasks.discard(task)

    async def _connect(self, method: str, length: int) -> Connection:
        connection = await Connection.open(*self._proxy)
        self._connections.append(connection)
        connection.send(request_head(method, self._server, self._port, length))
        return connection

    async def _new_in(self) -> InChannel:
        return InChannel(await self._connect("RPC_IN_DATA", self._in_lifetime), self._in_lifetime)

    @staticmethod
    async def _response_head(connection: Connection) -> None:
        head = await connection.head()
        assert head.startswith(b"HTTP/1.1 200 Success\r\n"), head

    def _pump(self) -> None:
        used_up = self._in.left <= RECYCLE_BELOW
        while self._queue and self._in.available > len(self._queue[0]):
            if not self._in.has_room(len(self._queue[0])):
                used_up = True
                break
            self._in.send_rpc(self._queue.popleft())
        if used_up and self._next_in is None and not self._opening_in:
            self._opening_in = True
            self._start(self._begin_in())

    async def _begin_in(self) -> None:
        successor = await self._new_in()
        self._opening_in = False
        self._next_in = successor
        successor.send_rts(rts_recycling.in_r1_a1(self._vc, self._in.cookie, successor.cookie))

    def _finish_in(self, form: str, window: int) -> None:
        successor, self._next_in = self._next_in, None
        assert successor is not None, "IN_R1/A4 or IN_R2/A4 unasked"
        self._in.send_rts(rts_recycling.in_r1_a5(successor.cookie))
        self._start(self._expect_end(self._in.connection))
        successor.opened(window)
        self._in = successor
        self.recycles[f"IN_{form}"] += 1
        self._pump()

    @staticmethod
    async def _expect_end(connection: Connection) -> None:
        """The proxy closes a predecessor, with nothing more to say."""
        assert await connection.rest() == b""
        await connection.close()

    async def _begin_out(self) -> None:
        assert self._next_out is None
        successor = self._next_out = OutChannel(await self._connect("RPC_OUT_DATA", 120))
        a3 = rts_recycling.out_r1_a3(self._vc, self._out.cookie, successor.cookie, self._window)
        successor.connection.send(a3.encode())

    async def _finish_out(self, form: str) -> None:
        successor, self._next_out = self._next_out, None
        assert successor is not None
        assert self._out_form == form
        await self._expect_end(self._out.connection)
        if form == "R1":
            successor.connection.send(rts_recycling.out_r1_a11().encode())
        await self._response_head(successor.connection)
        self._out, self._out_form = successor, ""
        self.recycles[f"OUT_{form}"] += 1

    async def _listen(self) -> None:
        while True:
            pdu = await self._out.connection.pdu()
            if pdu[2] == PduType.RTS:
                await self._heard(RtsPdu.decode(pdu))
            else:
                self._answered(pdu)

    def _answered(self, pdu: bytes) -> None:
        answer = decode(pdu)
        self._calls.pop(answer.call_id).set_result(answer)
        out = self._out
        out.received += len(pdu)
        if out.received - out.acknowledged > self._window // 2:
            out.acknowledged = out.received
            ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, out.received, self._window, out.cookie)
            self._in.send_rts(ack)

    async def _heard(self, pdu: RtsPdu) -> None:
        match pdu.flags, pdu.commands:
            case rts.OTHER_CMD, (Destination(rts.CLIENT), FlowControlAck() as ack):
                if ack.channel_cookie == self._in.cookie:
                    self._in.acknowledged(ack)
                    self._pump()
            case rts.NONE, (Destination(rts.CLIENT),):
                self._finish_in("R2", self._in.window)
            case rts.NONE, (Destination(rts.CLIENT), Version(), ReceiveWindowSize(size), ConnectionTimeout()):
                self._finish_in("R1", size)
            case rts.RECYCLE_CHANNEL, (Destination(rts.CLIENT),):
                self._start(self._begin_out())
            case rts.OUT_CHANNEL, (Destination(rts.CLIENT), Version(), ConnectionTimeout()):
                self._agree_to_out("R1")
            case rts.NONE, (Destination(rts.CLIENT), ANCE()):
                self._agree_to_out("R2")
            case rts.NONE, (ANCE(),):
                await self._finish_out("R1")
            case rts.EOF, (ANCE(),):
                await self._finish_out("R2")
            case _:
                raise AssertionError(f"{pdu} has no place here")

    def _agree_to_out(self, form: str) -> None:
        successor = self._next_out
        assert successor is not None
        assert not self._out_form
        self._out_form = form
        if form == "R1":
            self._in.send_rts(rts_recycling.out_r1_a7(successor.cookie))
        else:
            self._in.send_rts(rts_recycling.out_r2_a7(successor.cookie))
            successor.connection.send(rts_recycling.out_r2_c1().encode())
