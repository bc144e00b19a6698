"""A process of a server as the supervisor sees it: started, asked, stalled, taken down and brought up."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Final

import msgspec

from loadgen.errors import LoadgenError
from mock_server.counters import RoleCounters
from mock_server.faults import Delays
from mock_server.role_process import DELAYS, REPORT, Started, Task

_STOP_TIMEOUT_S: Final = 5.0
_LONGEST_LINE: Final = 1 << 26
_NOTHING: Final = RoleCounters({}, {})


class CannotListen(LoadgenError):
    """An address that the organisation needs is not to be had."""


class RoleDied(LoadgenError):
    """A process of the organisation ended on its own; the organisation ends with it."""


class Child:
    """One process of the server ``name``, spoken to in lines of JSON."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self._task = task
        self._process: Process | None = None
        self._asking = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._up = asyncio.Event()
        self._stalls = 0
        self._last_report = _NOTHING

    @property
    def process(self) -> Process:
        """The process that there is, or the last one that there was."""
        if self._process is None:
            raise AssertionError("it has been started")
        return self._process

    @property
    def is_up(self) -> bool:
        """Whether it is meant to serve."""
        return self._up.is_set()

    async def start(self) -> None:
        """Start the process and tell it its task; its group of its own keeps the terminal's signals away."""
        command = (sys.executable, "-m", "mock_server", "--role", self.name)
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
            process_group=0,
            pass_fds=() if self._task.cells is None else (self._task.cells,),
        )
        self._say(msgspec.json.encode(self._task))

    async def started(self) -> None:
        """Until it listens; raises :class:`CannotListen`, or :class:`RoleDied` if it ends without a word."""
        line = await self._answer()
        if line is None:
            raise RoleDied(f"{self.name} ended with status {await self.process.wait()}")
        started = msgspec.json.decode(line, type=Started)
        if started.error is not None:
            await self.stop()
            raise CannotListen(f"{self.name}: {started.error}")
        self._up.set()

    async def report(self) -> RoleCounters:
        """What it counts at this moment: nothing while it is down, what it last did while it is stalled."""
        if not self._stalls:
            line = await self._ask(REPORT)
            self._last_report = _NOTHING if line is None else msgspec.json.decode(line, type=RoleCounters)
        return self._last_report

    async def delays(self) -> Delays:
        """By what its calls have been delayed since it was started."""
        line = await self._ask(DELAYS)
        return Delays() if line is None else msgspec.json.decode(line, type=Delays)

    async def died(self) -> None:
        """Raises :class:`RoleDied` when it ends without having been taken down."""
        while True:
            await self._up.wait()
            process = self.process
            status = await process.wait()
            if self.is_up and process is self._process:
                raise RoleDied(f"{self.name} ended with status {status}")

    async def stall(self, seconds: float) -> None:
        """Let it do nothing for a while; its connections stay, and the kernel keeps what comes for it."""
        self._stalls += 1
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._stalls -= 1
            if not self._stalls:
                self._signal(signal.SIGCONT)

    async def take_down(self) -> None:
        """End it until :meth:`bring_up`: its connections are cut, and new ones refused."""
        async with self._changing:
            self._up.clear()
            await self.stop()

    async def bring_up(self) -> None:
        """Start it again unless it is up, once the old process has ended; raises as :meth:`started` does."""
        async with self._changing:
            if not self.is_up:
                async with self._asking:
                    await self.start()
                    await self.started()

    async def stop(self) -> None:
        """End it, gently if possible."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _ask(self, question: bytes) -> bytes | None:
        """Its answer; None while it is down."""
        async with self._asking:
            if not self.is_up:
                return None
            self._say(question)
            return await self._answer()

    def _say(self, line: bytes) -> None:
        if self.process.stdin is None:
            raise AssertionError("it is a pipe")
        self.process.stdin.write(line + b"\n")

    async def _answer(self) -> bytes | None:
        if self.process.stdout is None:
            raise AssertionError("it is a pipe")
        line = await self.process.stdout.readline()
        if not line and self.is_up:
            await self.died()
        return line or None

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
