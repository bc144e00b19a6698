"""Whom to ask for the performance counters of servers: a mock organisation, or a Prometheus exporter."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from loadgen.errors import RemoteProtocolError
from loadgen.measure.connections import fetch_counters
from loadgen.measure.exporter import perfmon_counters
from loadgen.measure.scrape import Scraper

ServerCounters = Mapping[str, Mapping[str, float]]
"""Values by server and perfmon path; what perfmon shows as a rate is a running total here."""

AskCounters = Callable[[], Awaitable[ServerCounters]]
"""Reads all counters now; raises :class:`~loadgen.errors.PeerError`."""


class _Counters(msgspec.Struct):
    roles: dict[str, dict[str, float]]


class MockServerCounters:
    """Asks a mock organisation, whose ``counters_url`` this is."""

    def __init__(self, counters_url: str) -> None:
        self._url = counters_url

    async def __call__(self) -> ServerCounters:
        """Raises :class:`~loadgen.errors.PeerError`."""
        return read_mock(await fetch_counters(self._url))


class ExporterCounters:
    """Asks windows_exporter, or whatever else is at a campaign's ``counters_url``."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._server = urlsplit(scraper.url).hostname or scraper.url

    async def __call__(self) -> ServerCounters:
        """Raises :class:`~loadgen.errors.PeerError`."""
        return perfmon_counters(await self._scraper.ask(), self._server)


def read_mock(text: str | bytes) -> ServerCounters:
    """The roles in a mock's ``/counters``; raises :class:`~loadgen.errors.RemoteProtocolError`."""
    try:
        roles = msgspec.json.decode(text, type=_Counters).roles
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"the mock's counters: {error}") from None
    return {
        server: {f"\\{name}": value for name, value in counters.items()} for server, counters in roles.items()
    }
