"""Listening in on connections: their plain bytes both ways, as they are under TLS.

Nothing of this is there for a connection without a tap.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct

What: TypeAlias = Literal["opened", "sent", "received", "ended", "closed"]
Address: TypeAlias = tuple[str, int]

_NUMBERS: Final = count(1)


class Tapped(Struct, frozen=True):
    """One TCP connection that is listened in on; ``number`` is its own in this process."""

    number: int
    channel: str
    """What it carries: IN, OUT, HTTP, TCP."""
    local: Address
    remote: Address
    tls: bool


Tap: TypeAlias = Callable[[Tapped, What, bytes], None]
"""Told of what happens on a connection: ``ended`` is by the server, ``closed`` comes last, whoever did it."""


def next_number() -> int:
    """The number of one more connection."""
    return next(_NUMBERS)


def new_tapped(channel: str, transport: asyncio.BaseTransport) -> Tapped:
    """The description of a connection that is open."""
    local, remote = (transport.get_extra_info(name) or ("", 0) for name in ("sockname", "peername"))
    tls = transport.get_extra_info("ssl_object") is not None
    return Tapped(next_number(), channel, local[:2], remote[:2], tls)


class TappedProtocol(asyncio.Protocol):
    """A protocol whose bytes pass by a tap."""

    def __init__(self, inner: asyncio.Protocol, channel: str, tap: Tap) -> None:
        self._inner = inner
        self._channel = channel
        self._tap = tap
        self._tapped: Tapped

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, and TLS on it if there is to be any."""
        self._tapped = new_tapped(self._channel, transport)
        self._tap(self._tapped, "opened", b"")
        outgoing = _TappedTransport(cast("asyncio.Transport", transport), self._tapped, self._tap)
        self._inner.connection_made(cast("asyncio.Transport", outgoing))

    def data_received(self, data: bytes) -> None:
        """The server said something."""
        self._tap(self._tapped, "received", data)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """The server will say no more."""
        self._tap(self._tapped, "ended", b"")
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._tap(self._tapped, "closed", b"")
        self._inner.connection_lost(exc)


class _TappedTransport:
    """A transport that tells what is written to it, and is else the one that it stands for."""

    def __init__(self, inner: asyncio.Transport, tapped: Tapped, tap: Tap) -> None:
        self._inner = inner
        self._tapped = tapped
        self._tap = tap

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tap(self._tapped, "sent", bytes(data))
        self._inner.write(data)

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(data))
