"""Starts each server of the organisation as processes of their own, and answers for all of them."""

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import web

from loadgen.errors import LoadgenError
from mock_server.counters import Counters, RoleCounters, add_up, prometheus
from mock_server.organisation import describe
from mock_server.role_process import RoleName, Started, Task
from mock_server.topology import Topology

_STOP_TIMEOUT_S: Final = 5.0


class CannotListen(LoadgenError):
    """An address that the organisation needs is not to be had."""


class RoleDied(LoadgenError):
    """A process of the organisation ended on its own; the organisation ends with it."""


class Supervisor:
    """All processes of a topology. ``announce`` is called once, when every one of them listens."""

    def __init__(self, topology: Topology, announce: Callable[[], None]) -> None:
        self._topology = topology
        self._announce = announce
        self._children = tuple(_children(topology))
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal or the end of a piped standard input asks to stop.

        Raises :class:`CannotListen` and :class:`RoleDied`.
        """
        _check_shared_addresses(self._topology)
        try:
            await asyncio.gather(*(child.start() for child in self._children))
            runner = await self._serve_counters()
            self._announce()
            try:
                await self._wait_for_end()
            finally:
                await runner.cleanup()
        finally:
            await asyncio.gather(*(child.stop() for child in self._children))

    async def counters(self) -> Counters:
        """What all processes count at this moment."""
        reports = await asyncio.gather(*(child.report() for child in self._children))
        return add_up(zip((child.name for child in self._children), reports, strict=True))

    async def _wait_for_end(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
            await loop.connect_read_pipe(lambda: _UntilEnd(self._stop), sys.stdin)
        stopped = asyncio.create_task(self._stop.wait())
        deaths = [asyncio.create_task(child.died()) for child in self._children]
        done, pending = await asyncio.wait((stopped, *deaths), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

    async def _serve_counters(self) -> web.AppRunner:
        organisation = msgspec.json.encode(describe(self._topology))

        async def get_organisation(_request: web.Request) -> web.Response:
            return web.Response(body=organisation, content_type="application/json")

        async def get_counters(_request: web.Request) -> web.Response:
            body = msgspec.json.encode(await self.counters())
            return web.Response(body=body, content_type="application/json")

        async def get_metrics(_request: web.Request) -> web.Response:
            return web.Response(text=prometheus(await self.counters()))

        application = web.Application()
        application.router.add_get("/organisation", get_organisation)
        application.router.add_get("/counters", get_counters)
        application.router.add_get("/metrics", get_metrics)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        settings = self._topology.counters
        try:
            await web.TCPSite(runner, settings.address, settings.port).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotListen(f"counters: {error}") from None
        return runner


class _Child:
    """One process of a server, spoken to in lines of JSON."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self._task = task
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()

    async def start(self) -> None:
        """Until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mock_server",
            "--role",
            self.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        started = msgspec.json.decode(await self._ask(msgspec.json.encode(self._task)), type=Started)
        if started.error is not None:
            raise CannotListen(f"{self.name}: {started.error}")

    async def report(self) -> RoleCounters:
        """What it counts at this moment."""
        return msgspec.json.decode(await self._ask(b""), type=RoleCounters)

    async def died(self) -> None:
        """Raises when it ends."""
        raise await self._death()

    async def stop(self) -> None:
        """End it, gently if possible."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _ask(self, line: bytes) -> bytes:
        async with self._asking:
            answer = b""
            if self._process is not None and self._process.stdin and self._process.stdout:
                with suppress(ConnectionError):
                    self._process.stdin.write(line + b"\n")
                    await self._process.stdin.drain()
                answer = await self._process.stdout.readline()
            if not answer:
                raise await self._death()
            return answer

    async def _death(self) -> RoleDied:
        status = None if self._process is None else await self._process.wait()
        return RoleDied(f"{self.name} ended with status {status}")


class _UntilEnd(asyncio.Protocol):
    """Standard input, of which only the end matters."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()


def _children(topology: Topology) -> list[_Child]:
    tables: tuple[tuple[RoleName, tuple[str, ...]], ...] = (
        ("client_access", tuple(server.name for server in topology.client_access)),
        ("mailbox", tuple(server.name for server in topology.mailbox)),
        ("public_folders", tuple(server.name for server in topology.public_folders)),
        ("global_catalog", tuple(server.name for server in topology.global_catalog)),
    )
    children = []
    for role, names in tables:
        for index, name in enumerate(names):
            processes = topology.client_access[index].processes if role == "client_access" else 1
            children += [_Child(name, Task(role, index, topology)) for _ in range(processes)]
    return children


def _check_shared_addresses(topology: Topology) -> None:
    """Processes that share an address would share it with a stranger as well, so it must be free before."""
    for server in topology.client_access:
        if server.processes > 1:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((server.address, topology.http.port))
                except OSError as error:
                    raise CannotListen(f"{server.name}: {error}") from None
