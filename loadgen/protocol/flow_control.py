"""Both ends of a receive window ([MS-RPCH] 3.2.1.1.4): RPC PDUs alone count, with all their bytes."""

from loadgen.errors import RemoteProtocolError
from loadgen.protocol.association import MAX_FRAGMENT

_MASK = 0xFFFFFFFF  # BytesReceived wraps


class SendWindow:
    """What may still be sent before the receiver says more; ``size`` is the window that it announced."""

    __slots__ = ("available", "sent", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.available = size
        self.sent = 0

    def admits(self, size: int) -> bool:
        """Whether a PDU of ``size`` bytes may be sent now: there must be more room than it takes."""
        return size < self.available

    def spend(self, size: int) -> None:
        """A PDU was sent."""
        self.sent = (self.sent + size) & _MASK
        self.available -= size

    def acknowledge(self, bytes_received: int, available_window: int) -> None:
        """Take a FlowControlAck; one that leaves less than nothing or more than all is a protocol error."""
        available = available_window - ((self.sent - bytes_received) & _MASK)
        if not 0 <= available <= self.size:
            raise RemoteProtocolError(
                f"FlowControlAck of {bytes_received} bytes and a window of {available_window}, "
                f"{self.sent} sent and {self.size} announced"
            )
        self.available = available


class ReceiveWindow:
    """What the sender still believes it may send; every PDU is consumed as it comes.

    A sender that overruns the window is let be: real ones do it by a fragment, and nothing is queued here.
    """

    __slots__ = ("_enough", "advertised", "received", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.advertised = size
        self.received = 0
        # Half of a small window may have no room for a fragment, and the sender would wait for ever.
        self._enough = max(size // 2, MAX_FRAGMENT + 1)

    def take(self, size: int) -> bool:
        """A PDU was received; true if it is time to acknowledge ``received`` and offer all of ``size``."""
        self.received = (self.received + size) & _MASK
        self.advertised -= size
        if self.advertised >= self._enough:
            return False
        self.advertised = self.size
        return True
