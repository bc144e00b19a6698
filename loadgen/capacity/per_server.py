"""What each server carries of a population: connections, everything that is limited, rates."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from loadgen.capacity import work
from loadgen.capacity.ceilings import amounts_of, meters, refers_to_catalog, shares_of_servers
from loadgen.capacity.work import Calls
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.connection_model import expected
from loadgen.workload.topology import PORT_RANGES, ROLES, Server, Topology

KB951764_PORTS: Final = PORT_RANGES["port-scalability"]

COLUMNS_OF_ROLE: Final = {
    "reverse_proxy": ("client_to_cas",),
    "client_access": (
        "client_to_cas",
        "cas_to_stores",
        "cas_to_dsproxy",
        "cas_to_referral",
        "cas_to_gc",
        "cas_total",
    ),
    "mailbox": ("store", "dsproxy", "referral", "mailbox_total", "directory"),
    "public_folders": ("public_store",),
    "global_catalog": ("directory",),
}
"""The columns of the connection table that end or begin at a server."""


class Pair(Struct, frozen=True):
    """A number when users have been logged on for a while, and when all of them are starting."""

    steady: int
    startup: int


class Use(Struct, frozen=True):
    """How much of something a server uses; ``of`` is None where it is without end."""

    limit: str
    steady: int
    startup: int
    of: int | None


class ServerPlan(Struct, frozen=True):
    """What one server carries. Rates are per second, of an ordinary hour."""

    name: str
    role: str
    users: int
    source_addresses: int
    connections: dict[str, Pair]
    uses: tuple[Use, ...]
    """Of each source address together; of one user for sessions."""
    time_wait_ports: int
    """Held after the connections of start-up have closed, if this server closes first."""
    pings_per_s: float
    rpc_per_s: float
    log_on_rpc: int
    """Calls that it answers while all its users log on once."""


class Reconnect(Struct, frozen=True):
    """All users of a client access server come back: what HTTP.sys sees."""

    server: str
    connections: int
    spread_s: float
    per_s: float
    queue_peak: int
    """Requests waiting at most, at the rate at which workers take them; 0 if they do so at once."""
    queue_of: int | None
    refused: int
    ports_with_time_wait: int
    """Ports in use if those of the old connections are still held."""


class Addresses(Struct, frozen=True):
    """How many source addresses a client access server needs for its connections to servers behind."""

    server: str
    source_addresses: int
    """It has so many."""
    connections: int
    ports: int | None
    """Of one address as the topology limits them; None if without end."""
    by_limit: int | None
    """By division by these."""
    by_division: int
    """By 60,000, the ports of an address with port scalability."""
    by_kb951764: int
    """By Microsoft's formula: HTTP connections / 60,000 x 2, rounded up."""


def server_plans(topology: Topology, population: Population, day_s: float) -> tuple[ServerPlan, ...]:
    """Every server, from the client inwards."""
    return tuple(
        _server_plan(topology, population, role, server, shares, day_s)
        for role in ROLES
        for server, shares in shares_of_servers(topology, population, role)
    )


def connection_pairs(topology: Topology, groups: tuple[UserGroup, ...], counts: list[int]) -> dict[str, Pair]:
    """Connections by column of so many users of each group."""
    direct = refers_to_catalog(topology)
    steady, startup = (
        expected(
            ((group.client, starting, count) for group, count in zip(groups, counts, strict=True)),
            direct=direct,
        )
        for starting in (False, True)
    )
    return {column: Pair(steady[column], startup[column]) for column in steady}


def addresses(topology: Topology, server: ServerPlan, *, startup: bool) -> Addresses:
    """The source addresses that a client access server needs, by division and by KB951764."""
    connections = _at(server.connections["cas_total"], startup=startup)
    ports = topology.limits.port_budget or None
    return Addresses(
        server=server.name,
        source_addresses=server.source_addresses,
        connections=connections,
        ports=ports,
        by_limit=-(-connections // ports) if ports else None,
        by_division=-(-connections // KB951764_PORTS),
        by_kb951764=-(-2 * connections // KB951764_PORTS),
    )


def reconnect(topology: Topology, server: ServerPlan, spread_s: float, *, startup: bool) -> Reconnect:
    """All users of a client access server come back within ``spread_s``, evenly; 0 is at once."""
    limits = topology.limits
    connections = _at(server.connections["client_to_cas"], startup=startup)
    taken = int(limits.requests_per_s * spread_s) if limits.requests_per_s else connections
    waiting = max(0, connections - taken) if spread_s else connections
    queue_of = limits.scaled(limits.request_queue) or None
    old = server.connections["cas_total"].steady if limits.time_wait_s else 0
    return Reconnect(
        server=server.name,
        connections=connections,
        spread_s=spread_s,
        per_s=round(connections / spread_s, 1) if spread_s else float(connections),
        queue_peak=waiting,
        queue_of=queue_of,
        refused=max(0, waiting - queue_of) if queue_of else 0,
        ports_with_time_wait=old + _at(server.connections["cas_total"], startup=startup),
    )


def _at(pair: Pair, *, startup: bool) -> int:
    return pair.startup if startup else pair.steady


def _server_plan(
    topology: Topology, population: Population, role: str, server: Server, shares: list[int], day_s: float
) -> ServerPlan:
    columns = connection_pairs(topology, population.groups, shares)
    uses = tuple(_uses(topology, population, role, server, shares))
    held = next((use.startup - use.steady for use in uses if use.limit == "ports"), 0)
    users = list(zip(population.groups, shares, strict=True))
    return ServerPlan(
        name=server.name,
        role=role,
        users=sum(
            count
            for group, count in users
            if group.client.transport == "http" or role not in ("reverse_proxy", "client_access")
        ),
        source_addresses=server.sources,
        connections={column: columns[column] for column in COLUMNS_OF_ROLE[role]},
        uses=uses,
        time_wait_ports=held if topology.limits.time_wait_s else 0,
        pings_per_s=_pings_per_s(topology, users) if role == "client_access" else 0.0,
        rpc_per_s=round(sum(count * _rpc_per_s(role, group, topology, day_s) for group, count in users), 2),
        log_on_rpc=sum(
            count * int(_of_role(role, work.calls_to_log_on(group.client, startup=True)))
            for group, count in users
        ),
    )


def _uses(
    topology: Topology, population: Population, role: str, server: Server, shares: list[int]
) -> Iterator[Use]:
    """Of what each user has for himself, the most that one takes."""
    for meter in meters(topology):
        if meter.role == role:
            steady, startup = (
                _taken(amounts_of(meter, population, startup=starting), shares, per_user=meter.per_user)
                for starting in (False, True)
            )
            yield Use(meter.limit, steady, startup, meter.of(topology, server) or None)


def _taken(amounts: list[int], shares: list[int], *, per_user: bool) -> int:
    users = list(zip(amounts, shares, strict=True))
    if per_user:
        return max(amount for amount, count in [*users, (0, 1)] if count)
    return sum(amount * count for amount, count in users)


def _pings_per_s(topology: Topology, users: list[tuple[UserGroup, int]]) -> float:
    return round(sum(count * work.pings_per_s(group.client, topology) for group, count in users), 2)


def _rpc_per_s(role: str, group: UserGroup, topology: Topology, day_s: float) -> float:
    of_day = work.calls_per_day(group.client, group.profile)
    return _of_role(role, of_day) / day_s + _of_role(role, work.calls_when_idle_per_s(group.client, topology))


def _of_role(role: str, calls: Calls) -> float:
    """The calls that servers of a role answer."""
    answered = {
        "mailbox": calls.store + calls.referral,
        "public_folders": calls.public_store,
        "global_catalog": calls.directory,
    }
    return answered.get(role, 0)
