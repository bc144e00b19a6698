"""What the roles count, under the names that administrators know from perfmon.

A counter whose name ends in "/sec" or "per Second" holds the running total, as perfmon's raw value does and
as exporters give it: the rate is the reader's division.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

import msgspec

CONNECTION_COLUMNS: Final = (
    "client_to_cas",
    "client_to_servers",
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_to_referral",
    "cas_to_gc",
    "store",
    "dsproxy",
    "referral",
    "public_store",
    "directory",
)
"""Every TCP connection of the organisation is in one of these columns, counted by the role that they name.

Those of clients inside the firewall are in two: that of the role that takes them, and ``client_to_servers``.
"""

FRONT_COLUMNS: Final = ("client_to_cas",)
"""What there is to count where the front end is the whole server."""

_AVERAGED_PACKETS: Final = 1024
_SLOW_NS: Final = 2_000_000_000

RECYCLE_KINDS: Final = ("IN_R1", "IN_R2", "OUT_R1", "OUT_R2")
"""How a channel may be recycled: which one, and through another proxy process (R1) or the same (R2)."""


LOGON_PROBLEMS: Final = ("UNKNOWN_USER", "WRONG_PASSWORD", "PASSWORD_EXPIRED", "BAD_TOKEN")
"""Why a logon may be refused: the names of :class:`mock_server.security.accounts.LogonProblem`."""


class RoleCounters(msgspec.Struct, frozen=True):
    """What one process of a role reports when asked.

    ``connections`` holds the columns that this role counts, ``counters`` numbers by their perfmon names.
    """

    connections: dict[str, int]
    counters: dict[str, float]


def recycle_counters(recycles: Counter[str]) -> dict[str, float]:
    """How many channels have been recycled, by kind; proxies and servers count each once."""
    return {f"Mock\\Recycled Channels {kind}": recycles[kind] for kind in RECYCLE_KINDS}


def logon_counters(refused: Counter[str]) -> dict[str, float]:
    """How many logons were refused, by what was wrong."""
    return {f"Mock\\Refused Logons {problem}": refused[problem] for problem in LOGON_PROBLEMS}


class RpcStatistics:
    """The calls of one RPC server. Latencies are of calls that are carried out, not of pending waits.

    ``calls_by_level`` are those that have arrived, under their authentication levels; ``executing`` of them
    take their time, and ``outstanding`` are they and all waits.
    """

    __slots__ = (
        "_latencies_ns",
        "calls_by_level",
        "executing",
        "faults",
        "outstanding",
        "packets_in",
        "packets_out",
        "protocol_errors",
        "recycles",
        "refused_logons",
    )

    def __init__(self) -> None:
        self.calls_by_level: Counter[int] = Counter()
        self.executing = 0
        self.outstanding = 0
        self.packets_in = 0
        self.packets_out = 0
        self.faults = 0
        self.protocol_errors = 0
        self.recycles: Counter[str] = Counter()
        self.refused_logons: Counter[str] = Counter()
        self._latencies_ns: deque[int] = deque(maxlen=_AVERAGED_PACKETS)

    @property
    def calls(self) -> int:
        """How many calls have arrived."""
        return self.calls_by_level.total()

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


class ProxyStatistics:
    """The connections and channels of one client access process."""

    def __init__(self) -> None:
        self.client_connections = 0
        self.connect_attempts = 0
        self.failed_connects = 0
        self.unauthorized = 0
        self.protocol_errors = 0
        self.bytes_to_servers = 0
        self.bytes_from_servers = 0
        self.recycles: Counter[str] = Counter()
        self.refused_logons: Counter[str] = Counter()
        self.server_connections: Counter[str] = Counter(
            cas_to_stores=0, cas_to_dsproxy=0, cas_to_referral=0, cas_to_gc=0
        )
        self._accepted = 0
        self._requests = 0
        self._channels: Counter[str] = Counter()

    def client_connected(self) -> None:
        """A client has opened a TCP connection."""
        self.client_connections += 1
        self._accepted += 1

    def channel_opened(self, user: str) -> None:
        """A user's request has opened a channel."""
        self._requests += 1
        self._channels[user] += 1

    def channel_closed(self, user: str) -> None:
        """One of a user's channels has ended."""
        self._channels[user] -= 1
        if not self._channels[user]:
            del self._channels[user]

    def report(self) -> RoleCounters:
        """All of it; unique users are those of this process."""
        channels = self._channels
        proxy = "RPC/HTTP Proxy\\"
        return RoleCounters(
            {"client_to_cas": self.client_connections, **self.server_connections},
            {
                proxy + "Current Number of Incoming RPC over HTTP Connections": channels.total(),
                proxy + "Current Number of Unique Users": len(channels),
                proxy + "RPC/HTTP Requests per Second": self._requests,
                proxy + "Number of Back-End Connection Attempts per Second": self.connect_attempts,
                proxy + "Number of Failed Back-End Connection attempts per Second": self.failed_connects,
                proxy + "Total Incoming Bandwidth from Back-End": self.bytes_from_servers,
                proxy + "Total Outgoing Bandwidth to Back-End": self.bytes_to_servers,
                "Web Service(_Total)\\Current Connections": self.client_connections,
                "Web Service(_Total)\\Connection Attempts/sec": self._accepted,
                "Mock\\Unauthorized Requests": self.unauthorized,
                **logon_counters(self.refused_logons),
                "Mock\\Protocol Errors": self.protocol_errors,
                **recycle_counters(self.recycles),
            },
        )


class Counters(msgspec.Struct, frozen=True):
    """The whole organisation at one moment."""

    connections: dict[str, int]
    roles: dict[str, dict[str, float]]


def merged(reports: Iterable[RoleCounters]) -> RoleCounters:
    """The sum of several reports."""
    connections: Counter[str] = Counter()
    counters: Counter[str] = Counter()
    for report in reports:
        connections.update(report.connections)
        counters.update(report.counters)
    return RoleCounters(dict(connections), dict(counters))


def add_up(
    reports: Iterable[tuple[str, RoleCounters]], columns: Iterable[str] = CONNECTION_COLUMNS
) -> Counters:
    """The sum of what processes report, each under the name of its server; connections of ``columns``."""
    of_server: dict[str, list[RoleCounters]] = {}
    for server, report in reports:
        of_server.setdefault(server, []).append(report)
    sums = {server: merged(parts) for server, parts in of_server.items()}
    total = merged(sums.values()).connections
    connections = {column: total.get(column, 0) for column in columns}
    return Counters(connections, {server: report.counters for server, report in sums.items()})


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
            f'mock_counter{{server="{server}",counter="{_escaped(name)}"}} {value:.15g}'
            for name, value in figures.items()
        )
    return "\n".join((*lines, ""))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
