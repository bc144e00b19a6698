"""A socket to an RPC server; what a turn of the loop has to send goes out in one piece."""

import asyncio
from collections.abc import Callable
from typing import cast

from loadgen.errors import PeerError
from mock_server.counters import RpcStatistics
from mock_server.rpch.leg import Leg


class LegConnection(asyncio.Protocol):
    """The socket of the leg that ``accept`` makes.

    ``count`` hears of one more or one less of them, and ``watch`` of each read, after which something may
    have to be waited for.
    """

    def __init__(
        self,
        accept: Callable[[Callable[[], None]], Leg],
        statistics: RpcStatistics,
        count: Callable[[int], None],
        watch: Callable[[], None] | None = None,
    ) -> None:
        self._statistics = statistics
        self._count = count
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._leg: Leg = accept(self._wake)
        self._flushing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._count(1)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes for the leg."""
        try:
            self._leg.receive(data, self._loop.time())
        except PeerError:
            self._statistics.protocol_errors += 1
            self._leg.lost()
            self._wake()
        if self._watch is not None:
            self._watch()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has gone."""
        self._count(-1)
        self._transport = None
        self._leg.lost()

    def _wake(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None:
            return
        data = self._leg.data_to_send()
        if data:
            self._transport.write(data)
        if self._leg.closed:
            self._transport.close()
