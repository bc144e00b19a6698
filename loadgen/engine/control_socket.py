"""A run's Unix socket, for whoever may write to its results folder's: a line of JSON each way."""

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadgen.engine.control import Answer, Command, Control
from loadgen.errors import TransportError

FILE: Final = "control.sock"
LONGEST_LINE: Final = 65_536
PATIENCE_S: Final = 30.0
"""A run obeys between two intervals, which may take a while when it is busy."""

_PEER: Final = struct.Struct("3i")
"""SO_PEERCRED: process, user and group at the other end."""


class NoSocket(Exception):
    """There can be no socket in this folder; the text says why."""


@asynccontextmanager
async def control_socket(folder: Path, control: Control) -> AsyncIterator[Path]:
    """Takes commands for a run at ``control.sock`` in its folder, for the owner alone.

    Raises :class:`NoSocket`.
    """
    path = folder / FILE
    try:
        listener = _listen(folder)
    except OSError as error:
        raise NoSocket(f"{path}: {error.strerror}") from None
    talks: set[asyncio.Task[None]] = set()
    is_over = False

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_over:  # it was on its way in when the run ended
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(_talk(reader, writer, control))
        talks.add(task)

        def end(_: object) -> None:  # even of a task that was cancelled before its first step
            talks.discard(task)
            writer.close()

        task.add_done_callback(end)

    server = await asyncio.start_unix_server(take, sock=listener, limit=LONGEST_LINE)
    try:
        yield path
    finally:
        is_over = True
        server.close()
        for talk in tuple(talks):
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        path.unlink(missing_ok=True)


def ask(folder: Path, command: Command) -> Answer:
    """What a run says to a command; raises :class:`~loadgen.errors.TransportError`."""
    path = folder / FILE
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            with _short(folder) as short:
                client.connect(short)
            client.sendall(msgspec.json.encode(command) + b"\n")
            with client.makefile("rb") as answers:
                return msgspec.json.decode(answers.readline(), type=Answer)
    except FileNotFoundError:
        raise TransportError(f"{path}: is not there: the run is over, or has no socket") from None
    except ConnectionRefusedError:
        raise TransportError(f"{path}: nobody listens: the run was killed") from None
    except TimeoutError:
        raise TransportError(f"{path}: no answer after {PATIENCE_S:g} s") from None
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError:
        raise TransportError(f"{path}: the run went away without an answer") from None


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, control: Control) -> None:
    by = _peer(writer.get_extra_info("socket"))
    try:
        while line := await reader.readline():
            writer.write(msgspec.json.encode(await _answer(line, control, by)) + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError):
        return  # who asked has gone, or sent a line longer than any command


async def _answer(line: bytes, control: Control, by: str) -> Answer:
    try:
        command = msgspec.json.decode(line, type=Command)
    except msgspec.MsgspecError as error:
        return Answer(ok=False, text=f"not a command: {error}")
    return await control.obey(command, by)


def _listen(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: nobody else ever gets in
        with _short(folder) as short:
            listener.bind(short)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name of the socket that fits the 107 bytes that there are for one, however deep the folder is."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{FILE}"
    finally:
        os.close(descriptor)


def _peer(connection: socket.socket) -> str:
    """Who is at the other end."""
    pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return f"{name} (process {pid})"
