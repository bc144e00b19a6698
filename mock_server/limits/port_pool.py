"""The ports that a server has for the connections it opens: one budget for each of its source addresses.

A connection is told apart from others by its source port, and Windows gives each port of an address out once,
whatever the destination (white paper, "TCP Protocol Connection Limit"). All processes of a server share it.
"""

import asyncio
import errno
import os
from collections.abc import Sequence

from mock_server.limits.shared_cells import SharedCells, SharedCount
from mock_server.limits.table import Limits, limit_counters


class PortLease:
    """A port in use, on ``address``."""

    __slots__ = ("_index", "_pool", "address")

    def __init__(self, pool: "PortPool", index: int, address: str) -> None:
        self._pool: PortPool | None = pool
        self._index = index
        self.address = address

    def end(self, *, closed_here: bool = False) -> None:
        """The connection is over; a port whose owner closed first is held for TIME_WAIT. May be repeated."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give_back(self._index, held=closed_here)


class PortPool:
    """The ports of one server, as one of its processes sees them; ``hits`` counts refusals of this process.

    ``speaks`` is true in the one process that reports how large the budget is.
    """

    def __init__(
        self,
        limits: Limits,
        addresses: Sequence[str],
        cells: SharedCells | None = None,
        *,
        speaks: bool = True,
    ) -> None:
        cells = cells or SharedCells()
        self.hits = 0
        self._addresses = tuple(addresses)
        self._used: tuple[SharedCount, ...] = tuple(cells.count() for _ in self._addresses)
        self._budget = limits.port_budget
        self._time_wait_s = limits.time_wait_s
        self._speaks = speaks
        self._turn = 0

    def take(self) -> PortLease:
        """A port of the next address that has one; raises EADDRNOTAVAIL, as connecting does in earnest."""
        count = len(self._addresses)
        for step in range(count):
            index = (self._turn + step) % count
            if self._used[index].add(self._budget):
                self._turn = index + 1
                return PortLease(self, index, self._addresses[index])
        self.hits += 1
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def refused_by_kernel(self) -> None:
        """The kernel had no port for a lease: its own range is used up before the budget."""
        self.hits += 1

    def give_back(self, index: int, *, held: bool) -> None:
        """A connection from the address of this index is over."""
        if held and self._time_wait_s:
            asyncio.get_running_loop().call_later(self._time_wait_s, self._free, index)
        else:
            self._free(index)

    def report(self) -> dict[str, float]:
        """The counters of the limit: none if it is off and the kernel has not refused either."""
        if not self._budget and not self.hits:
            return {}
        of = self._budget * len(self._addresses) if self._speaks else 0
        return limit_counters("ports", sum(used.own for used in self._used), of, self.hits)

    def _free(self, index: int) -> None:
        self._used[index].subtract()
