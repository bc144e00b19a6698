"""Counters of a server from a Prometheus exporter, chosen ones, under their own names."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.errors import PeerError, ProfileError
from loadgen.measure.fetch import fetch

KNOWN: Final = (
    "windows_exchange_rpc_connection_count",
    "windows_exchange_rpc_user_count",
    "windows_exchange_rpc_active_user_count",
    "windows_exchange_rpc_requests",
    "windows_exchange_rpc_operations_total",
    "windows_exchange_rpc_avg_latency_seconds",
    "windows_exchange_rpc_avg_latency_sec",
    "windows_tcp_connections_established",
    "windows_memory_available_bytes",
    "node_netstat_Tcp_CurrEstab",
    "node_memory_MemAvailable_bytes",
    "node_load1",
)
"""Taken where there are any, if nobody chooses: windows_exporter's (old names and new), node_exporter's."""

_SAMPLE: Final = re.compile(r'([A-Za-z_:][\w:]*)(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(\S+)(?:\s+-?\d+)?')


def parse_metrics(text: str) -> dict[str, float]:
    """Values by name as written, labels included; lines that are none are left out."""
    values: dict[str, float] = {}
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line.strip())
        if found is None:
            continue
        try:
            values[found[1] + (found[2] or "")] = float(found[3])
        except ValueError:
            continue
    return values


def pick(values: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """The chosen ones: a name without labels is the sum over all labels that it stands with."""
    picked: dict[str, float] = {}
    for name in names:
        same = [value for key, value in values.items() if key == name or key.partition("{")[0] == name]
        if same:
            picked[name] = sum(same)
    return picked


class Scraper:
    """Asks an exporter for the counters ``names``; after :meth:`choose` these are the ones that there are."""

    def __init__(self, url: str, names: tuple[str, ...] = ()) -> None:
        if not url.startswith(("http://", "https://")):
            raise ProfileError(f"counters_url: {url!r} is no address that begins with http:// or https://")
        self.url = url
        self.names = names
        self._is_warned = False

    async def choose(self) -> str:
        """Fixes the columns; returns a warning if there is nothing to be had, else ""."""
        try:
            values = await self.ask()
        except PeerError as error:
            self._is_warned = True
            return f"counters_url: {error}; the run goes on without"
        self.names = self.names or tuple(name for name in KNOWN if pick(values, (name,)))
        missing = [name for name in self.names if not pick(values, (name,))]
        if not self.names or missing:
            return f"counters_url: {self.url} has no {', '.join(missing) or 'counter of the known list'}"
        return ""

    async def __call__(self) -> tuple[dict[str, float], str]:
        """The counters of now, and the first time that there are none a warning."""
        if not self.names:
            return {}, ""
        try:
            return pick(await self.ask(), self.names), ""
        except PeerError as error:
            warning = "" if self._is_warned else str(error)
            self._is_warned = True
            return {}, warning

    async def ask(self) -> dict[str, float]:
        """All values of now; raises :class:`~loadgen.errors.PeerError`."""
        return parse_metrics((await fetch(self.url)).decode(errors="replace"))
