"""What a single HTTP request and its answer looked like, for a tap.

aiohttp gives nobody its bytes, nor says afterwards over which socket they went. So heads are put together
from what it knows, and an exchange counts as a connection of its own, from a port that is made up, told of
when it is over.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

import aiohttp

from loadgen.client.transport.tap import Tap, Tapped, next_number

_FRAMING: Final = (b"transfer-encoding", b"content-length", b"content-encoding")
"""What aiohttp has taken off a body, or counts otherwise than it would be counted then."""


_NOWHERE: Final = "0.0.0.0"  # noqa: S104 - stands for an address that is not known
_FIRST_PORT: Final = 49152
_PORTS: Final = 16384


def tell(tap: Tap, response: aiohttp.ClientResponse, sent: bytes, received: bytes) -> None:
    """Tells of one exchange: the bodies as given, the heads as ``response`` has them."""
    number, url = next_number(), response.url
    local = _NOWHERE, _FIRST_PORT + number % _PORTS
    tapped = Tapped(number, "HTTP", local, (_address(url.host), url.port or 0), url.scheme == "https")
    tap(tapped, "opened", b"")
    asked = response.request_info
    request = f"{asked.method} {asked.url.raw_path_qs} HTTP/1.1"
    headers = ((name.encode(), value.encode("utf-8")) for name, value in asked.headers.items())
    tap(tapped, "sent", _head(request, headers, len(sent)) + sent)
    answer = f"HTTP/1.1 {response.status} {response.reason or ''}"
    tap(tapped, "received", _head(answer, response.raw_headers, len(received)) + received)
    tap(tapped, "closed", b"")


def _head(first_line: str, headers: Iterable[tuple[bytes, bytes]], length: int) -> bytes:
    kept = [name + b": " + value for name, value in headers if name.lower() not in _FRAMING]
    return b"\r\n".join(
        (first_line.encode("latin-1", "replace"), *kept, b"Content-Length: %d" % length, b"", b"")
    )


def _address(host: str | None) -> str:
    try:
        return str(ip_address(host or ""))
    except ValueError:
        return _NOWHERE
