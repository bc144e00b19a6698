"""Follows connections that are listened in on, and tells listeners what goes by."""

from collections.abc import Callable
from typing import Final, TypeAlias

from loadgen.client.transport.tap import Tapped, What
from loadgen.trace.dialogue import Dialogue
from loadgen.trace.http_stream import HttpStream, Part
from loadgen.trace.masking import carries_ticket, masked
from loadgen.trace.record import Record
from loadgen.wire.pdu import PduType

_COOKIE: Final = slice(32, 48)
"""In CONN/A1, CONN/B1 and the first PDU of a successor: behind header and Version, the first Cookie."""

Listener: TypeAlias = Callable[[Tapped, bool, Record], None]
"""Told of the connection, whether the client said it, and what was said."""
ByteListener: TypeAlias = Callable[[Tapped, What, bytes], None]
"""Told of what happens with its bytes, secrets masked."""
PduListener: TypeAlias = Callable[[bytes, Tapped, bool, bytes], None]
"""Told of each PDU on a channel: the cookie of its virtual connection, channel, direction, and the PDU."""


class Tracer:
    """A tap that understands what it hears; channels of one virtual connection are taken together."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.byte_listeners: list[ByteListener] = []
        self.pdu_listeners: list[PduListener] = []
        self.cut_short = 0
        """Bytes of a PDU whose rest had not come when its connection ended."""
        self._connections: dict[int, _Connection] = {}
        self._dialogues: dict[bytes, Dialogue] = {}

    def __call__(self, tapped: Tapped, what: What, data: bytes) -> None:
        """Takes what a tap tells."""
        if what == "sent":
            data = masked(data)
        for listener in self.byte_listeners:
            listener(tapped, what, data)
        if what == "opened":
            self._connections[tapped.number] = _Connection()
            self._tell(tapped, True, Record("bytes", "connection opened", 0, _where(tapped)))
        elif what == "closed":
            self._on_closed(tapped)
        elif what == "ended":
            self._tell(tapped, False, Record("bytes", "end of stream", 0))
        else:
            self._on_data(tapped, data, by_client=what == "sent")

    def _on_data(self, tapped: Tapped, data: bytes, *, by_client: bool) -> None:
        connection = self._connections[tapped.number]
        stream = connection.client if by_client else connection.server
        for part in stream.receive(data):
            if part.what == "pdu":
                self._recognise(connection, part.data, by_client=by_client)
                for listener in self.pdu_listeners if connection.cookie else ():
                    listener(connection.cookie, tapped, by_client, part.data)
            self._tell(tapped, by_client, _record(connection, part))

    def _on_closed(self, tapped: Tapped) -> None:
        connection = self._connections.pop(tapped.number, None)
        if connection is not None:
            self.cut_short = connection.server.cut_short or self.cut_short
        self._tell(tapped, True, Record("bytes", "connection closed", 0))

    def _recognise(self, connection: "_Connection", pdu: bytes, *, by_client: bool) -> None:
        """Which virtual connection a channel belongs to shows in the first that the client says there."""
        if by_client and pdu[2] == PduType.RTS and not connection.cookie:
            connection.cookie = pdu[_COOKIE]
            connection.dialogue = self._dialogues.setdefault(connection.cookie, Dialogue())

    def _tell(self, tapped: Tapped, by_client: bool, record: Record) -> None:
        for listener in self.listeners:
            listener(tapped, by_client, record)


class _Connection:
    """Both directions of one TCP connection."""

    def __init__(self) -> None:
        self.client = HttpStream()
        self.server = HttpStream(self.client)
        self.cookie = b""
        """Of the virtual connection; b"" without one."""
        self.dialogue = Dialogue()


def _record(connection: _Connection, part: Part) -> Record:
    size = len(part.data)
    if part.what == "head":
        first, *lines = part.data.decode("latin-1").rstrip("\r\n").split("\r\n")
        return Record("HTTP", first, size, lines=tuple(map(_discreet, lines)))
    if part.what == "pdu":
        return connection.dialogue.hear(part.data)
    return Record("body" if part.what == "body" else "bytes", part.what, size)


def _discreet(line: str) -> str:
    """A header without its credentials: only the scheme is worth reading, and whether it is Kerberos."""
    name, colon, value = line.partition(":")
    if name.lower() not in ("authorization", "proxy-authorization"):
        return line
    scheme, _, rest = value.strip().partition(" ")
    mechanism = " Kerberos" if carries_ticket(rest) else ""
    return f"{name}{colon} {scheme}{mechanism} ***"


def _where(tapped: Tapped) -> str:
    (local, port), (remote, remote_port) = tapped.local, tapped.remote
    return f"{local}:{port} to {remote}:{remote_port}{' with TLS' if tapped.tls else ''}"
