"""Mail between mailbox servers: one connection for each direction, envelopes one after the other.

A message is a 32-bit length and an encoded envelope. This traffic is our own; no client takes part in it.
"""

import asyncio
from collections.abc import Mapping
from struct import Struct
from typing import Final, cast

from mock_server.counters import RoleCounters
from mock_server.mailboxes.mail import Envelope, deliver
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.roles.connection import BACKLOG, connect

_LENGTH: Final = Struct("<I")
_RETRY_S: Final = 1.0


class MailDelivery:
    """A server's end of the delivery connections: takes mail to the others, and theirs to its own mailboxes.

    ``servers`` are the addresses of the mailbox servers by name. Mail for one that is down waits for it; what
    was under way when it went is lost.
    """

    def __init__(self, store: MailboxStore, servers: Mapping[str, str], port: int) -> None:
        self._store = store
        self._servers = {name.lower(): address for name, address in servers.items()}
        self._port = port
        self._outgoing: dict[str, _Outgoing] = {}
        self.delivered = 0
        self.sent = 0

    async def start(self) -> None:
        """Listen; raises :class:`OSError`."""
        await asyncio.get_running_loop().create_server(
            lambda: _Incoming(self), self._address, self._port, backlog=BACKLOG
        )

    def report(self) -> RoleCounters:
        """The counters at this moment."""
        return RoleCounters(
            {},
            {
                "MSExchangeIS Mailbox(_Total)\\Messages Delivered": self.delivered,
                "Mock\\Envelopes to Other Servers": self.sent,
            },
        )

    def send(self, server: str, envelope: Envelope) -> None:
        """Take ``envelope`` to the server of that name, without waiting."""
        self.sent += 1
        name = server.lower()
        if name == self._store.server.name.lower():
            self.take(envelope)
            return
        outgoing = self._outgoing.get(name)
        if outgoing is None:
            outgoing = self._outgoing[name] = _Outgoing(self._servers[name], self._port, self._address)
        data = envelope.encode()
        outgoing.send(_LENGTH.pack(len(data)) + data)

    def take(self, envelope: Envelope) -> None:
        """Mail has come for mailboxes of this server."""
        self.delivered += deliver(self._store, envelope)

    @property
    def _address(self) -> str:
        return self._servers[self._store.server.name.lower()]


class _Outgoing(asyncio.Protocol):
    """The connection to one other server; what is sent while there is none goes when it is open."""

    def __init__(self, address: str, port: int, source: str) -> None:
        self._address = address
        self._port = port
        self._source = source
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._opening: asyncio.Task[None] | None = None

    def send(self, data: bytes) -> None:
        """Send, now or when the connection is open."""
        if self._transport is not None:
            self._transport.write(data)
            return
        self._waiting += data
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        while self._transport is None:
            try:
                await connect(lambda: self, self._address, self._port, self._source)
            except OSError:
                await asyncio.sleep(_RETRY_S)
        self._opening = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(bytes(self._waiting))
        self._waiting.clear()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None


class _Incoming(asyncio.Protocol):
    """A connection on which another server brings mail."""

    def __init__(self, delivery: MailDelivery) -> None:
        self._delivery = delivery
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            envelope = Envelope.decode(bytes(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
            self._delivery.take(envelope)
