"""What servers say of their limits: how much is in use, of how much, and how often that was not enough."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec

from loadgen.measure.server_counters import AskCounters, ServerCounters

LIMITS: Final = (
    "ports",
    "context_handles",
    "memory",
    "request_queue",
    "worker_recycling",
    "nspi_sessions",
    "mapi_sessions",
    "front_end_contexts",
    "nonpaged_pool",
)
"""Every limit that a server may have, by the name that counters, events and reports give it."""

UNKNOWN: Final = "unknown"
"""Stands for the limit where none can be named."""

PASSING: Final = frozenset({"request_queue", "worker_recycling"})
"""Limits of which nothing is held, so nothing is released."""

COUNTED_IN_SECONDS: Final = frozenset({"worker_recycling"})
"""Limits of which a time is in use, not a number of things; their hits are what was cut then."""

_PREFIX: Final = "\\Limit\\"
_IN_USE, _OF, _HITS = "In Use", "Of", "Hits"


class LimitReading(msgspec.Struct, frozen=True):
    """A limit of one server by its counters ``Limit\\<name>\\In Use``, ``Of`` and ``Hits``.

    ``hits`` is the running total of refusals or cuts.
    """

    name: str
    server: str
    in_use: float
    of: float
    hits: int


def likeliest(candidates: Sequence[str], moved: Iterable[LimitReading]) -> LimitReading | None:
    """Of limits that were hit together, the one that an error means which may mean these; None for none.

    One that is full explains a refusal best, and one whose hits come by the clock worst.
    """
    meant = [each for each in moved if each.name in candidates]
    return min(
        meant,
        key=lambda each: (each.in_use < each.of, each.name in PASSING, candidates.index(each.name)),
        default=None,
    )


AskLimits = Callable[[], Awaitable[list[LimitReading]]]
"""Reads all limits of all servers; raises :class:`~loadgen.errors.PeerError`."""


class CountedLimits:
    """Reads all limits of all servers among their performance counters."""

    def __init__(self, ask: AskCounters) -> None:
        self._ask = ask

    async def __call__(self) -> list[LimitReading]:
        """Raises :class:`~loadgen.errors.PeerError`."""
        return read_limits(await self._ask())


def read_limits(servers: ServerCounters) -> list[LimitReading]:
    """The limits that counters are about."""
    return [
        LimitReading(
            name,
            server,
            counters.get(f"{_PREFIX}{name}\\{_IN_USE}", 0.0),
            counters.get(f"{_PREFIX}{name}\\{_OF}", 0.0),
            round(hits),
        )
        for server, counters in servers.items()
        for counter, hits in counters.items()
        if counter.startswith(_PREFIX) and counter.endswith(f"\\{_HITS}")
        for name in (counter.removeprefix(_PREFIX).partition("\\")[0],)
    ]
