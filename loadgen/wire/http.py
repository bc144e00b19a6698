"""The HTTP heads that open channels ([MS-RPCH] 2.1).

Parsing HTTP as such is h11's job: nothing here reads a stream. Lengths are in bytes. Texts have one character
per byte (Latin-1), except user names and passwords.
"""

import re
from base64 import b64decode, b64encode
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from loadgen.errors import WireError

Method: TypeAlias = Literal["RPC_IN_DATA", "RPC_OUT_DATA"]
RPC_IN_DATA: Final = "RPC_IN_DATA"
RPC_OUT_DATA: Final = "RPC_OUT_DATA"

RPC_PROXY_PATH: Final = "/rpc/rpcproxy.dll"
RPC_WITH_CERTIFICATE_PATH: Final = "/rpcwithcert/rpcproxy.dll"
"""The path for clients that authenticate to the web server with a TLS certificate ([MS-RPCH] 2.2.2)."""
CONTENT_TYPE: Final = "application/rpc"
BANNER: Final = b"ncacn_http/1.0"
"""What a server says first on each TCP leg from a proxy ([MS-RPCH] 2.1.2); it is not a PDU."""

CHANNEL_LENGTH: Final = 1 << 30
"""Content-Length of an IN request and of the answer to an OUT request, as Windows announces it."""
OUT_REQUEST_LENGTH: Final = 76
"""Content-Length of the OUT request of a new virtual connection: CONN/A1."""
OUT_SUCCESSOR_LENGTH: Final = 120
"""Content-Length of the OUT request of a successor channel: 96 bytes at once, 24 at the switch."""
ECHO_LENGTH_LIMIT: Final = 16
"""Real servers take a request that announces no more than this for an echo request ([MS-RPCH] 2.1.2)."""
ECHO_REQUEST_BODY: Final = bytes.fromhex("f8e81808")

_SERVER = re.compile(r"[!-~]{1,1023}")
_TARGET = re.compile(r"(?:https?://[^/?#]*)?(/[^?#]*)\?([!-~]{1,1023}):([0-9]{1,6})", re.IGNORECASE)
_RPC_ERROR = re.compile(r"RPC Error: ([0-9A-Fa-f]{1,8})(?![0-9A-Fa-f])")


class Target(NamedTuple):
    """What an RPC proxy is asked to connect to; ``path`` is compared without regard to case."""

    path: str
    server: str
    port: int


class ChannelRequest(msgspec.Struct, frozen=True, gc=False):
    """The head of the request that opens an IN or an OUT channel ([MS-RPCH] 2.1.2).

    ``server`` and ``port`` are what the proxy is to connect to, ``host`` is the proxy itself.
    """

    method: Method
    server: str
    port: int
    content_length: int
    host: str
    authorization: str | None = None
    path: str = RPC_PROXY_PATH

    @property
    def target(self) -> str:
        """The request target; raises :class:`WireError` for a server name that would break the head."""
        if not _SERVER.fullmatch(self.server):
            raise WireError("server", 0, f"{self.server!r} cannot stand in a URI")
        return f"{self.path}?{self.server}:{self.port}"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """All headers, in the order in which clients send them."""
        headers = (
            ("Cache-Control", "no-cache"),
            ("Connection", "Keep-Alive"),
            ("Pragma", "No-cache"),
            ("Accept", CONTENT_TYPE),
            ("User-Agent", "MSRPC"),
            ("Content-Length", str(self.content_length)),
            ("Host", self.host),
        )
        if self.authorization is None:
            return headers
        return (*headers, ("Authorization", self.authorization))

    def encode(self) -> bytes:
        """The head as it goes on the wire, up to and including its empty line."""
        lines = (
            f"{self.method} {self.target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in self.headers),
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def parse_target(target: str) -> Target:
    """The target of a channel request, in origin or absolute form ([MS-RPCH] 2.2.2).

    The query is split at its last colon, since a server may be an IPv6 address. Raises :class:`WireError`.
    """
    match = _TARGET.fullmatch(target)
    if match is None:
        raise WireError("URI", 0, f"{target!r} is not <path>?<server>:<port>")
    return Target(match[1], match[2], int(match[3]))


def basic_authorization(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def parse_basic(value: str) -> tuple[str, str]:
    """User and password of an Authorization header; UTF-8, or else Latin-1. Raises :class:`WireError`."""
    scheme, _, encoded = value.partition(" ")
    try:
        raw = b64decode(encoded.strip(), validate=True)
    except ValueError:
        raise WireError("Authorization", len(scheme) + 1, "not base64") from None
    if scheme.lower() != "basic" or b":" not in raw:
        raise WireError("Authorization", 0, "not Basic credentials")
    user, _, password = _text(raw).partition(":")
    return user, password


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def success_head(content_length: int | None = CHANNEL_LENGTH) -> bytes:
    """The head that a proxy sends before a PDU stream ([MS-RPCH] 2.1.2); None for a chunked body."""
    framing = "Transfer-Encoding: chunked" if content_length is None else f"Content-Length: {content_length}"
    return f"HTTP/1.1 200 Success\r\nContent-Type: {CONTENT_TYPE}\r\n{framing}\r\n\r\n".encode("ascii")


def rpc_error_head(code: int) -> bytes:
    """What a proxy says before it closes, with a Windows error ``code`` ([MS-RPCH] 2.1.2)."""
    return f"HTTP/1.0 503 RPC Error: {code:x}\r\n\r\n".encode("ascii")


def rpc_error(reason: str) -> int | None:
    """The Windows error code in the reason phrase of a 503; None if there is none."""
    match = _RPC_ERROR.match(reason)
    return None if match is None else int(match[1], 16)
