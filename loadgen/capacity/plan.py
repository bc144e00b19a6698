"""The arithmetic of a population on a topology: connections, limits, rates, and what a wanted number needs.

Nothing here connects to anything. Numbers of users are whole and exact, by the rounding of the mock.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from loadgen.capacity.ceilings import Ceiling, ceilings
from loadgen.capacity.needed import Needed, needed
from loadgen.capacity.per_server import (
    Addresses,
    Pair,
    Reconnect,
    ServerPlan,
    addresses,
    connection_pairs,
    reconnect,
    server_plans,
)
from loadgen.capacity.work import Traffic
from loadgen.client.client_type import (
    ClientType,
    ConnectionCounts,
    DirectoryWork,
    PublicFolderWork,
    StartupCounts,
    Transport,
)
from loadgen.workload.campaign import Population
from loadgen.workload.connection_model import (
    CONNECTIONS_PER_VC,
    as_loadgen,
    connections_per_vc,
    virtual_connections,
)
from loadgen.workload.topology import Topology
from loadgen.workload.white_paper import TRAFFIC

SCHEMA: Final = 1
START_UP_SHARES: Final = (Fraction(1, 4), Fraction(1, 2))
"""By how much connections are more at start-up: 25 to 50 % (white paper, "Outlook Connections")."""
STEADY_PURPOSES: Final = ("mail", "public_folder", "directory")
RECONNECT_SPREAD_S: Final = 90.0
"""After so long the worker that was replaced cuts what it still holds (white paper)."""


class UserCost(Struct, frozen=True):
    """What one user of a type costs, and how many of them one server or address carries by that alone."""

    client: str
    users: int
    transport: Transport
    """By ``tcp``, users are inside the firewall and go past the CAS: nothing of it is theirs."""
    virtual_connections: Pair
    connections: Pair
    memory_kb: Pair
    per_address: dict[str, int]
    """Users whose connections behind the CAS one source address carries; empty if ports are without end, or
    if this type has no such connections."""
    per_dsproxy_address: int | None
    """… whose directory connections one address of a mailbox server carries; None if they have none."""
    per_store: int | None
    """… whose mail sessions the context handles of one store carry; None if handles are without end."""
    per_store_with_public_folders: int | None
    """… if the public folder store is in the same process."""


class GroupPlan(Struct, frozen=True):
    """A group of the population as planned."""

    users: int
    client: str
    profile: str


class LoadgenView(Struct, frozen=True):
    """The same users as LoadGen would have them: one mail connection each, and no start-up."""

    connections: dict[str, int]
    first_limit: Ceiling | None
    factor: float | None
    """How many times as many users LoadGen finds room for."""


class Plan(Struct, frozen=True, kw_only=True):
    """All that arithmetic says of a population on a topology."""

    schema: int = SCHEMA
    topology: str
    limit_scale: float
    users: int
    startup: bool
    """Whether ceilings count all users as starting at once."""
    groups: tuple[GroupPlan, ...]
    connections: dict[str, Pair]
    costs: tuple[UserCost, ...]
    servers: tuple[ServerPlan, ...]
    ceilings: tuple[Ceiling, ...]
    as_loadgen: LoadgenView
    addresses: tuple[Addresses, ...]
    reconnect: tuple[Reconnect, ...]
    traffic: tuple[Traffic, ...]
    rpc_per_s: float
    pings_per_s: float
    needed: Needed | None = None


def make_plan(
    topology: Topology,
    population: Population,
    *,
    startup: bool = True,
    day_s: float = 8 * 3600.0,
    spread_s: float = RECONNECT_SPREAD_S,
    for_users: int | None = None,
) -> Plan:
    """The plan of ``population``, whose mix also says what ``for_users`` are."""
    groups = population.groups
    servers = server_plans(topology, population, day_s)
    proxies = [server for server in servers if server.role == "client_access"]
    found = ceilings(topology, population, startup=startup)
    return Plan(
        topology=topology.name,
        limit_scale=topology.limits.scale,
        users=population.users,
        startup=startup,
        groups=tuple(GroupPlan(group.users, group.client.name, group.profile.name) for group in groups),
        connections=connection_pairs(topology, groups, [group.users for group in groups]),
        costs=_costs(topology, population),
        servers=servers,
        ceilings=found,
        as_loadgen=_loadgens_view(topology, population, found),
        addresses=tuple(addresses(topology, server, startup=startup) for server in proxies),
        reconnect=tuple(reconnect(topology, server, spread_s, startup=startup) for server in proxies),
        traffic=tuple(Traffic.of(row, groups, day_s) for row in TRAFFIC),
        rpc_per_s=round(sum(server.rpc_per_s for server in servers), 2),
        pings_per_s=round(sum(server.pings_per_s for server in servers), 2),
        needed=None if for_users is None else needed(topology, population, for_users, startup=startup),
    )


def first_limit(plan: Plan) -> Ceiling | None:
    """The limit that stops this mix of users first, where, and after how many; None if nothing does."""
    return plan.ceilings[0] if plan.ceilings else None


def with_loadgens_clients(population: Population) -> Population:
    """The same users with LoadGen's connections: mail alone, at start-up too (white paper, table 3)."""
    nothing = {
        "connections": ConnectionCounts(mail=1),
        "startup": StartupCounts(),
        "directory": DirectoryWork(),
        "public_folder": PublicFolderWork(),
    }
    groups = tuple(replace(group, client=replace(group.client, **nothing)) for group in population.groups)
    return Population(groups, mixed=population.mixed)


def _loadgens_view(topology: Topology, population: Population, real: Sequence[Ceiling]) -> LoadgenView:
    found = ceilings(topology, with_loadgens_clients(population), startup=False)
    factor = found[0].users / real[0].users if found and real and real[0].users else None
    seen = as_loadgen(population.users, population.inside)
    return LoadgenView(seen, found[0] if found else None, factor)


def _costs(topology: Topology, population: Population) -> tuple[UserCost, ...]:
    """Each client type of the population once."""
    users: dict[str, int] = {}
    for group in population.groups:
        users[group.client.name] = users.get(group.client.name, 0) + group.users
    types = {group.client.name: group.client for group in population.groups}
    return tuple(_cost(topology, client, users[name]) for name, client in types.items())


def _cost(topology: Topology, client: ClientType, users: int) -> UserCost:
    limits = topology.limits
    counts = [sum(virtual_connections(client, starting=starting).values()) for starting in (False, True)]
    per_vc = connections_per_vc(client)
    proxied = [0 if client.transport == "tcp" else count for count in counts]
    steady = CONNECTIONS_PER_VC * proxied[0]
    per_address = {
        "steady": Fraction(steady),
        **{f"+{int(100 * share)} %": steady * (1 + share) for share in START_UP_SHARES},
        "startup": Fraction(CONNECTIONS_PER_VC * proxied[1]),
    }
    mail, public, directory = (getattr(client.connections, purpose) for purpose in STEADY_PURPOSES)
    handles = limits.scaled(limits.context_handles)
    return UserCost(
        client=client.name,
        users=users,
        transport=client.transport,
        virtual_connections=Pair(*counts),
        connections=Pair(*(per_vc * count for count in counts)),
        memory_kb=Pair(*(round(limits.memory_per_connection_kb * count) for count in proxied)),
        per_address={name: int(limits.port_budget // each) for name, each in per_address.items()}
        if limits.port_budget and steady
        else {},
        per_dsproxy_address=_quotient(limits.port_budget, CONNECTIONS_PER_VC * directory if steady else 0),
        per_store=_quotient(handles, mail),
        per_store_with_public_folders=_quotient(handles, mail + public),
    )


def _quotient(of: int, each: int) -> int | None:
    return of // each if of and each else None
