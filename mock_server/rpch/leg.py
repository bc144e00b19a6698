"""A TCP connection to the server role of [MS-RPCH], without its socket, and what its first PDU said of it."""

from collections.abc import Callable
from typing import Final

import msgspec

from loadgen.wire.http import BANNER
from mock_server.rpch.pdu_stream import PduStream

SETUP_TIMEOUT_S: Final = 900.0


class HttpCaller(msgspec.Struct, frozen=True):
    """Who has opened a channel, if that is known where it ends; ``by_password``: by showing a password."""

    user: str = ""
    by_password: bool = False


NOBODY: Final = HttpCaller()


class Leg:
    """One TCP connection to the server: a proxy's, or a client's own.

    ``begin`` gets the first PDU and says by :meth:`belongs_to` who gets the others. ``wake`` is called
    whenever ``output`` has grown or ``closed`` has turned true, which may be the doing of another leg or of a
    call that had been waiting. ``caller`` is :data:`NOBODY` where a proxy keeps to itself who its client is.
    """

    __slots__ = ("_begin", "_handle", "_on_lost", "_stream", "caller", "closed", "output", "wake")

    def __init__(
        self,
        begin: Callable[["Leg", bytes, float], None],
        wake: Callable[[], None],
        caller: HttpCaller = NOBODY,
        *,
        banner: bool,
    ) -> None:
        self.caller = caller
        self.output = bytearray(BANNER if banner else b"")
        self.closed = False
        self.wake = wake
        self._begin = begin
        self._stream = PduStream()
        self._handle: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[], None] | None = None

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the peer, of no interest once the leg is closed.

        Raises :class:`PeerError`, upon which the connection ends by :meth:`lost`.
        """
        for pdu in self._stream.feed(data):
            if self.closed:
                return
            if self._handle is not None:
                self._handle(pdu)
            else:
                self._begin(self, pdu, now)

    def belongs_to(self, handle: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """From now on ``handle`` gets the PDUs, and ``on_lost`` hears of the end."""
        self._handle = handle
        self._on_lost = on_lost

    def send(self, pdu: bytes) -> None:
        """Send a PDU that flow control does not count."""
        self.output += pdu
        self.wake()

    def data_to_send(self) -> bytes:
        """What is to be sent."""
        data = bytes(self.output)
        self.output.clear()
        return data

    def lost(self) -> None:
        """The connection has gone, and with it all that needed it."""
        self.closed = True
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()

    def close(self) -> None:
        """End the connection once the output is out."""
        self._on_lost = None
        if not self.closed:
            self.closed = True
            self.wake()


class OutLeg(msgspec.Struct, frozen=True):
    """A leg that has said CONN/A2 or OUT_R1/A4; window and lifetime are the outbound proxy's, in bytes."""

    leg: Leg
    channel_cookie: bytes
    window: int
    lifetime: int


class InLeg(msgspec.Struct, frozen=True):
    """A leg that has said CONN/B2 or IN_R1/A2; window (bytes) and timeout are the inbound proxy's."""

    leg: Leg
    channel_cookie: bytes
    window: int
    timeout_ms: int
