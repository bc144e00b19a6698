"""A client made of bytes: two HTTP connections and hand-built PDUs, with none of the real client's code."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from loadgen.wire import rts
from loadgen.wire.http import basic_authorization
from loadgen.wire.pdu import Bind, PresentationContext, Request, SyntaxId, decode

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")
A1 = rts.conn_a1(VC, OUT, 65536).encode()
B1 = rts.conn_b1(VC, IN, 1 << 30, 300000, GROUP).encode()
PASSWORD = "Passw0rd!"


def request_head(method: str, server: str, port: int, length: int, password: str = PASSWORD) -> bytes:
    authorization = basic_authorization("user00001", password)
    return (
        f"{method} /rpc/rpcproxy.dll?{server}:{port} HTTP/1.1\r\nHost: mail\r\nUser-Agent: MSRPC\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {length}\r\n\r\n"
    ).encode("ascii")


class Connection:
    """One TCP connection: HTTP heads and PDUs come out of it one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, address: str, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(address, port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return (await self.reader.readuntil(b"\r\n\r\n"))[:-4]

    async def pdu(self) -> bytes:
        header = await self.reader.readexactly(16)
        return header + await self.reader.readexactly(int.from_bytes(header[8:10], "little") - 16)

    async def rest(self) -> bytes:
        """All until the other side closes."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


class VirtualConnection:
    """An open virtual connection with one interface bound."""

    def __init__(self, in_channel: Connection, out_channel: Connection) -> None:
        self.in_channel = in_channel
        self.out_channel = out_channel
        self.call_id = 1

    async def bind(self, interface: SyntaxId) -> Any:
        self.in_channel.send(Bind(1, 5840, 5840, 0, (PresentationContext(0, interface),)).encode())
        return decode(await self.out_channel.pdu())

    async def call(self, opnum: int, stub: bytes) -> Any:
        self.call_id += 1
        self.in_channel.send(Request(self.call_id, 0, opnum, stub).encode())
        return decode(await self.out_channel.pdu())

    async def close(self) -> None:
        await self.in_channel.close()
        await self.out_channel.close()


@asynccontextmanager
async def virtual_connection(address: str, port: int, server: str, server_port: int):
    in_channel, out_channel = [await Connection.open(address, port) for _ in range(2)]
    connection = VirtualConnection(in_channel, out_channel)
    try:
        in_channel.send(request_head("RPC_IN_DATA", server, server_port, 1 << 30) + B1)
        out_channel.send(request_head("RPC_OUT_DATA", server, server_port, 76) + A1)
        head = await out_channel.head()
        assert head.startswith(b"HTTP/1.1 200 Success\r\n"), head
        assert await out_channel.pdu() == rts.conn_a3(120000).encode()
        assert await out_channel.pdu() == rts.conn_c2(65536, 120000).encode()
        yield connection
    finally:
        await connection.close()
