"""Connections counted by those who see them: the client itself, the kernel, the roles of the mock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from loadgen.errors import LoadgenError, RemoteProtocolError
from loadgen.measure.columns import COUNTED_COLUMNS, ConnectionCount, with_totals
from loadgen.measure.fetch import fetch
from loadgen.measure.sock_diag import Host, Rule, count_established

Filters = Mapping[str, tuple[Rule, ...]]
"""By column, which connection ends the kernel is to count."""

Counter = Callable[[], Awaitable[ConnectionCount]]

DIRECT_SERVICES: Final = ("store_tcp", "referral_tcp", "directory_tcp")
"""What a server's ports over TCP are called in the description of an organisation."""
DEADLINE_S: Final = 2.0
_PAUSE_S: Final = 0.05


def organisation_filters(organisation: Mapping[str, Any]) -> Filters:
    """Filters for an organisation on this machine, from its description as ``GET /organisation`` gives it.

    Taken connections are counted where they arrive, at a role's own address and port; what the CAS opens,
    at the CAS's end. What a reverse proxy opens is in no column. Columns whose servers share an address and
    port can't be told apart, and are left out; so is all behind a front end that is everything.
    """
    cas = [Host(each["address"], each["port"]) for each in organisation["cas"]]
    if not organisation["servers"]:
        return {"client_to_cas": _accepted(cas)}
    sources = [Host(address) for address in organisation.get("cas_sources") or ()] or cas
    servers = organisation["servers"]
    mailbox_store = _hosts(organisation, "mailbox", "store", "store_tcp")
    public = [servers[name] for name in organisation["accounts"]["public_servers"]]
    public_store = _hosts_of(public, "store", "store_tcp")
    dsproxy = _hosts(organisation, "mailbox", "directory")
    referral = _hosts(organisation, "mailbox", "referral", "referral_tcp")
    catalogs = _hosts(organisation, "global_catalog", "directory", "directory_tcp")
    filters = {
        "client_to_cas": _accepted(cas),
        "client_to_servers": _accepted(_hosts_of(servers.values(), *DIRECT_SERVICES)),
        "cas_to_stores": _opened(sources, list(dict.fromkeys(mailbox_store + public_store))),
        "cas_to_dsproxy": _opened(sources, dsproxy),
        "cas_to_referral": _opened(sources, referral),
        "cas_to_gc": _opened(sources, catalogs),
        "dsproxy": _accepted(dsproxy),
        "referral": _accepted(referral),
        "directory": _accepted(catalogs),
    }
    if not set(mailbox_store) & set(public_store):
        filters |= {"store": _accepted(mailbox_store), "public_store": _accepted(public_store)}
    return filters


class KernelCounter:
    """The kernel's own count of established connections by column."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    def count(self) -> ConnectionCount:
        """Counts now; blocks, and raises :class:`~loadgen.measure.sock_diag.KernelCountError`."""
        return with_totals({column: count_established(rules) for column, rules in self._filters.items()})

    async def __call__(self) -> ConnectionCount:
        """Counts in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.count)


class MockCounter:
    """What the roles of the mock organisation say about their connections."""

    def __init__(self, counters_url: str) -> None:
        self._url = counters_url

    async def __call__(self) -> ConnectionCount:
        """Asks the mock; raises :class:`~loadgen.errors.PeerError`."""
        return read_mock_counters(await fetch_counters(self._url))


async def fetch_counters(counters_url: str) -> bytes:
    """What a mock answers to ``GET /counters``; raises :class:`~loadgen.errors.PeerError`."""
    return await fetch(f"{counters_url.rstrip('/')}/counters")


class _MockCounters(msgspec.Struct):
    connections: dict[str, int]


def read_mock_counters(text: str | bytes) -> ConnectionCount:
    """The connections in a mock's ``/counters``; raises :class:`~loadgen.errors.RemoteProtocolError`."""
    try:
        counted = msgspec.json.decode(text, type=_MockCounters).connections
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"the mock's counters: {error}") from None
    return with_totals(counted)


class Census(msgspec.Struct):
    """The counts of all parties at one barrier; a party that could not count has an error instead."""

    expected: dict[str, int]
    counts: dict[str, ConnectionCount] = {}
    errors: dict[str, str] = {}

    @property
    def is_equal(self) -> bool:
        """Whether all parties counted, and every column that a party sees is as expected."""
        return not self.errors and all(
            count in (None, self.expected[column])
            for counted in self.counts.values()
            for column, count in counted.items()
        )


async def count_until_equal(
    expected: Mapping[str, int],
    counters: Mapping[str, Counter],
    deadline_s: float = DEADLINE_S,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Census:
    """Counts, by all parties at once, until everything is as expected or the deadline has passed.

    Closing a connection takes its time to reach the last hop, so the first count may be too early; the last
    one is returned. ``counters`` are keyed ``client``, ``kernel``, ``mock``.
    """
    deadline = clock() + deadline_s
    while True:
        census = await _count(expected, counters)
        if census.is_equal or clock() + _PAUSE_S > deadline:
            return census
        await sleep(_PAUSE_S)


async def _count(expected: Mapping[str, int], counters: Mapping[str, Counter]) -> Census:
    answers = await asyncio.gather(*(counter() for counter in counters.values()), return_exceptions=True)
    census = Census(dict(expected))
    for party, answer in zip(counters, answers, strict=True):
        if isinstance(answer, LoadgenError):
            census.errors[party] = str(answer)
            census.counts[party] = dict.fromkeys(expected)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            census.counts[party] = answer
    return census


def client_count(virtual_connections: int, direct: int = 0) -> ConnectionCount:
    """What the clients themselves see: two TCP connections to the CAS for each virtual connection.

    Of these, ``direct`` are inside the firewall: one TCP connection to a server each.
    """
    own = {"client_to_cas": 2 * (virtual_connections - direct), "client_to_servers": direct}
    return with_totals(dict.fromkeys(COUNTED_COLUMNS) | own)


def _hosts(organisation: Mapping[str, Any], role: str, *services: str) -> list[Host]:
    servers = organisation["servers"].values()
    return _hosts_of([server for server in servers if server["role"] == role], *services)


def _hosts_of(servers: Iterable[Mapping[str, Any]], *services: str) -> list[Host]:
    return [
        Host(server["address"], server["ports"][service])
        for server in servers
        for service in services
        if service in server["ports"]
    ]


def _accepted(hosts: list[Host]) -> tuple[Rule, ...]:
    return tuple(Rule(local=host) for host in dict.fromkeys(hosts))


def _opened(openers: list[Host], hosts: list[Host]) -> tuple[Rule, ...]:
    addresses = dict.fromkeys(opener.address for opener in openers)
    return tuple(Rule(local=Host(address), remote=host) for address in addresses for host in hosts)
