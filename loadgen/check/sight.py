"""What a server shows of itself along the way, picked up from the trace."""

import re
from typing import Final

from loadgen.check.result import Seen
from loadgen.client.transport.tap import Tapped
from loadgen.trace.record import Record

_TELLING: Final = re.compile(r"(?i)(server|via|persistent-auth|x-[\w-]+): *(.*)")
_AUTHORIZATION: Final = re.compile(r"(?i)authorization:")
_TIMEOUT: Final = re.compile(r"ConnectionTimeout (\d+)")
_WINDOW: Final = re.compile(r"ReceiveWindowSize (\d+)")
_MOST_HEADERS: Final = 20


class Sight:
    """A listener of a tracer; what the steps find out themselves, they set."""

    def __init__(self) -> None:
        self.server_version = ""
        self.dialect = self.dialect_reason = self.dialect_suggested = ""
        self.schemes_offered: tuple[str, ...] = ()
        self.authorization_sent = False
        """Whether a web server was told who the user is."""
        self._headers: dict[str, None] = {}
        self._scheme = self._scheme_used = self._framing = ""
        self._timeout_ms = self._window = 0
        self._pings_sent = self._pings_received = 0

    def listen(self, tapped: Tapped, by_client: bool, record: Record) -> None:
        """One record of the trace."""
        if record.kind == "HTTP" and by_client:
            self.authorization_sent |= any(map(_AUTHORIZATION.match, record.lines))
        if record.kind == "HTTP" and tapped.channel != "HTTP":
            if by_client:
                self._on_request(record)
            else:
                self._on_answer(record)
        elif record.name == "Ping":
            self._pings_sent += by_client
            self._pings_received += not by_client
        elif "CONN/C2" in record.name and not by_client:
            self._timeout_ms = _number(_TIMEOUT, record.detail)
            self._window = _number(_WINDOW, record.detail)

    def seen(self) -> Seen:
        """All of it."""
        return Seen(
            server_version=self.server_version,
            headers=tuple(self._headers)[:_MOST_HEADERS],
            schemes_offered=self.schemes_offered,
            scheme_used=self._scheme_used,
            framing=self._framing,
            dialect=self.dialect,
            dialect_reason=self.dialect_reason,
            dialect_suggested=self.dialect_suggested,
            connection_timeout_ms=self._timeout_ms,
            receive_window=self._window,
            pings_sent=self._pings_sent,
            pings_received=self._pings_received,
        )

    def _on_request(self, record: Record) -> None:
        for line in record.lines:
            name, _, value = line.partition(":")
            if name.lower() == "authorization":
                self._scheme = value.removesuffix("***").strip()
                return
        self._scheme = "anonymous"

    def _on_answer(self, record: Record) -> None:
        for line in record.lines:
            telling = _TELLING.fullmatch(line)
            if telling:
                self._headers.setdefault(f"{telling[1]}: {telling[2]}")
        if record.name.split()[1:2] == ["200"]:
            names = {line.partition(":")[0].lower() for line in record.lines}
            self._scheme_used = self._scheme
            self._framing = (
                "chunked"
                if "transfer-encoding" in names
                else "Content-Length"
                if "content-length" in names
                else "until closed"
            )


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0
