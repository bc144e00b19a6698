"""What the roles count, under the names that administrators know from perfmon.

A counter whose name ends in "/sec" or "per Second" holds the running total, as perfmon's raw value does and as
exporters give it: the rate is the reader's division.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

import msgspec

CONNECTION_COLUMNS: Final = (
    "client_to_cas",
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_to_referral",
    "store",
    "dsproxy",
    "referral",
    "public_store",
    "directory",
)
"""Every TCP connection of the organisation is in one of these columns, counted by the role that they name."""

_AVERAGED_PACKETS: Final = 1024
_SLOW_NS: Final = 2_000_000_000


class RpcStatistics:
    """The calls of one RPC server. Latencies are of calls that are answered at once, not of pending waits."""

    __slots__ = (
        "_latencies_ns",
        "calls",
        "faults",
        "outstanding",
        "packets_in",
        "packets_out",
        "protocol_errors",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.outstanding = 0
        self.packets_in = 0
        self.packets_out = 0
        self.faults = 0
        self.protocol_errors = 0
        self._latencies_ns: deque[int] = deque(maxlen=_AVERAGED_PACKETS)

    def answered(self, latency_ns: int) -> None:
        """A call took so long."""
        self._latencies_ns.append(latency_ns)

    @property
    def averaged_latency_ms(self) -> float:
        """Mean over the last 1,024 calls, as Exchange reports it."""
        latencies = self._latencies_ns
        return sum(latencies) / len(latencies) / 1e6 if latencies else 0.0

    @property
    def slow_packets(self) -> int:
        """How many of the last 1,024 calls took more than two seconds."""
        return sum(latency > _SLOW_NS for latency in self._latencies_ns)


class RoleCounters(msgspec.Struct, frozen=True):
    """What one process of a role reports when asked.

    ``connections`` holds the columns that this role counts, ``counters`` numbers by their perfmon names.
    """

    connections: dict[str, int]
    counters: dict[str, float]


class Counters(msgspec.Struct, frozen=True):
    """The whole organisation at one moment."""

    connections: dict[str, int]
    roles: dict[str, dict[str, float]]


def add_up(reports: Iterable[tuple[str, RoleCounters]]) -> Counters:
    """The sum of what processes report, each under the name of its server."""
    columns = Counter(dict.fromkeys(CONNECTION_COLUMNS, 0))
    roles: dict[str, Counter[str]] = {}
    for server, report in reports:
        columns.update(report.connections)
        roles.setdefault(server, Counter()).update(report.counters)
    return Counters(dict(columns), {server: dict(figures) for server, figures in roles.items()})


def prometheus(counters: Counters) -> str:
    """The same as Prometheus text; perfmon's names stay whole, in a label."""
    lines = [
        "# HELP mock_connections TCP connections that are open now, by column of the connection table.",
        "# TYPE mock_connections gauge",
        *(f'mock_connections{{column="{column}"}} {value}' for column, value in counters.connections.items()),
        "# HELP mock_counter Performance counters by their perfmon names; rates are running totals.",
        "# TYPE mock_counter untyped",
    ]
    for server, figures in counters.roles.items():
        lines += (
            f'mock_counter{{server="{server}",counter="{_escaped(name)}"}} {value:g}'
            for name, value in figures.items()
        )
    return "\n".join((*lines, ""))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
