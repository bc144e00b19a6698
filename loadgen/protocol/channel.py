"""One channel of a virtual connection, seen by the client: an HTTP exchange with PDUs in one of its bodies.

The HTTP is [MS-RPCH] 2.1. h11 reads heads and chunks: it is made when an answer begins to come and let go
when a plain body begins, so an idle channel holds little more than an empty buffer.
"""

import re
from collections.abc import Iterator
from sys import maxsize
from typing import ClassVar, Final, NamedTuple

import h11
from msgspec.structs import replace

from loadgen.errors import (
    ConnectionLost,
    HttpRefused,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
    Unauthorized,
)
from loadgen.protocol.http_authentication import Authentication, Leg, schemes
from loadgen.protocol.pdu_stream import take_pdus
from loadgen.wire.http import ChannelRequest, rpc_error

_STATUS_LINE: Final = re.compile(rb"HTTP/\d\.\d ([345]\d\d) ?([^\r\n]*)")
_STATUS_LINE_LIMIT: Final = 1024
_HTTP: Final = ord("H")
# Whatever was really asked, its answer is read as that to a request without a body: only then does h11 say
# whether the connection is kept, and after a request with one nobody needs to know.
_BODILESS: Final = h11.Request(method="GET", target="/", headers=[("Host", "")])


def _answer_parser() -> h11.Connection:
    parser = h11.Connection(h11.CLIENT)
    parser.send(_BODILESS)
    parser.send(h11.EndOfMessage())
    return parser


def _refusal(status: int, reason: bytes) -> HttpRefused:
    text = reason.decode("latin-1")
    return HttpRefused(status, text, rpc_error(text))


def _refusal_in(line: bytes | bytearray) -> HttpRefused | None:
    """What a bare status line says, or None if it is something else or cut too short."""
    match = _STATUS_LINE.match(line)
    return None if match is None else _refusal(int(match[1]), match[2])


def _unauthorized(
    response: h11.Response, challenges: tuple[str, ...], *, refused: bool, kept: bool
) -> Unauthorized:
    if refused:
        why = "the credentials are refused"
    elif not kept:
        why = "the server closes the connection, so it cannot be answered there"
    else:
        why = "no answer to the scheme that was tried"
    return Unauthorized(response.reason.decode("latin-1"), schemes(challenges), refused=refused, why=why)


class _Rounds(NamedTuple):
    """The requests up to the one with the body."""

    request: ChannelRequest
    authentication: Authentication

    def encode(self, leg: Leg) -> bytes:
        """The head of one request."""
        length = self.request.content_length if leg.final else 0
        return replace(self.request, content_length=length, authorization=leg.authorization).encode()


class _Channel:
    """What both channels do: requests until one is final, the body of that one, and the heads that answer.

    ``receive_data`` and ``receive_eof`` only take in. :meth:`pdus` gives out what there is, and after that
    raises what ended the channel, so nothing depends on how the stream was cut. Making a channel queues its
    first request.
    """

    __slots__ = ("_end", "_outgoing", "_parser", "_rounds", "room")
    name: ClassVar[str]

    def __init__(self, request: ChannelRequest, authentication: Authentication) -> None:
        self._end: PeerError | None = None
        self._outgoing: tuple[bytes, ...] = ()
        self._parser: h11.Connection | None = None
        self._rounds: _Rounds | None = _Rounds(request, authentication)
        self.room = request.content_length
        self._send_leg(self._rounds, authentication.first_leg())

    @property
    def body_open(self) -> bool:
        """Whether the final request has been queued, so that PDUs may follow, ``room`` bytes of them."""
        return self._rounds is None

    def send(self, pdu: bytes) -> None:
        """Queue a PDU for the body of the request."""
        if self._rounds is not None or len(pdu) > self.room:
            raise LocalProtocolError(f"no room for {len(pdu)} bytes on the {self.name} channel")
        self.room -= len(pdu)
        self._outgoing += (pdu,)

    def secured(self, end_point: bytes) -> None:
        """The channel runs over TLS with the owner of this certificate ([RFC 5929] tls-server-end-point)."""
        if self._rounds is not None:
            self._rounds.authentication.bind(end_point)

    def data_to_send(self) -> bytes:
        """All that was queued, once."""
        outgoing = self._outgoing
        if not outgoing:
            return b""
        self._outgoing = ()
        return outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the server's answer; ``data`` is not empty."""
        if self._end is None:
            if self._parser is None:
                self._parser = _answer_parser()
            self._parser.receive_data(data)
            self._read_answer(self._parser)

    def receive_eof(self) -> None:
        """The server will send no more; an error head that it could not finish still counts."""
        if self._end is None:
            unread = b"" if self._parser is None else self._parser.trailing_data[0]
            self._end = _refusal_in(unread) or ConnectionLost(f"the server closed the {self.name} channel")

    def pdus(self) -> Iterator[bytes]:
        """The PDUs received, each once; then raises the :class:`PeerError` that ended the channel, if any."""
        if self._end is not None:
            raise self._end
        return iter(())

    def _send_leg(self, rounds: _Rounds, leg: Leg) -> None:
        self._outgoing += (rounds.encode(leg),)
        if leg.final:
            self._rounds = None

    def _read_answer(self, parser: h11.Connection) -> None:
        try:
            while self._end is None and parser is self._parser:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    return
                if isinstance(event, h11.Response):
                    self._on_response(event, parser)
                elif isinstance(event, h11.Data):
                    self._on_data(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._on_end_of_message(parser)
        except h11.RemoteProtocolError as error:
            self._end = RemoteProtocolError(f"not HTTP on the {self.name} channel: {error}")

    def _on_response(self, response: h11.Response, parser: h11.Connection) -> None:
        """Any answer ends the channel, but a 401 that can be met on the same connection."""
        if response.status_code != 401:
            self._end = _refusal(response.status_code, response.reason)
            return
        values = (value for name, value in response.headers if name == b"www-authenticate")
        challenges = tuple(value.decode("latin-1") for value in values)
        rounds, kept = self._rounds, parser.our_state is h11.DONE
        try:
            leg = rounds.authentication.answer(challenges) if rounds is not None and kept else None
        except PeerError as error:
            self._end = error
            return
        if rounds is None or leg is None:
            self._end = _unauthorized(response, challenges, refused=rounds is None, kept=kept)
        else:
            self._send_leg(rounds, leg)

    def _on_data(self, data: bytes | bytearray) -> None:
        """The text that comes with a 401 is for people."""

    def _on_end_of_message(self, parser: h11.Connection) -> None:
        """A 401 is complete: what follows answers the next leg."""
        unread, _ = parser.trailing_data
        self._parser = None
        if unread:
            self.receive_data(unread)


class InChannel(_Channel):
    """RPC_IN_DATA: PDUs go up in the request. Nothing comes down but an HTTP error ([MS-RPCH] 2.1.2.1.2)."""

    __slots__ = ()
    name = "IN"


class OutChannel(_Channel):
    """RPC_OUT_DATA: PDUs come down in the answer ([MS-RPCH] 2.1.2.1.1).

    The body ends after Content-Length bytes, with its last chunk, or with the connection. A proxy that fails
    later may put an HTTP error into the stream, where a PDU should begin.
    """

    __slots__ = ("_buffer", "_left", "answered")
    name = "OUT"

    def __init__(self, request: ChannelRequest, authentication: Authentication) -> None:
        super().__init__(request, authentication)
        self._buffer = bytearray()
        self._left = maxsize
        self.answered = False

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the answer; ``answered`` is true once its head has opened the channel."""
        if self.answered and self._parser is None:
            self._take(data)
        else:
            super().receive_data(data)

    def pdus(self) -> Iterator[bytes]:
        """The PDUs received, each once; then raises the :class:`PeerError` that ended the channel, if any."""
        buffer = self._buffer
        yield from take_pdus(buffer, _HTTP)
        error = self._error_head() if buffer and buffer[0] == _HTTP else self._end
        if isinstance(error, ConnectionLost) and buffer:
            raise ConnectionLost(f"{error} in the middle of a PDU, after {len(buffer)} bytes of it")
        if error is not None:
            raise error

    def _on_response(self, response: h11.Response, parser: h11.Connection) -> None:
        if response.status_code != 200 or not self.body_open:
            super()._on_response(response, parser)
            return
        self.answered = True
        headers = dict(response.headers)
        if b"transfer-encoding" not in headers:
            self._left = int(headers.get(b"content-length", maxsize))
            self._parser = None
            self._take(parser.trailing_data[0])

    def _on_data(self, data: bytes | bytearray) -> None:
        if self.answered:
            self._buffer += data

    def _on_end_of_message(self, parser: h11.Connection) -> None:
        if self.answered:
            self._end = ConnectionLost("the server ended the OUT channel")
        else:
            super()._on_end_of_message(parser)

    def _take(self, data: bytes) -> None:
        """Bytes of a plain body."""
        if len(data) < self._left:
            self._left -= len(data)
            self._buffer += data
        else:
            self._buffer += data[: self._left]
            self._left = 0
            self._end = self._end or ConnectionLost(
                "the OUT channel has carried all that its answer announced"
            )

    def _error_head(self) -> PeerError | None:
        """What stands at a PDU boundary and is no PDU; None as long as its line is incomplete."""
        line, complete, _ = self._buffer.partition(b"\r\n")
        if complete or len(line) > _STATUS_LINE_LIMIT:
            return _refusal_in(line) or RemoteProtocolError("neither a PDU nor HTTP on the OUT channel")
        return self._end and (_refusal_in(line) or self._end)
