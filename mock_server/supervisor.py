"""Starts each server of the organisation as processes of their own, and answers for all of them."""

import asyncio
import os
import signal
import socket
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Self

import msgspec
from aiohttp import web

from loadgen.errors import LoadgenError
from mock_server.counters import Counters, RoleCounters, add_up, prometheus
from mock_server.organisation import describe
from mock_server.role_process import RoleName, Started, Task
from mock_server.topology import ServerTable, Topology

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
        self._children: list[_Child] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal or the end of a piped standard input asks to stop.

        Raises :class:`CannotListen` and :class:`RoleDied`.
        """
        _check_shared_addresses(self._topology)
        await self._heed_requests_to_stop()
        serving = asyncio.create_task(self._serve())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    async def counters(self) -> Counters:
        """What all processes count at this moment."""
        reports = await asyncio.gather(*(child.report() for child in self._children))
        return add_up(zip((child.name for child in self._children), reports, strict=True))

    async def _heed_requests_to_stop(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        if sys.stdin is not None and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
            await loop.connect_read_pipe(lambda: _UntilEnd(self._stop), sys.stdin)

    async def _serve(self) -> None:
        """Until cancelled, or until a process ends."""
        try:
            for name, task in _tasks(self._topology):
                self._children.append(await _Child.spawn(name, task))
            await asyncio.gather(*(child.started() for child in self._children))
            runner = await self._serve_counters()
            try:
                self._announce()
                await asyncio.gather(*(child.died() for child in self._children))
            finally:
                await runner.cleanup()
        finally:
            await asyncio.gather(*(child.stop() for child in self._children))

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

    def __init__(
        self, name: str, process: Process, control: asyncio.StreamWriter, answers: asyncio.StreamReader
    ) -> None:
        self.name = name
        self.process = process
        self._control = control
        self._answers = answers
        self._asking = asyncio.Lock()

    @classmethod
    async def spawn(cls, name: str, task: Task) -> Self:
        """Start the process and tell it its task; its group of its own keeps the terminal's signals away."""
        command = (sys.executable, "-m", "mock_server", "--role", name)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, process_group=0)
        control, answers = process.stdin, process.stdout
        if control is None or answers is None:
            raise AssertionError("both are pipes")
        control.write(msgspec.json.encode(task) + b"\n")
        return cls(name, process, control, answers)

    async def started(self) -> None:
        """Until it listens; raises :class:`CannotListen`."""
        started = msgspec.json.decode(await self._answer(), type=Started)
        if started.error is not None:
            raise CannotListen(f"{self.name}: {started.error}")

    async def report(self) -> RoleCounters:
        """What it counts at this moment."""
        async with self._asking:
            self._control.write(b"\n")
            return msgspec.json.decode(await self._answer(), type=RoleCounters)

    async def died(self) -> None:
        """Raises :class:`RoleDied` when it ends."""
        status = await self.process.wait()
        raise RoleDied(f"{self.name} ended with status {status}")

    async def stop(self) -> None:
        """End it, gently if possible."""
        self._control.close()
        try:
            await asyncio.wait_for(self.process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _answer(self) -> bytes:
        line = await self._answers.readline()
        if not line:
            await self.died()
        return line


class _UntilEnd(asyncio.Protocol):
    """Standard input, of which only the end matters."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()


def _tasks(topology: Topology) -> Iterator[tuple[str, Task]]:
    """Each process, with the name of its server."""
    for index, server in enumerate(topology.client_access):
        for _ in range(server.processes):
            yield server.name, Task("client_access", index, topology)
    others: tuple[tuple[RoleName, tuple[ServerTable, ...]], ...] = (
        ("mailbox", topology.mailbox),
        ("public_folders", topology.public_folders),
        ("global_catalog", topology.global_catalog),
    )
    for role, tables in others:
        for index, table in enumerate(tables):
            yield table.name, Task(role, index, topology)


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
