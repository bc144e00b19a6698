"""The floor: the same bytes over as many connections in the same order, by programs that understand none.

A conversation of a client with the mock is recorded once by a relay. Its client's half is then played by this
process, with blocking sockets or on an event loop, and the other half by a process that knows when to say
what. Another process in between passes everything on, as a client access server has to.
"""

import asyncio
import multiprocessing
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

from loadgen.client.account import RpcProxy

_RECEIVE_SIZE = 1 << 18


@dataclass(frozen=True)
class Step:
    """``data`` goes over a connection, up to the server or down; a step without data opens the connection."""

    connection: int
    is_up: bool
    data: bytes = b""


@dataclass
class Exchange:
    """A conversation over several connections, in one order. What stands before ``mark`` is preparation."""

    steps: list[Step] = field(default_factory=list)
    mark: int = 0

    @property
    def octets(self) -> tuple[int, int]:
        """Bytes up and down behind the mark."""
        steps = self.steps[self.mark :]
        up = sum(len(step.data) for step in steps if step.is_up)
        return up, sum(len(step.data) for step in steps) - up


class _Relayed(asyncio.Protocol):
    """One end of a connection that is recorded; bytes wait until the other end is there."""

    def __init__(self, exchange: Exchange, connection: int, *, is_up: bool) -> None:
        self._exchange = exchange
        self._connection = connection
        self._is_up = is_up
        self._early = b""
        self.other: _Relayed | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._exchange.steps.append(Step(self._connection, self._is_up, data))
        if self.other is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()

    def join(self, other: "_Relayed") -> None:
        self.other, other.other = other, self
        other.transport.write(self._early)


@asynccontextmanager
async def recorded(proxy: RpcProxy, address: str) -> AsyncIterator[tuple[RpcProxy, Exchange]]:
    """A relay to ``proxy`` that listens on ``address``, and what goes through it."""
    loop = asyncio.get_running_loop()
    exchange = Exchange()
    joining: list[asyncio.Task[None]] = []

    async def join(client: _Relayed, connection: int) -> None:
        _, server = await loop.create_connection(
            lambda: _Relayed(exchange, connection, is_up=False), proxy.host, proxy.port
        )
        client.join(server)

    def accept() -> _Relayed:
        connection = len(joining)
        exchange.steps.append(Step(connection, is_up=True))
        client = _Relayed(exchange, connection, is_up=True)
        joining.append(loop.create_task(join(client, connection)))
        return client

    server = await loop.create_server(accept, address, 0)
    try:
        yield RpcProxy(address, server.sockets[0].getsockname()[1]), exchange
    finally:
        server.close()


class BlockingClient:
    """The client's half with nothing but ``send`` and ``recv``."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._sockets: list[socket.socket] = []

    def play(self, steps: Sequence[Step]) -> None:
        """Go through steps of the conversation."""
        sockets = self._sockets
        for step in steps:
            if not step.data:
                sockets.append(_connected(self._server))
            elif step.is_up:
                sockets[step.connection].sendall(step.data)
            else:
                _take(sockets[step.connection], len(step.data))

    def close(self) -> None:
        """Close all connections."""
        _close(self._sockets)


class EventLoopClient:
    """The client's half on the running event loop, as any program over asyncio must have it at least."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._ends: list[_Counted] = []

    async def play(self, steps: Sequence[Step]) -> None:
        """Go through steps of the conversation."""
        loop, ends = asyncio.get_running_loop(), self._ends
        for step in steps:
            if not step.data:
                _, end = await loop.create_connection(_Counted, *self._server)
                ends.append(end)
            elif step.is_up:
                ends[step.connection].transport.write(step.data)
            else:
                await ends[step.connection].take(len(step.data))

    async def close(self) -> None:
        """Close all connections, and wait until they are."""
        for end in self._ends:
            end.transport.close()
        await asyncio.gather(*(end.closed for end in self._ends))


class _Counted(asyncio.Protocol):
    """A connection of which only the number of bytes matters."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = 0
        self._taken: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left <= 0 and self._taken is not None:
            self._taken.set_result(None)
            self._taken = None

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed.set_result(None)

    async def take(self, size: int) -> None:
        self._left += size
        if self._left > 0:
            self._taken = self._loop.create_future()
            await self._taken


@dataclass(frozen=True)
class Floor:
    """Two processes that play an exchange again and again: where to connect to, and their ids."""

    exchange: Exchange
    server: tuple[str, int]
    processes: tuple[int, int]

    @property
    def preparation(self) -> list[Step]:
        """What comes before that which is measured."""
        return self.exchange.steps[: self.exchange.mark]

    @property
    def measured(self) -> list[Step]:
        """What is measured."""
        return self.exchange.steps[self.exchange.mark :]


@contextmanager
def floor(exchange: Exchange, address: str) -> Iterator[Floor]:
    """Whoever connects to it may play the client's half of ``exchange``, as often as he likes."""
    fork = multiprocessing.get_context("fork")  # they need nothing that takes long to import
    here, there = fork.Pipe()
    peer = fork.Process(target=_serve, args=(exchange.steps, address, None, there), daemon=True)
    peer.start()
    behind = here.recv()
    hop = fork.Process(target=_serve, args=(exchange.steps, address, behind, there), daemon=True)
    hop.start()
    try:
        yield Floor(exchange, here.recv(), (cast("int", peer.pid), cast("int", hop.pid)))
    finally:
        for process in (hop, peer):
            process.kill()
            process.join()


def _serve(
    steps: list[Step], address: str, behind: tuple[str, int] | None, ready: "Connection[object, object]"
) -> None:
    """The server's half; with something ``behind``, it passes all on to that and has nothing of its own."""
    with socket.create_server((address, 0)) as listener:
        ready.send(listener.getsockname())
        while True:
            _converse(steps, listener, behind)


def _converse(steps: list[Step], listener: socket.socket, behind: tuple[str, int] | None) -> None:
    clients: list[socket.socket] = []
    servers: list[socket.socket] = []
    for step in steps:
        if not step.data:
            clients.append(listener.accept()[0])
            clients[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if behind is not None:
                servers.append(_connected(behind))
            continue
        client = clients[step.connection]
        data = step.data
        if step.is_up:
            data = _take(client, len(data))
        elif behind is not None:
            data = _take(servers[step.connection], len(data))
        if not data:
            break  # the client has no use for the rest
        if not step.is_up:
            client.sendall(data)
        elif behind is not None:
            servers[step.connection].sendall(data)
    for client in clients:
        client.recv(1)  # it is the client who closes first, and keeps the waiting state
    _close([*servers, *clients])


def _connected(server: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(server)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _take(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or none if the connection has ended."""
    data = connection.recv(size)
    while len(data) < size and (more := connection.recv(min(size - len(data), _RECEIVE_SIZE))):
        data += more
    return data


def _close(connections: list[socket.socket]) -> None:
    while connections:
        connections.pop().close()
