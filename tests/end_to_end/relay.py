"""A wire between clients and the client access server that a test can chop up, hold, or cut."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from loadgen.client.account import RpcProxy
from tests.end_to_end.mock_organisation import MockOrganisation

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class _Wire:
    """One connection; ``method`` is that of its request."""

    method: str
    to_client: asyncio.StreamWriter
    to_server: asyncio.StreamWriter

    @property
    def ends(self) -> tuple[asyncio.StreamWriter, asyncio.StreamWriter]:
        """Both sides."""
        return self.to_client, self.to_server


class Relay:
    """Passes on at most ``piece`` bytes at a time, and nothing while it is held.

    ``cuts`` is how often it has cut all connections at once.
    """

    def __init__(self, mock: MockOrganisation, piece: int) -> None:
        self._mock = mock
        self._piece = piece
        self._requests_flow, self._answers_flow = asyncio.Event(), asyncio.Event()
        self.resume()
        self._wires: list[_Wire] = []
        self._bytes_left: int | None = None
        self.cuts = 0
        self._serving: set[asyncio.Task[None]] = set()
        self.proxy: RpcProxy

    def hold(self, *, answers_only: bool = False) -> None:
        """Pass nothing on, or nothing to the client; what comes piles up."""
        self._answers_flow.clear()
        if not answers_only:
            self._requests_flow.clear()

    def resume(self) -> None:
        """Pass on again."""
        self._requests_flow.set()
        self._answers_flow.set()

    def cut(self, method: str, number: int = 0, *, reset: bool = False) -> None:
        """End one connection, by its request's method and its place among those, with FIN or with RST."""
        wires = [wire for wire in self._wires if wire.method == method]
        for end in wires[number].ends:
            if reset:
                connection = end.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                end.transport.abort()
            else:
                end.close()

    def cut_all_after(self, size: int) -> None:
        """End all connections when so many more bytes have come through."""
        self._bytes_left = size

    def cut_any(self, draw: Random) -> bool:
        """End any connection in any manner; False if there is none."""
        if not self._wires:
            return False
        wire = draw.choice(self._wires)
        of_method = [other for other in self._wires if other.method == wire.method]
        self.cut(wire.method, of_method.index(wire), reset=draw.random() < 0.5)
        return True

    def calm(self) -> None:
        """Cut nothing any more that is not cut yet."""
        self._bytes_left = None

    def take(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """A client has connected."""
        task = asyncio.create_task(self._serve(from_client, to_client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def stop(self) -> None:
        """Drop all connections."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection, until one of its sides ends."""
        from_server, to_server = await asyncio.open_connection(self._mock.host, self._mock.port)
        pumps: list[asyncio.Task[None]] = []
        wire: _Wire | None = None
        try:
            try:
                method = await from_client.readuntil(b" ")
            except (asyncio.IncompleteReadError, ConnectionError):
                return  # it was cut before it said anything
            to_server.write(method)
            wire = _Wire(method.decode().strip(), to_client, to_server)
            self._wires.append(wire)
            for source, target, flowing in (
                (from_client, to_server, self._requests_flow),
                (from_server, to_client, self._answers_flow),
            ):
                pumps.append(asyncio.create_task(self._pump(source, target, flowing)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wires = [other for other in self._wires if other is not wire]
            for pump in pumps:
                pump.cancel()
            for end in (to_client, to_server):
                end.transport.abort()
            closing = (to_client.wait_closed(), to_server.wait_closed())
            await asyncio.gather(*pumps, *closing, return_exceptions=True)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        while data := await source.read(self._piece):
            await flowing.wait()
            if self._is_over(len(data)):
                break
            target.write(data)
            await target.drain()
            await asyncio.sleep(0)

    def _is_over(self, size: int) -> bool:
        """Whether these bytes are too many; then all connections have ended."""
        if self._bytes_left is None:
            return False
        self._bytes_left -= size
        if self._bytes_left >= 0:
            return False
        self._bytes_left = None
        self.cuts += 1
        for wire in self._wires:
            for end in wire.ends:
                end.close()
        return True


@asynccontextmanager
async def relay_to(mock: MockOrganisation, *, piece: int = 1 << 16) -> AsyncIterator[Relay]:
    """A relay in front of the first client access server, on an address of the mock's network."""
    relay = Relay(mock, piece)
    address = mock.base_address.removesuffix(".0") + ".200"
    server = await asyncio.start_server(relay.take, address, 0)
    relay.proxy = RpcProxy(address, server.sockets[0].getsockname()[1])
    try:
        yield relay
    finally:
        server.close()
        await relay.stop()
        await server.wait_closed()
