"""Single requests to a web server over aiohttp, with the credentials of a user."""

import socket
import ssl
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from loadgen.client.account import Credentials
from loadgen.client.http_tap import tell
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport.sockets import reason
from loadgen.client.transport.tap import Tap
from loadgen.client.transport.tls import ssl_context
from loadgen.errors import TimedOut, TlsFailed, TransportError, Unauthorized
from loadgen.protocol.http_authentication import (
    STRONGEST_FIRST,
    Candidate,
    HttpScheme,
    candidates,
    schemes,
    still_possible,
)

TIMEOUT_S: Final = 30.0
LARGEST_BODY: Final = 1 << 20
UNAUTHORIZED: Final = 401

_USER_AGENT: Final = "Microsoft Office/12.0 (Windows NT 6.1; Microsoft Office Outlook 12.0.6206; Pro)"


class HttpAnswer(msgspec.Struct, frozen=True):
    """What a web server said; ``challenges`` are those of a 401."""

    status: int
    reason: str = ""
    location: str = ""
    challenges: tuple[str, ...] = ()
    body: bytes = b""


class Fetch(Protocol):
    """Asks a web server; redirects are not followed. Raises :class:`~loadgen.errors.PeerError`."""

    async def post(self, url: str, body: bytes) -> HttpAnswer:
        """A POST, with the credentials."""

    async def get(self, url: str) -> HttpAnswer:
        """A GET, without."""


class HttpFetch:
    """:class:`Fetch` by aiohttp, for one user.

    ``addresses`` are IP addresses by host name, instead of those that the DNS gives.
    """

    def __init__(
        self,
        credentials: Credentials,
        tls: TlsSettings = TlsSettings(),  # noqa: B008 - frozen
        auth: tuple[HttpScheme, ...] = STRONGEST_FIRST,
        addresses: Mapping[str, tuple[str, ...]] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._credentials = credentials
        self._tls = tls
        self._auth = auth
        self._addresses = addresses or {}
        self._tap = tap

    async def get(self, url: str) -> HttpAnswer:
        """A GET without credentials."""
        async with self._session() as session:
            return await self._request(session, "GET", url, None, b"")

    async def post(self, url: str, body: bytes) -> HttpAnswer:
        """A POST with the first scheme that the server takes."""
        left = candidates(self._auth)
        while True:
            try:
                answer, heard = await self._post_as(left[0], url, body)
            except Unauthorized as error:
                left = still_possible(left[1:], error.schemes)
                if not left:
                    raise
                continue
            offered = schemes(answer.challenges)
            refused = heard and left[0].name.lower() in {name.lower() for name in offered}
            left = still_possible(left[1:], offered)
            if answer.status != UNAUTHORIZED or refused or not left:
                return answer

    async def _post_as(self, candidate: Candidate, url: str, body: bytes) -> tuple[HttpAnswer, bool]:
        """The answer, and whether it is one to whole credentials: those are not tried in other ways.

        All legs go over one connection, since that is what NTLM authenticates.
        """
        authentication = candidate.authentication(self._credentials, urlsplit(url).hostname or "")
        leg = authentication.first_leg()
        async with self._session() as session:
            while True:
                said = body if leg.final else b""
                answer = await self._request(session, "POST", url, leg.authorization, said)
                next_leg = None
                if answer.status == UNAUTHORIZED:
                    next_leg = authentication.answer(answer.challenges)
                if next_leg is None:
                    return answer, leg.final
                leg = next_leg

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=1, ssl=ssl_context(self._tls), resolver=_Resolver(self._addresses), use_dns_cache=False
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"User-Agent": _USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _request(
        self, session: aiohttp.ClientSession, method: str, url: str, authorization: str | None, body: bytes
    ) -> HttpAnswer:
        headers = {"Content-Type": "text/xml; charset=utf-8"} if method == "POST" else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            async with session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                server_hostname=self._tls.server_name or None,
            ) as response:
                answer = HttpAnswer(
                    status=response.status,
                    reason=response.reason or "",
                    location=response.headers.get("Location", ""),
                    challenges=tuple(response.headers.getall("WWW-Authenticate", ())),
                    body=await _read(response),
                )
                if self._tap is not None:
                    tell(self._tap, response, body, answer.body)
                return answer
        except TimeoutError:
            raise TimedOut(f"no answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise TlsFailed(f"TLS: {_deepest(error)}") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise TransportError(_deepest(error)) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """An answer's body, but never much more than an answer may have."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            response.close()
            break
    return bytes(body)


def _deepest(error: Exception) -> str:
    """What the system said, without the wrapping."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLError):  # its errno is one of OpenSSL's own
        return getattr(inner, "verify_message", "") or inner.strerror or type(inner).__name__
    return reason(inner) or type(inner).__name__


class _Resolver(AbstractResolver):
    """Addresses that were given, and for other names those of the system."""

    def __init__(self, addresses: Mapping[str, tuple[str, ...]]) -> None:
        self._addresses = addresses
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """One result for each address."""
        given = self._addresses.get(host.lower())
        if given is None:
            return await self._system.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in given
        ]

    async def close(self) -> None:
        """There is nothing to close."""
