"""HTTP as a client access server speaks it in front of its RPC proxy ([MS-RPCH] 2.1.2).

Requests on a connection are answered one after the other, until one opens a channel: from there on its body
is a stream of PDUs, and no business of HTTP any more.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import h11
import msgspec

from loadgen.errors import WireError
from loadgen.wire.http import (
    CONTENT_TYPE,
    ECHO_LENGTH_LIMIT,
    RPC_IN_DATA,
    RPC_OUT_DATA,
    RPC_PROXY_PATH,
    parse_target,
)
from loadgen.wire.rts import echo
from mock_server.dialect import HttpManners
from mock_server.limits.request_queue import SERVICE_UNAVAILABLE
from mock_server.security.http_authentication import Verdict

_PATH_WITH_CERTIFICATE: Final = "/rpcwithcert/rpcproxy.dll"
_CHANNEL_METHODS: Final = (RPC_IN_DATA, RPC_OUT_DATA)
_PATHS: Final = frozenset((RPC_PROXY_PATH, _PATH_WITH_CERTIFICATE))
_LARGEST_HEAD: Final = 16384
_LARGEST_DISCARDED: Final = 65536
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ECHO: Final = echo().encode()


Page: TypeAlias = Callable[[bytes, str], bytes]
"""An ordinary page, XML: takes the body of a POST and the Host header, gives the body of the answer."""


class _Visit(NamedTuple):
    """A request for a page whose body is still coming."""

    page: Page
    headers: "_Headers"
    verdict: Verdict
    body: bytearray


class _Refusal(NamedTuple):
    status: int
    reason: str
    lines: tuple[str, ...] = ()


class ChannelHead(msgspec.Struct, frozen=True):
    """A request that opens a channel.

    ``content_length`` is in bytes, ``http_minor`` the second number of the HTTP version, and
    ``minimum_timeout_ms`` what a ``Pragma: MinConnTimeout`` asks for.
    """

    method: str
    server: str
    port: int
    content_length: int
    user: str
    http_minor: int
    minimum_timeout_ms: int | None
    by_password: bool = False
    """Whether the user has shown a password, which RPC may want to see again."""


class HttpConnection:
    """The HTTP side of one connection.

    ``authenticate`` gets the value of ``Authorization`` (None if there is none) and says what that proves.
    ``output`` is what is to be sent; ``closing`` says that the connection ends once that is out.
    ``body`` is what has already come of the channel when :meth:`receive` returns its head.

    ``certified`` is what the client's certificate proves under ``/rpcwithcert/``, None if that is not asked.

    ``pages`` are ordinary ones by path, for users who have logged on.

    ``enter`` gets the path of each request, in lower case, and says how many seconds it waits for a worker,
    or None if it may not even wait. While ``wait_s`` is not 0 a request waits, until :meth:`take`.

    ``manners`` are the dialect's.
    """

    def __init__(
        self,
        authenticate: Callable[[str | None], Verdict],
        enter: Callable[[str], float | None] = lambda _path: 0.0,
        certified: Verdict | None = None,
        pages: Mapping[str, Page] | None = None,
        manners: HttpManners = HttpManners(),  # noqa: B008 - frozen
    ) -> None:
        self._manners = manners
        self._heard_out: _Refusal | None = None
        self._pages = pages or {}
        self._visit: _Visit | None = None
        self._enter = enter
        self._waiting: h11.Request | None = None
        self._unread = b""
        self.wait_s = 0.0
        self._authenticate = authenticate
        self._certified = certified
        self._parser = _head_parser()
        self._to_discard = 0
        self.output = bytearray()
        self.body = b""
        self.closing = False

    def receive(self, data: bytes) -> ChannelHead | None:
        """Answer what ``data`` completes; the request that opened a channel, if one did."""
        self._unread += data
        while self._unread and not self.closing and not self.wait_s:
            data, self._unread = self._unread, b""
            if self._visit is not None:
                self._unread = self._read_body(self._visit, data)
                continue
            discarded = data[: self._to_discard]
            self._to_discard -= len(discarded)
            if self._heard_out is not None:
                self._unread = data[len(discarded) :]
                self._end_hearing()
                continue
            self._parser.receive_data(data[len(discarded) :])
            request = self._next_head()
            if request is not None:
                self._unread, _ = self._parser.trailing_data
                self._parser = _head_parser()
                channel = self._queue(request)
                if channel is not None:
                    return channel
        return None

    def take(self) -> ChannelHead | None:
        """A worker takes the request that waits, and then those behind it, as :meth:`receive` does."""
        request, self._waiting, self.wait_s = self._waiting, None, 0.0
        refusal, self._heard_out = self._heard_out, None
        if refusal is not None:
            self._respond(refusal.status, refusal.reason, *refusal.lines, keep=True)
        channel = None if request is None else self._serve(request)
        return channel or self.receive(b"")

    def _end_hearing(self) -> None:
        """The refusal is due once nothing of the body is missing."""
        if not self._to_discard:
            self.wait_s = self._manners.refusal_delay_s

    def _queue(self, request: h11.Request) -> ChannelHead | None:
        wait_s = self._enter(_path(request.target))
        if wait_s is None:
            self.output += SERVICE_UNAVAILABLE
            self.closing = True
            return None
        if wait_s:
            self._waiting, self.wait_s = request, wait_s
            return None
        return self._serve(request)

    def _serve(self, request: h11.Request) -> ChannelHead | None:
        channel = self._answer(request)
        if channel is not None:
            self.body, self._unread = self._unread, b""
        return channel

    def _next_head(self) -> h11.Request | None:
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            self._respond(error.error_status_hint, "Bad Request", keep=False)
            return None
        return event if isinstance(event, h11.Request) else None

    def _answer(self, request: h11.Request) -> ChannelHead | None:
        headers = _Headers(request)
        verdict = self._verdict(request, headers)
        method = request.method.decode("ascii")
        page = self._pages.get(_path(request.target))
        allowed = ("POST",) if page is not None else _CHANNEL_METHODS
        refusal = self._refusal(request, method, headers, verdict, allowed)
        if refusal is not None:
            if self._manners.hears_out and verdict.is_final:
                self._heard_out, self._to_discard = refusal, headers.content_length
                self._end_hearing()
            else:
                self._refuse(headers, *refusal)
            return None
        if self._manners.expects_continue and headers.expects_continue and headers.content_length:
            self.output += _CONTINUE
        if page is not None:
            self._visit = _Visit(page, headers, verdict, bytearray())
            self._read_body(self._visit, b"")
            return None
        if headers.content_length <= ECHO_LENGTH_LIMIT:
            self._to_discard = headers.content_length
            if headers.content_length < self._manners.shortest_echo:
                return None
            content_type = f"Content-Type: {CONTENT_TYPE}"
            self._respond(200, "Success", *verdict.lines, content_type, body=_ECHO, keep=headers.keep_alive)
            return None
        return self._open_channel(request, method, headers, verdict)

    def _verdict(self, request: h11.Request, headers: "_Headers") -> Verdict:
        if self._certified is not None and _path(request.target) == _PATH_WITH_CERTIFICATE:
            return self._certified
        return self._authenticate(headers.value(b"authorization"))

    def _read_body(self, visit: _Visit, data: bytes) -> bytes:
        """Take what belongs to the request, and answer when it is complete; what is left comes back."""
        missing = visit.headers.content_length - len(visit.body)
        visit.body.extend(data[:missing])
        if len(data) >= missing:
            self._visit = None
            said = visit.page(bytes(visit.body), visit.headers.value(b"host") or "")
            lines = (*visit.verdict.lines, "Content-Type: text/xml; charset=utf-8")
            self._respond(200, "OK", *lines, body=said, keep=visit.headers.keep_alive)
        return data[missing:]

    def _refusal(
        self,
        request: h11.Request,
        method: str,
        headers: "_Headers",
        verdict: Verdict,
        allowed: tuple[str, ...],
    ) -> "_Refusal | None":
        path = _path(request.target)
        if self._manners.exact_paths and method in _CHANNEL_METHODS:
            exact = request.target.partition(b"?")[0].decode("latin-1")
            if path not in _PATHS or not exact.endswith(path):
                return _Refusal(400, "Bad Request")
        if path not in (*_PATHS, *self._pages):
            return _Refusal(404, "Not Found")
        if verdict is self._certified and verdict.user is None:
            return _Refusal(403, "Forbidden")
        if verdict.user is None:
            return _Refusal(401, "Unauthorized", verdict.lines)
        if method not in allowed:
            return _Refusal(405, "Method Not Allowed", (f"Allow: {', '.join(allowed)}",))
        if headers.value(b"content-length") is None:
            return _Refusal(411, "Length Required")
        if allowed == ("POST",) and headers.content_length > _LARGEST_DISCARDED:
            return _Refusal(413, "Content Too Large")
        return None

    def _open_channel(
        self, request: h11.Request, method: str, headers: "_Headers", verdict: Verdict
    ) -> ChannelHead | None:
        try:
            _, server, port = parse_target(request.target.decode("latin-1"))
        except WireError:
            self._refuse(headers, 400, "Bad Request")
            return None
        minor = int(request.http_version.partition(b".")[2])
        return ChannelHead(
            method,
            server,
            port,
            headers.content_length,
            verdict.user or "",
            minor,
            headers.minimum_timeout_ms,
            verdict.by_password,
        )

    def _refuse(self, headers: "_Headers", status: int, reason: str, lines: tuple[str, ...] = ()) -> None:
        """Answer, and keep the connection if the request's body is sure to come and small enough to skip."""
        size = headers.content_length
        skippable = size == 0 or (size <= _LARGEST_DISCARDED and not headers.expects_continue)
        nobody = status == 401 and headers.value(b"authorization") is None
        if self._manners.hears_out and (status == 400 or nobody):
            skippable = False
        keep = headers.keep_alive and skippable
        self._to_discard = size if keep else 0
        body = f"<html><body><h1>{status} {reason}</h1></body></html>\r\n".encode("ascii")
        self._respond(status, reason, *lines, "Content-Type: text/html", body=body, keep=keep)

    def _respond(self, status: int, reason: str, *lines: str, body: bytes = b"", keep: bool) -> None:
        self.closing = not keep
        head = [f"HTTP/1.1 {status} {reason}", *lines, f"Content-Length: {len(body)}"]
        head.append(f"Connection: {'Keep-Alive' if keep else 'close'}")
        self.output += "\r\n".join((*head, "", "")).encode("latin-1") + body


class _Headers:
    """What of a request's headers matters here."""

    __slots__ = ("_all", "content_length", "expects_continue", "keep_alive")

    def __init__(self, request: h11.Request) -> None:
        self._all: dict[bytes, bytes] = {}
        for name, value in request.headers:
            self._all[name] = self._all[name] + b"," + value if name in self._all else value
        self.content_length = int(self._all.get(b"content-length", b"0"))
        self.expects_continue = self._all.get(b"expect", b"").lower() == b"100-continue"
        persistent = b"keep-alive" if request.http_version == b"1.1" else b"close"
        self.keep_alive = self._all.get(b"connection", persistent).lower() == b"keep-alive"

    def value(self, name: bytes) -> str | None:
        """The header ``name`` (in lower case), several of them joined by commas."""
        value = self._all.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def minimum_timeout_ms(self) -> int | None:
        """MinConnTimeout, 120 to 14400 seconds ([MS-RPCH] 2.1.2.1); any other value is ignored."""
        for directive in (self.value(b"pragma") or "").split(","):
            name, _, value = directive.strip().partition("=")
            if name.lower() == "minconntimeout" and value.isdecimal() and 120 <= int(value) <= 14400:
                return int(value) * 1000
        return None


def _head_parser() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)


def _path(target: bytes) -> str:
    """The path of a target that may be an absolute URL, in lower case, since IIS does not mind the case."""
    resource = target.decode("latin-1").lower().partition("?")[0]
    _, scheme_end, rest = resource.partition("://")
    return "/" + rest.partition("/")[2] if scheme_end else resource
