"""What ends real systems: limits as a topology sets them, how far each is used, and how often it was hit.

A limit that is not set is off: it refuses nothing and reports nothing. Figures are those of docs/limits.md,
with their sources.
"""

import math
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

from mock_server.limits.shared_cells import SharedCount

LimitName: TypeAlias = Literal[
    "ports",
    "context_handles",
    "memory",
    "request_queue",
    "worker_recycling",
    "nspi_sessions",
    "mapi_sessions",
    "front_end_contexts",
    "nonpaged_pool",
]

LIMIT_NAMES: Final[tuple[LimitName, ...]] = get_args(LimitName)
"""Every limit there is, by the name that counters, events, plans and reports give it."""

PORT_BUDGETS: Final = {
    "off": 0,
    "white-paper": 65535,
    "port-scalability": 60000,
    "server-2008": 16384,
    "server-2003": 3976,
}
"""Outgoing connections per source address: the port space (white paper), the dynamic ports with port
scalability (KB951764), the default ranges of Server 2008 (KB929851) and 2003 (MaxUserPort)."""

PortBudget: TypeAlias = (
    Literal["off", "white-paper", "port-scalability", "server-2008", "server-2003"]
    | Annotated[int, Meta(ge=1, le=65535)]
)
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Amount: TypeAlias = Annotated[float, Meta(ge=0)]
Factor: TypeAlias = Annotated[float, Meta(gt=0)]

_ROUNDING: Final = 1e-9


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[limits]``; 0 and "off" switch a limit off, and units are decimal.

    ``scale`` multiplies ports, context handles, memory, the request queue, front-end contexts and the
    reverse proxies' non-paged pool, so that a small population meets what ends a large one; not the limits
    of one user, nor times and rates.

    ``ports`` are outgoing connections per source address of a server; the side that closes a connection
    first holds its port for ``time_wait_s`` (TcpTimedWaitDelay: 240 s on Server 2003, 120 s on 2008).
    ``context_handles`` are RPC context handles of one store process (60,000: white paper).
    ``memory_mb`` is what a client access server has for virtual connections, of which each takes
    ``memory_per_connection_kb`` (61: white paper).
    ``request_queue`` are requests that no worker has taken yet (1,000, mitigated 10,000: white paper), taken
    at ``requests_per_s``, or at once if that is 0.
    ``recycle_after_s`` is the age at which a worker is replaced (104,400, which is 29 h: white paper); its
    connections are cut after ``recycle_grace_s``.
    ``nspi_sessions_per_user`` (50: KB949469) and ``mapi_sessions_per_user`` (32: KB842022) are per user and
    server. ``front_end_contexts`` are connections to a front end like Gromox (400: its manual).
    """

    scale: Factor = 1.0
    ports: PortBudget = "off"
    time_wait_s: Amount = 0.0
    context_handles: Count = 0
    memory_mb: Amount = 0.0
    memory_per_connection_kb: Factor = 61.0
    request_queue: Count = 0
    requests_per_s: Amount = 0.0
    recycle_after_s: Amount = 0.0
    recycle_grace_s: Amount = 90.0
    nspi_sessions_per_user: Count = 0
    mapi_sessions_per_user: Count = 0
    front_end_contexts: Count = 0

    def scaled(self, number: float) -> int:
        """``number`` times ``scale``, rounded down but at least 1; 0, which is off, stays 0."""
        return max(1, math.floor(number * self.scale + _ROUNDING)) if number else 0

    @property
    def port_budget(self) -> int:
        """Outgoing connections per source address; 0 if there is no limit."""
        return self.scaled(PORT_BUDGETS[self.ports] if isinstance(self.ports, str) else self.ports)

    @property
    def memory_budget(self) -> int:
        """Virtual connections that the memory of a client access server is enough for; 0: no limit."""
        return self.scaled(self.memory_mb * 1000 / self.memory_per_connection_kb)


def limit_counters(name: LimitName, in_use: float, of: float, hits: int) -> dict[str, float]:
    """A limit as the counters of a server show it; ``hits`` is the running total of refusals or cuts."""
    prefix = f"Limit\\{name}\\"
    return {f"{prefix}In Use": in_use, f"{prefix}Of": of, f"{prefix}Hits": hits}


class LimitMeter:
    """How much of a limit is in use; ``of`` is the limit, and 0 switches it off.

    If it is the limit of a server of several processes, they share a ``count``, and the one that ``speaks``
    reports how large it is. ``parts`` are counted for each one of what ``of`` counts.
    """

    __slots__ = ("_name", "_of", "_parts", "_shared", "_speaks", "hits", "in_use")

    def __init__(
        self,
        name: LimitName,
        of: int,
        count: SharedCount | None = None,
        *,
        parts: int = 1,
        speaks: bool = True,
    ) -> None:
        self._name: LimitName = name
        self._of = of
        self._shared = count
        self._parts = parts
        self._speaks = speaks
        self.in_use = 0
        self.hits = 0

    def take(self) -> bool:
        """Use one part more; False, and a hit, if there is none left."""
        most = self._of * self._parts
        if not most:
            has_room = True
        elif self._shared is None:
            has_room = self.in_use < most
        else:
            has_room = self._shared.add(most)
        if has_room:
            self.in_use += 1
        else:
            self.hits += 1
        return has_room

    def give_back(self) -> None:
        """Use one part less."""
        self.in_use -= 1
        if self._of and self._shared is not None:
            self._shared.subtract()

    def report(self) -> dict[str, float]:
        """The counters of the limit, as far as they are this process's; none if it is off."""
        of = self._of if self._speaks else 0
        return limit_counters(self._name, self.in_use / self._parts, of, self.hits) if self._of else {}
