"""The server side of virtual connections over real sockets: a proxy that says what a test wants."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from msgspec import Struct

from loadgen.errors import WireError
from loadgen.wire import pdu as wire
from loadgen.wire import rts
from loadgen.wire.http import success_head
from loadgen.wire.pdu import NDR, ContextResult, PduType, SyntaxId

INTERFACE = SyntaxId.of("afa8bd80-7d8a-11c9-bef4-08002b102989", 1)


class Say(Struct, frozen=True):
    """A call whose stub is its text; its answer is text too."""

    interface: ClassVar[SyntaxId] = INTERFACE
    opnum: ClassVar[int] = 3
    text: bytes

    def encode(self) -> bytes:
        return self.text

    @staticmethod
    def decode_response(stub: bytes) -> bytes:
        if stub == b"rubbish":
            raise WireError("text", 0, "rubbish")
        return stub


class Proxy:
    """Server side of virtual connections; what a test wants otherwise, it assigns.

    ``out_answer`` and ``in_answer`` are said as soon as a channel has sent its CONN PDU. Requests go to
    ``answer``, whose PDUs go down the OUT channel.
    """

    def __init__(self) -> None:
        self.out_answer = success_head() + rts.conn_a3(120_000).encode()
        self.in_answer = b""
        self.c2 = rts.conn_c2(65536, 120_000).encode()
        self.features = ContextResult(wire.PROVIDER_REJECTION, 2)
        self.bind_result: ContextResult | None = ContextResult(wire.ACCEPTANCE, 0, NDR)
        self.answer: Callable[[wire.Request], list[bytes]] = echo
        self.refuse: Callable[[bytes], bytes] = lambda _head: b""
        self.heads: dict[str, bytes] = {}
        self.sources: list[str] = []
        self.writers: dict[str, asyncio.StreamWriter] = {}
        self.pdus: asyncio.Queue[bytes] = asyncio.Queue()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.tasks: list[asyncio.Task] = []
        self._out_ready = asyncio.Event()

    def down(self, data: bytes) -> None:
        """Say something on the OUT channel, if it is still there."""
        if not self.writers["OUT"].is_closing():
            self.bytes_sent += len(data)
            self.writers["OUT"].write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        name = ""
        try:
            head = await self._read(reader.readuntil(b"\r\n\r\n"))
            refusal = self.refuse(head)
            if refusal:
                writer.write(refusal)
                return
            name = head[4 : head.index(b"_DATA")].decode()
            self.heads[name] = head
            self.sources.append(writer.get_extra_info("peername")[0])
            self.writers[name] = writer
            self.begun.put_nowait(name)
            await (self._serve_out(reader) if name == "OUT" else self._serve_in(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.put_nowait(name)
            writer.close()

    async def _serve_out(self, reader: asyncio.StreamReader) -> None:
        await self._read(reader.readexactly(76))
        if self.out_answer:
            self.down(self.out_answer)
        self._out_ready.set()
        await self._read(reader.readexactly(1))

    async def _serve_in(self, reader: asyncio.StreamReader) -> None:
        await self._read(reader.readexactly(104))
        if self.in_answer:
            self.bytes_sent += len(self.in_answer)
            self.writers["IN"].write(self.in_answer)
        await self._out_ready.wait()
        self._out_ready.clear()
        if self.c2:
            self.down(self.c2)
        while True:
            header = await self._read(reader.readexactly(16))
            pdu = header + await self._read(reader.readexactly(wire.frag_length(header) - 16))
            self._hear(pdu)

    async def _read(self, reading: Awaitable[bytes]) -> bytes:
        data = await reading
        self.bytes_received += len(data)
        return data

    def _hear(self, pdu: bytes) -> None:
        if wire.pdu_type(pdu) == PduType.BIND:
            bind = wire.Bind.decode(pdu)
            if self.bind_result is not None:
                results = (*(self.bind_result for _ in bind.contexts[1:]), self.features)
                ack = wire.BindAck(
                    bind.call_id, 5840, 5840, 1, b"6001\0", results, wire.WHOLE | wire.CONC_MPX
                )
                self.down(ack.encode())
        elif wire.pdu_type(pdu) == PduType.REQUEST:
            for answer in self.answer(wire.Request.decode(pdu)):
                self.down(answer)
        else:
            self.pdus.put_nowait(pdu)


def reply(request: wire.Request, stub: bytes) -> bytes:
    return wire.Response(request.call_id, request.context_id, stub).encode()


def echo(request: wire.Request) -> list[bytes]:
    return [reply(request, b"you said " + request.stub)]
