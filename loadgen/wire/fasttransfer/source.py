"""Elements to the buffers of a download or upload."""

from collections.abc import Iterable, Iterator

from loadgen.wire.fasttransfer.elements import Atom, Element, atoms


class FastTransferSource:
    """The stream of ``elements``, cut where it may be cut ([MS-OXCFXICS] 2.2.4.1).

    Elements are taken and written as buffers are asked for, so a long stream is never whole in memory.
    """

    def __init__(self, elements: Iterable[Element]) -> None:
        self._atoms: Iterator[Atom] = (atom for element in elements for atom in atoms(element))
        self._atom = next(self._atoms, None)
        self._position = 0  # in that atom

    @property
    def exhausted(self) -> bool:
        """Whether all has been read."""
        return self._atom is None

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none, though not exhausted, if not even the next atom fits."""
        parts: list[bytes] = []
        room = size
        while self._atom is not None:
            data, divisible = self._atom
            missing = len(data) - self._position
            if missing > room and not divisible:
                break
            part = data[self._position : self._position + room]
            parts.append(part)
            room -= len(part)
            if missing > len(part):
                self._position += len(part)
                break
            self._atom, self._position = next(self._atoms, None), 0
        return b"".join(parts)
