"""One direction of an HTTP connection, cut into heads, PDUs of channels, and other bodies.

It only looks on: what makes no sense is passed on as ``bytes``, never an error.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from loadgen.errors import WireError
from loadgen.wire.http import ECHO_LENGTH_LIMIT
from loadgen.wire.pdu import HEADER_SIZE, frag_length

_END_OF_HEAD: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 1 << 16
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")
_CHUNKED: Final = re.compile(rb"(?im)^transfer-encoding:.*\bchunked\b")
_ANSWER: Final = b"HTTP/"
_UNTIL_THE_END: Final = 1 << 62

What: TypeAlias = Literal["head", "pdu", "body", "bytes"]


class Part(NamedTuple):
    """A whole head or PDU, or as much of a body as came."""

    what: What
    data: bytes


class HttpStream:
    """What one side says on one connection; ``other`` is what the other one does.

    A stream that begins with a PDU has no HTTP at all.
    """

    def __init__(self, other: "HttpStream | None" = None) -> None:
        self.method = b""
        self.unread = bytearray()
        """Bytes of a head or a PDU that is not complete."""
        self._other = other
        self._chunked = _Chunks()
        self._is_chunked = False
        self._has_pdus = False
        self._left = 0
        self._in_body = False

    @property
    def cut_short(self) -> int:
        """How many bytes of a PDU are there whose rest is missing; 0 if none."""
        return len(self.unread) if self._has_pdus and not self.unread.startswith(_ANSWER) else 0

    def receive(self, data: bytes) -> Iterator[Part]:
        """The parts that are complete with these bytes."""
        if not self._in_body and not self.method and not self.unread and data[0] == 5:
            self._begin_body(_UNTIL_THE_END, has_pdus=True)
        while data:
            if not self._in_body:
                self.unread += data
                data = b""
                end = self.unread.find(_END_OF_HEAD) + len(_END_OF_HEAD)
                if end >= len(_END_OF_HEAD):
                    head, data = bytes(self.unread[:end]), bytes(self.unread[end:])
                    self.unread.clear()
                    self._on_head(head)
                    yield Part("head", head)
                elif len(self.unread) > _LONGEST_HEAD:
                    yield self._give_up()
            else:
                body, data = self._take_body(data)
                yield from self._on_body(body)

    def _on_head(self, head: bytes) -> None:
        length = _LENGTH.search(head)
        announced = int(length[1]) if length else None
        if head.startswith(_ANSWER):
            self._on_answer(head, announced)
        else:
            self.method = head.partition(b" ")[0]
            has_pdus = self.method.startswith(b"RPC_") and (announced or 0) > ECHO_LENGTH_LIMIT
            self._begin_body(announced or 0, has_pdus=has_pdus)
        self._is_chunked = bool(_CHUNKED.search(head)) and self._in_body

    def _on_answer(self, head: bytes, announced: int | None) -> None:
        self.method = _ANSWER
        status = head.partition(b" ")[2][:3]
        asked = self._other.method if self._other is not None else b""
        opens = status == b"200" and asked == b"RPC_OUT_DATA"
        if status.startswith(b"1") or status in (b"204", b"304"):
            announced = 0
        self._begin_body(_UNTIL_THE_END if announced is None else announced, has_pdus=opens)

    def _begin_body(self, length: int, *, has_pdus: bool) -> None:
        self._left = length
        self._in_body = length > 0
        self._has_pdus = has_pdus
        self._is_chunked = False
        self._chunked = _Chunks()

    def _take_body(self, data: bytes) -> tuple[bytes, bytes]:
        """What of these bytes belongs to the body, without its chunks' frames, and what comes after it."""
        if self._is_chunked:
            body, rest = self._chunked.receive(data)
            self._in_body = not self._chunked.over
            return body, rest
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self._in_body = self._left > 0
        return body, rest

    def _on_body(self, body: bytes) -> Iterator[Part]:
        if not self._has_pdus:
            if body:
                yield Part("body", body)
            return
        self.unread += body
        try:
            while len(self.unread) >= HEADER_SIZE and not self.unread.startswith(_ANSWER):
                size = frag_length(self.unread)
                if size > len(self.unread):
                    return
                pdu = bytes(self.unread[:size])
                del self.unread[:size]
                yield Part("pdu", pdu)
        except WireError:
            yield self._give_up()
            return
        if self.unread.startswith(_ANSWER) and _END_OF_HEAD in self.unread:
            yield self._error_in_stream()

    def _error_in_stream(self) -> Part:
        """A proxy that fails later puts the head of an error where a PDU should begin."""
        head = bytes(self.unread)
        self.unread.clear()
        return Part("head", head)

    def _give_up(self) -> Part:
        """No more sense is to be made of the stream."""
        data = bytes(self.unread)
        self.unread.clear()
        self._begin_body(_UNTIL_THE_END, has_pdus=False)
        return Part("bytes", data)


class _Chunks:
    """The frames of a chunked body ([RFC 9112] 7.1), taken away."""

    def __init__(self) -> None:
        self.over = False
        self._line = bytearray()
        self._left = 0
        self._last = False

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """The content in these bytes, and what comes after the last chunk."""
        content = bytearray()
        at = 0
        while at < len(data) and not self.over:
            if self._left:
                piece = data[at : at + self._left]
                content += piece
                self._left -= len(piece)
                at += len(piece)
            else:
                self._line.append(data[at])
                at += 1
                if self._line.endswith(b"\r\n"):
                    self._on_line(bytes(self._line[:-2]))
                    self._line.clear()
        return bytes(content), data[at:]

    def _on_line(self, line: bytes) -> None:
        """A line is a chunk's size, empty after a chunk, or a trailer after the last one."""
        if self._last:
            self.over = not line
        elif line:
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError:
                self.over = True
            self._last = not self._left
