"""A web server in the test: it says to each connection what a script wants, and checks nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from loadgen.check.checkup import check
from loadgen.check.result import Result
from loadgen.check.subject import Subject
from loadgen.client.account import Account
from loadgen.client.client_type import ClientType
from loadgen.client.transport import ConnectionOptions
from loadgen.trace.tracer import Tracer
from loadgen.workload import library

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]

_TURNS = 10
"""Of the event loop, in which the last sockets close."""
ADDRESS = "127.43.0.1"
ACCOUNT = Account(
    index=0,
    user="alice@example.test",
    password="Passw0rd!",
    alias="alice",
    display_name="Alice",
    legacy_dn="/o=Example/ou=Group/cn=Recipients/cn=alice",
    smtp="alice@example.test",
    home_server="MBX1",
)


def client_type(name: str) -> ClientType:
    return library.read("client", name, ClientType)


def subject(port: int, **changes: Any) -> Subject:
    given = {
        "target": f"http://{ADDRESS}:{port}",
        "host": ADDRESS,
        "port": port,
        "tls": False,
        "account": ACCOUNT,
        "client": client_type("outlook2007-online-anywhere"),
        "options": ConnectionOptions(),
        "dialect": "unknown",
        "autodiscover": "off",
        "timeout_s": 5.0,
    }
    return Subject(**(given | changes))


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port where it listens."""
    tasks: list[asyncio.Task[None]] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, ADDRESS, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks)
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def saying(data: bytes, *, body: int = 76, only: str = "OUT", closing: bool = True) -> Serve:
    """To the OUT channel, once its head and ``body`` bytes have come, ``data``; the IN channel hears nothing.

    ``only="both"`` says it on the IN channel, too.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"RPC_IN") and only == "OUT":
            await reader.read(-1)
            return
        if b"Content-Length: 76\r\n" in head:
            await reader.readexactly(body)
        writer.write(data)
        await writer.drain()
        if not closing:
            await reader.read(-1)

    return serve


async def take(serve: Serve, **changes: Any) -> Result:
    """A check against a server that is served so."""
    async with serving(serve) as port:
        return await check(subject(port, **changes), Tracer())


def failures(result: Result) -> dict[str, str]:
    """Which step failed with which known failure."""
    return {step.name: step.failure for step in result.steps if step.outcome == "failed"}


def first(result: Result) -> str:
    """The known failure that a user is told of."""
    failure = result.first_failure
    return "" if failure is None else failure.failure
