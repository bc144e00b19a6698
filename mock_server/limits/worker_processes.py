"""Worker processes of an application pool: one that takes new requests, and old ones that are shut down.

After its lifetime a worker is replaced: its connections have some more time, and are cut when that is over
(white paper, "Worker Process Recycling May Cause Performance Issues").
"""

import asyncio
from typing import Protocol

from mock_server.limits.table import Limits, limit_counters


class Cuttable(Protocol):
    """A connection whose request a worker serves."""

    def cut(self) -> None:
        """End at once, without a word."""


class WorkerProcesses:
    """The workers of one pool; ``current`` holds the connections of the one that takes new requests."""

    def __init__(self, limits: Limits, *, speaks: bool = True) -> None:
        self._lifetime_s = limits.recycle_after_s
        self._grace_s = limits.recycle_grace_s
        self._speaks = speaks
        self._born = 0.0
        self.current: set[Cuttable] = set()
        self.recycled = 0
        self.hits = 0

    def start(self) -> None:
        """The first worker takes its first request from now on."""
        loop = asyncio.get_running_loop()
        self._born = loop.time()
        if self._lifetime_s:
            loop.call_later(self._lifetime_s, self._replace)

    def report(self) -> dict[str, float]:
        """The counters of the limit, of which age and lifetime come from the process that speaks."""
        if not self._lifetime_s:
            return {}
        age = asyncio.get_running_loop().time() - self._born
        age, lifetime, recycled = (age, self._lifetime_s, self.recycled) if self._speaks else (0, 0, 0)
        return {
            "APP_POOL_WAS(_Total)\\Total Application Pool Recycles": recycled,
            **limit_counters("worker_recycling", age, lifetime, self.hits),
        }

    def _replace(self) -> None:
        old, self.current = self.current, set()
        self.recycled += 1
        asyncio.get_running_loop().call_later(self._grace_s, self._shut_down, old)
        self.start()

    def _shut_down(self, old: set[Cuttable]) -> None:
        for connection in tuple(old):
            self.hits += 1
            connection.cut()
