"""Starts each server of the organisation as processes of their own, and answers for all of them."""

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from mock_server.child import CannotListen, Child
from mock_server.counters import CONNECTION_COLUMNS, FRONT_COLUMNS, Counters, add_up
from mock_server.faults import Delays
from mock_server.limits.shared_cells import create_cells
from mock_server.outages import Outages
from mock_server.page import serve_page
from mock_server.role_process import RoleName, Task
from mock_server.topology import ServerTable, Topology
from mock_server.topology_file import TopologySource


class Supervisor:
    """All processes of a topology. ``announce`` is called once, when every one of them listens.

    ``source`` is where the topology was read; without it nothing is read again.
    """

    def __init__(
        self, topology: Topology, announce: Callable[[], None], source: TopologySource | None = None
    ) -> None:
        self._topology = topology
        self._source = source
        self._announce = announce
        self._children: list[Child] = []
        self._descriptors: list[int] = []
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
        columns = FRONT_COLUMNS if self._topology.manners.one_process else CONNECTION_COLUMNS
        return add_up(zip((child.name for child in self._children), reports, strict=True), columns)

    async def delays(self) -> dict[str, Delays]:
        """By what the calls of each server have been delayed."""
        asked = await asyncio.gather(*(child.delays() for child in self._children))
        of_server: dict[str, list[Delays]] = {}
        for child, delays in zip(self._children, asked, strict=True):
            of_server.setdefault(child.name, []).append(delays)
        return {server: Delays.merged(parts) for server, parts in of_server.items()}

    async def _heed_requests_to_stop(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        if sys.stdin is not None and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
            await loop.connect_read_pipe(lambda: _UntilEnd(self._stop), sys.stdin)

    async def _serve(self) -> None:
        """Until cancelled, or until a process ends."""
        try:
            self._children += (Child(name, task) for name, task in self._tasks())
            for child in self._children:
                await child.start()
            await asyncio.gather(*(child.started() for child in self._children))
            outages = Outages(self._children)
            page = await serve_page(self._topology, self, outages)
            faults = [
                asyncio.create_task(outages.carry_out(fault)) for fault in self._topology.faults.planned
            ]
            try:
                self._announce()
                await asyncio.gather(*(child.died() for child in self._children), *faults)
            finally:
                for fault in faults:
                    fault.cancel()
                await page.cleanup()
        finally:
            await asyncio.gather(*(child.stop() for child in self._children))
            for descriptor in self._descriptors:
                os.close(descriptor)

    def _tasks(self) -> Iterator[tuple[str, Task]]:
        """Each process, with the name of its server; a server's processes share cells."""
        topology = self._topology
        for index, server in enumerate(topology.client_access):
            cells = create_cells()
            self._descriptors.append(cells)
            for number in range(server.processes):
                yield server.name, Task("client_access", index, topology, number, cells, self._source)
        others: tuple[tuple[RoleName, tuple[ServerTable, ...]], ...] = (
            ("mailbox", topology.mailbox),
            ("public_folders", topology.public_folders),
            ("global_catalog", topology.global_catalog),
            ("reverse_proxy", topology.reverse_proxy),
        )
        for role, tables in others:
            for index, table in enumerate(tables):
                yield table.name, Task(role, index, topology)


class _UntilEnd(asyncio.Protocol):
    """Standard input, of which only the end matters."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()


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
