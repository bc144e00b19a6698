"""Asking a domain where a mailbox is: Autodiscover as Outlook 2007 to 2016 does it ([MS-OXDISCO]).

Only HTTPS is trusted with a password, but for an address with ``http`` that the user gave himself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urljoin, urlsplit

import dns.asyncresolver
import dns.exception
import msgspec

from loadgen.client.account import Account, RpcProxy
from loadgen.client.http_fetch import UNAUTHORIZED, Fetch, HttpAnswer
from loadgen.errors import (
    HttpRefused,
    PeerError,
    RemoteProtocolError,
    TransportError,
    Unauthorized,
    WrongAnswer,
)
from loadgen.protocol.http_authentication import HttpScheme, schemes
from loadgen.wire.autodiscover import (
    AutodiscoverRequest,
    MailboxSettings,
    RedirectAddress,
    RedirectUrl,
    Refusal,
    WebServer,
    decode_answer,
)

PATH: Final = "/autodiscover/autodiscover.xml"
MOST_REDIRECTS: Final = 10
_REDIRECTS: Final = (301, 302, 307, 308)
_HTTPS_PORT: Final = 443
_DNS_S: Final = 5.0

_SCHEMES: Final[dict[str, HttpScheme]] = {
    "basic": "basic",
    "ntlm": "ntlm",
    "negotiate": "negotiate",
    "nego2": "negotiate",
    "kerb": "negotiate",
    "kerbntlm": "negotiate",
    "anonymous": "anonymous",
}
"""What packages are called in HTTP ([MS-OXDSCLI] 2.2.4.1.1.2.6.2)."""

Services = Callable[[str], Awaitable[tuple[str, ...]]]
"""Addresses of the Autodiscover service that the DNS names for a domain."""


def scheme_of(web: WebServer) -> HttpScheme | None:
    """The HTTP authentication that a web server is published with, None if that is none of ours."""
    return _SCHEMES.get(web.auth_package)


def scheme_to_begin_with(
    settings: MailboxSettings | None, proxy: RpcProxy, accounts: Iterable[Account]
) -> HttpScheme | None:
    """What Outlook would use by what is published, if the accounts can; no password goes out in the clear."""
    web = settings.web_server if settings is not None else None
    scheme = scheme_of(web) if web is not None else None
    if scheme == "basic" and not (proxy.tls and all(each.credentials.password for each in accounts)):
        return None
    return scheme


class Discovery(msgspec.Struct, frozen=True):
    """What was found, and on which way."""

    settings: MailboxSettings
    url: str
    """Who answered."""
    attempts: tuple[str, ...] = ()
    """What was tried before, with the reason why it did not do."""

    def complete(self, account: Account) -> Account:
        """The account with what was discovered; what was known of it stays."""
        settings = self.settings
        return msgspec.structs.replace(
            account,
            display_name=account.display_name or settings.display_name,
            legacy_dn=account.legacy_dn or settings.legacy_dn,
            smtp=settings.address or account.smtp,
            home_server=account.home_server or settings.server,
            public_server=account.public_server or settings.public_folder_server,
        )


def url_of(base: str) -> str:
    """The Autodiscover service at ``https://host``, or ``base`` itself if that has a path of its own."""
    return base if urlsplit(base).path.strip("/") else base.rstrip("/") + PATH


class Autodiscover:
    """Finds the settings of mailboxes."""

    def __init__(self, fetch: Fetch, services: Services | None = None) -> None:
        self._fetch = fetch
        self._services = services or named_in_dns

    async def find(self, address: str, url: str = "") -> Discovery:
        """The settings of the mailbox ``address``, asked of ``url`` or, without one, of its domain.

        Raises :class:`~loadgen.errors.Unauthorized` if a server does not take the credentials,
        :class:`~loadgen.errors.RemoteProtocolError` for redirects without end, and for anything else
        :class:`~loadgen.errors.TransportError` with all that was tried.
        """
        way = _Way(address, may_be_plain=url.startswith("http:"))
        while True:
            answer, source = await self._ask_in_turn(way, url)
            if isinstance(answer, MailboxSettings):
                return Discovery(answer, source, tuple(way.attempts))
            way.go_on_as(answer.address)

    async def _ask_in_turn(self, way: "_Way", url: str) -> tuple[MailboxSettings | RedirectAddress, str]:
        async for step in self._urls(way, url):
            try:
                return await self._ask(way, step)
            except PeerError as error:
                if way.is_a_loop:
                    raise
                way.failed(step, error)
        raise way.failure()

    async def _urls(self, way: "_Way", url: str) -> AsyncIterator[str]:
        """The steps of [MS-OXDISCO] 3.1.5, but for those that need an Active Directory."""
        if url:
            yield url_of(url)
            return
        domain = way.address.rpartition("@")[2]
        yield f"https://{domain}{PATH}"
        yield f"https://autodiscover.{domain}{PATH}"
        unprotected = f"http://autodiscover.{domain}{PATH}"
        try:
            answer = await self._fetch.get(unprotected)
            yield _location(unprotected, answer, way)
        except PeerError as error:
            way.failed(unprotected, error)
        for named in await self._services(domain):
            yield named

    async def _ask(self, way: "_Way", url: str) -> tuple[MailboxSettings | RedirectAddress, str]:
        """Asks one server, and whom it names instead."""
        request = AutodiscoverRequest(way.address).encode()
        while True:
            answer = await self._fetch.post(url, request)
            if answer.status in _REDIRECTS:
                url = _location(url, answer, way)
                continue
            said = decode_answer(_body(answer))
            if isinstance(said, Refusal):
                raise WrongAnswer(f"error {said.code}: {said.message or 'no reason given'}")
            if not isinstance(said, RedirectUrl):
                return said, url
            url = way.redirect(url, said.url)


class _Way:
    """Where a search has come to, and what of it failed."""

    def __init__(self, address: str, *, may_be_plain: bool) -> None:
        self.address = address
        self.attempts: list[str] = []
        self.is_a_loop = False
        self._may_be_plain = may_be_plain
        self._redirects = 0
        self._seen = {address.lower()}
        self._refused: Unauthorized | None = None

    def redirect(self, source: str, target: str) -> str:
        """Where ``source`` sends us, if that can be trusted with a password."""
        url = urljoin(source, target)
        if urlsplit(url).scheme != "https" and not (self._may_be_plain and urlsplit(url).scheme == "http"):
            raise WrongAnswer(f"redirected to {url}, which is not https")
        self._count(f"{self.address.lower()} {url}", f"{source} redirects to {url}")
        return url

    def go_on_as(self, address: str) -> None:
        """The mailbox goes by another address."""
        self._count(address.lower(), f"{self.address} is redirected to {address}")
        self.attempts.append(f"{self.address} is {address}")
        self.address = address

    def failed(self, url: str, error: PeerError) -> None:
        """A step did not do."""
        self.attempts.append(f"{url}: {error}")
        if isinstance(error, Unauthorized):
            self._refused = error

    def failure(self) -> PeerError:
        """Why there is nothing more to try; that a password was refused says most."""
        text = f"Autodiscover for {self.address}: {'; '.join(self.attempts)}"
        if self._refused is not None:
            self._refused.args = (text,)
            return self._refused
        return TransportError(text)

    def _count(self, place: str, what: str) -> None:
        self._redirects += 1
        if place in self._seen or self._redirects > MOST_REDIRECTS:
            self.is_a_loop = True
            where = "in a circle" if place in self._seen else f"more than {MOST_REDIRECTS} times"
            raise RemoteProtocolError(f"Autodiscover goes {where}: {what}")
        self._seen.add(place)


def _location(url: str, answer: HttpAnswer, way: _Way) -> str:
    """Where an answer redirects to; raises if it does not."""
    if answer.status not in _REDIRECTS or not answer.location:
        raise HttpRefused(answer.status, f"{answer.reason}, and no redirect".lstrip(", "))
    return way.redirect(url, answer.location)


def _body(answer: HttpAnswer) -> bytes:
    if answer.status == UNAUTHORIZED:
        raise Unauthorized(answer.reason, schemes(answer.challenges), why="the credentials are not taken")
    if answer.status != 200:
        raise HttpRefused(answer.status, answer.reason)
    return answer.body


async def named_in_dns(domain: str) -> tuple[str, ...]:
    """The services of ``_autodiscover._tcp`` ([MS-OXDISCO] 3.1.5.3), the preferred one first."""
    try:
        found = await dns.asyncresolver.resolve(f"_autodiscover._tcp.{domain}", "SRV", lifetime=_DNS_S)
    except (dns.exception.DNSException, OSError):
        return ()
    records = sorted(found, key=lambda record: (record.priority, -record.weight))
    return tuple(_service_url(record.target.to_text(omit_final_dot=True), record.port) for record in records)


def _service_url(host: str, port: int) -> str:
    return f"https://{host}{'' if port == _HTTPS_PORT else f':{port}'}{PATH}"
