"""The two ends of one hop's flow control ([MS-RPCH] 3.2.1.1.4); only RPC PDUs count, header and all."""

from collections import deque
from typing import Final, NamedTuple

from loadgen.errors import RemoteProtocolError

_UINT32: Final = 0xFFFFFFFF
_ENDLESS: Final = 1 << 62
_LARGEST_PDU: Final = 5840


class Sender:
    """The sending end: what its receiver has no room for waits, first in, first out.

    It is plugged until :meth:`opened` says how much the receiver takes. The methods put what may go into
    ``output`` and return how many bytes that was. A channel may carry ``lifetime`` bytes, of which
    ``reserve`` are not for RPC PDUs; ``left`` is what remains.
    """

    __slots__ = ("_announced", "_available", "_output", "_reserve", "_sent", "_waiting", "left")

    def __init__(self, output: bytearray, lifetime: int = _ENDLESS, reserve: int = 0) -> None:
        self.left = lifetime
        self._reserve = reserve
        self._output = output
        self._waiting: deque[bytes] = deque()
        self._announced = 0
        self._available = 0
        self._sent = 0

    @property
    def queued(self) -> int:
        """How many bytes wait."""
        return sum(map(len, self._waiting))

    def opened(self, window: int) -> int:
        """The receiver has said how much it takes, in bytes."""
        self._announced = self._available = window
        return self._release()

    def restart(self) -> int:
        """The receiver counts from 0 again, in a window of the same size."""
        self._sent = 0
        return self.opened(self._announced)

    def replace(self, output: bytearray, window: int, lifetime: int) -> int:
        """What waits goes to another channel, as does all that follows."""
        self._output = output
        self._announced = window
        self.left = lifetime
        return self.restart()

    def send(self, pdu: bytes) -> int:
        """A PDU is to go, now or when there is room."""
        self._waiting.append(pdu)
        return self._release() if len(self._waiting) == 1 else 0

    def acknowledged(self, bytes_received: int, available_window: int) -> int:
        """The receiver has taken some; raises :class:`RemoteProtocolError` for an ack that cannot be true."""
        on_the_way = (self._sent - bytes_received) & _UINT32
        available = available_window - on_the_way
        if not 0 <= available <= self._announced:
            raise RemoteProtocolError(
                f"ack of {bytes_received} bytes with a window of {available_window}, "
                f"{self._sent} having been sent into a window of {self._announced}"
            )
        self._available = available
        return self._release()

    def _release(self) -> int:
        released = 0
        while self._waiting and self._fits(len(self._waiting[0])):
            pdu = self._waiting.popleft()
            self._output += pdu
            self._available -= len(pdu)
            self.left -= len(pdu)
            released += len(pdu)
        self._sent = (self._sent + released) & _UINT32
        return released

    def _fits(self, size: int) -> bool:
        return self._available > size and self.left - self._reserve >= size


class Ack(NamedTuple):
    """What a receiver tells its sender, in bytes."""

    bytes_received: int
    available_window: int


class ReceiveWindow:
    """The receiving end: what we have promised to take, in bytes."""

    __slots__ = ("_advertised", "_enough", "_queued", "_received", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._enough = max(size // 2, _LARGEST_PDU + 1)
        self._advertised = size
        self._queued = 0
        self._received = 0

    def received(self, size: int) -> None:
        """A PDU came; raises :class:`RemoteProtocolError` if it is more than we had promised to take."""
        if size > self._advertised:
            raise RemoteProtocolError(f"a PDU of {size} bytes into a window of {self._advertised}")
        self._received = (self._received + size) & _UINT32
        self._advertised -= size
        self._queued += size

    def consumed(self, size: int) -> Ack | None:
        """So much has gone on its way; the ack to send, if one is due.

        It is once less than half the window is left, or in a small window not enough for any PDU.
        """
        self._queued -= size
        if not size or self._advertised >= self._enough:
            return None
        self._advertised = self._size - self._queued
        return Ack(self._received, self._advertised)
