"""Numbers that all processes of one server share, for limits that are the server's and not the process's."""

import fcntl
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ROOM: Final = 1 << 16


def create_cells() -> int:
    """A descriptor of new cells, to be passed to each process of a server."""
    descriptor = os.memfd_create("mock-server-limits")
    os.ftruncate(descriptor, _ROOM)
    return descriptor


class SharedCells:
    """Rows of cells, of which each process has one to write; each row is what one limit needs.

    Processes that ask for rows in the same order share them. A process that starts again begins with nothing,
    whatever the one before it left. The lock is a record of the kernel's on the file: it ends with its
    process, and works between processes alone, which is enough as none of them has threads.
    """

    def __init__(self, descriptor: int | None = None, process: int = 0, processes: int = 1) -> None:
        self._descriptor = create_cells() if descriptor is None else descriptor
        self._numbers = memoryview(mmap.mmap(self._descriptor, _ROOM)).cast("q")
        self._process = process
        self._processes = processes
        self._rows = 0
        weakref.finalize(self, os.close, self._descriptor)

    def count(self) -> "SharedCount":
        """A row in which each process counts its own; it begins at 0."""
        row = self._row()
        self._numbers[row[self._process]] = 0
        return SharedCount(self, row, self._process)

    def moment(self) -> "SharedMoment":
        """A row of which all processes use the first cell."""
        return SharedMoment(self, self._row()[0])

    def read(self, index: int) -> int:
        """The number in a cell."""
        return self._numbers[index]

    def write(self, index: int, number: int) -> None:
        """Replace the number in a cell."""
        self._numbers[index] = number

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While this lasts no other process is between reading and writing."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _row(self) -> range:
        start = self._rows * self._processes
        self._rows += 1
        return range(start, start + self._processes)


class SharedCount:
    """How many of something the processes of a server have together; ``own`` is this process's share."""

    __slots__ = ("_cells", "_place", "_row")

    def __init__(self, cells: SharedCells, row: range, process: int) -> None:
        self._cells = cells
        self._row = row
        self._place = row[process]

    @property
    def own(self) -> int:
        """What this process has."""
        return self._cells.read(self._place)

    def add(self, most: int = 0) -> bool:
        """One more, unless all processes would then have more than ``most`` (0: no limit)."""
        cells = self._cells
        if not most:
            cells.write(self._place, self.own + 1)
            return True
        with cells.locked():
            if sum(map(cells.read, self._row)) >= most:
                return False
            cells.write(self._place, self.own + 1)
        return True

    def subtract(self) -> None:
        """One less."""
        self._cells.write(self._place, self.own - 1)


class SharedMoment:
    """A time in nanoseconds, for all processes of a server."""

    __slots__ = ("_cells", "_place")

    def __init__(self, cells: SharedCells, place: int) -> None:
        self._cells = cells
        self._place = place

    @property
    def ns(self) -> int:
        """The time; 0 to begin with."""
        return self._cells.read(self._place)

    @contextmanager
    def locked(self) -> Iterator[int]:
        """The time, which nobody else changes while this lasts."""
        with self._cells.locked():
            yield self.ns

    def write(self, ns: int) -> None:
        """Replace it, while it is locked."""
        self._cells.write(self._place, ns)
