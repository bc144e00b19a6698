"""A byte stream cut into PDUs: each says how long it is, and nothing stands between two ([C706] 12.6)."""

from collections.abc import Iterator
from typing import Final

from loadgen.wire.http import BANNER
from loadgen.wire.pdu import HEADER_SIZE, frag_length

_NOTHING: Final = -1


def take_pdus(buffer: bytearray, stranger: int = _NOTHING) -> Iterator[bytes]:
    """The whole PDUs at the front of ``buffer``, each taken out of it as the next one is asked for.

    A byte ``stranger`` where a PDU should begin ends them. Raises :class:`~loadgen.errors.WireError` for a
    header that is none.
    """
    start = 0
    try:
        while len(buffer) - start >= HEADER_SIZE and buffer[start] != stranger:
            end = start + frag_length(buffer, start)
            if end > len(buffer):
                break
            pdu = bytes(memoryview(buffer)[start:end])
            start = end
            yield pdu
    finally:
        del buffer[:start]


class PduStream:
    """What a server says on a connection without RTS.

    Exchange's endpoints for proxies greet whoever comes, with a banner that is passed over.
    """

    __slots__ = ("_begun", "_buffer")

    def __init__(self) -> None:
        self._begun = False
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> Iterator[bytes]:
        """The PDUs that ``data`` completes; asking for them may raise :class:`~loadgen.errors.WireError`."""
        self._buffer += data
        if not self._begun:
            if len(self._buffer) < len(BANNER) and BANNER.startswith(self._buffer):
                return iter(())
            self._begun = True
            if self._buffer.startswith(BANNER):
                del self._buffer[: len(BANNER)]
        return take_pdus(self._buffer)
