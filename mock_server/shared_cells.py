"""Numbers that all processes of one server share, for limits that are the server's and not the process's."""

import fcntl
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CELL: Final = 8
_ROOM: Final = 4096


def create_cells() -> int:
    """A descriptor of new cells, to be passed to each process of a server."""
    descriptor = os.memfd_create("mock-server-limits")
    os.ftruncate(descriptor, _ROOM)
    return descriptor


class SharedCells:
    """Cells handed out one by one, so processes that ask in the same order share each of them.

    The lock is one of the kernel's records on the file: it ends with the process that holds it, and works
    between processes alone, which is enough as none of them has threads.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = create_cells() if descriptor is None else descriptor
        self._numbers = memoryview(mmap.mmap(self._descriptor, _ROOM)).cast("q")
        self._handed_out = 0
        weakref.finalize(self, os.close, self._descriptor)

    def cell(self) -> "SharedCell":
        """The next cell; it begins at 0. Raises :class:`IndexError` when there are no more."""
        index = self._handed_out
        if index >= _ROOM // _CELL:
            raise IndexError("no more cells")
        self._handed_out += 1
        return SharedCell(self, index)

    def read(self, index: int) -> int:
        """The number in a cell."""
        return self._numbers[index]

    def write(self, index: int, number: int) -> None:
        """Replace the number in a cell; only while locked."""
        self._numbers[index] = number

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While this lasts no other process is between reading and writing."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


class SharedCell:
    """One number."""

    __slots__ = ("_cells", "_index")

    def __init__(self, cells: SharedCells, index: int) -> None:
        self._cells = cells
        self._index = index

    @property
    def number(self) -> int:
        """What it is now."""
        return self._cells.read(self._index)

    def add(self, difference: int, most: int | None = None) -> bool:
        """Change it, unless it would come to more than ``most``; whether it was changed."""
        with self.locked() as number:
            if most is not None and number + difference > most:
                return False
            self.write(number + difference)
            return True

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Its number, which nobody else changes while this lasts."""
        with self._cells.locked():
            yield self._cells.read(self._index)

    def write(self, number: int) -> None:
        """Replace it; only while locked."""
        self._cells.write(self._index, number)
