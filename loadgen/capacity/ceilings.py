"""Which limit stops which user: exact integers, for users who log on one after the other.

User i goes to server i modulo the number of servers of each role, as the mock deals users out. (Behind
reverse proxies connections are dealt out instead; there the numbers are exact for one client access server.)
A user is admitted if everything that he opens finds room, and nothing is ever given back.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import gcd, lcm
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from loadgen.client.client_type import ClientType
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.connection_model import CONNECTIONS_PER_VC, virtual_connections
from loadgen.workload.topology import ReverseProxy, Server, Topology

OPENING_ORDER: Final = ("referral", "directory", "mail", "public_folder")
"""What a client opens first, second, …: the referral tells it where the directory is."""

Needs = Mapping[str, int]
"""How much of something one virtual connection takes, by purpose."""

_FIRST_GUESS: Final = 1024


class Meter(Struct, frozen=True):
    """Something that each server of a role has only so much of; ``of`` is 0 where it is without end."""

    limit: str
    role: str
    needs: Needs
    of: Callable[[Topology, Server], int]
    per_user: bool = False
    """Whether each user has so much for himself, on that server."""
    proxied: bool = False
    """Whether only what comes through the RPC proxy takes of it: users inside the firewall take nothing."""

    def amount(self, client: ClientType, virtual: Mapping[str, int]) -> int:
        """What a user of a type takes, with these virtual connections."""
        if self.proxied and client.transport == "tcp":
            return 0
        return sum(each * virtual[purpose] for purpose, each in self.needs.items())


class Ceiling(Struct, frozen=True):
    """Where one limit of one server stops: ``users`` come in, and the next one finds no room there."""

    limit: str
    role: str
    server: str
    users: int
    of: int
    """The limit itself, in its own unit: ports, handles, virtual connections, contexts, sessions."""


class Clash(NamedTuple):
    """A user who finds no room: his number, and at which of his virtual connections."""

    user: int
    opening: int


def meters(topology: Topology) -> tuple[Meter, ...]:
    """All that an organisation has only so much of, in the order in which a new connection meets it."""
    tcp = dict.fromkeys(OPENING_ORDER, CONNECTIONS_PER_VC)
    one = dict.fromkeys(OPENING_ORDER, 1)
    through_dsproxy = {} if refers_to_catalog(topology) else {"directory": CONNECTIONS_PER_VC}
    return (
        Meter("nonpaged_pool", "reverse_proxy", tcp, _pool, proxied=True),
        Meter("ports", "reverse_proxy", tcp, _ports, proxied=True),
        Meter("front_end_contexts", "client_access", tcp, _contexts, proxied=True),
        Meter("memory", "client_access", one, _memory, proxied=True),
        Meter("ports", "client_access", tcp, _ports, proxied=True),
        Meter("ports", "mailbox", through_dsproxy, _ports, proxied=True),
        Meter("nspi_sessions", "global_catalog", {"directory": 1}, _nspi_sessions, per_user=True),
        Meter("context_handles", "mailbox", {"mail": 1}, _handles),
        Meter("mapi_sessions", "mailbox", {"mail": 1}, _mapi_sessions, per_user=True),
        Meter("context_handles", "public_folders", {"public_folder": 1}, _handles),
        Meter("mapi_sessions", "public_folders", {"public_folder": 1}, _mapi_sessions, per_user=True),
    )


def refers_to_catalog(topology: Topology) -> bool:
    """Whether clients are sent straight to a global catalog, past DSProxy."""
    return topology.referral.directory == "global-catalog"


def servers_in_turn(topology: Topology, role: str) -> tuple[Server, ...]:
    """User i belongs to server i modulo their number; a mailbox server always uses one global catalog."""
    servers = topology.servers(role)
    if role != "global_catalog":
        return servers
    return tuple(servers[index % len(servers)] for index in range(len(topology.mailbox)))


def ceilings(topology: Topology, population: Population, *, startup: bool) -> tuple[Ceiling, ...]:
    """Where each limit of each server stops this mix of users, the first one first.

    The population's sizes are shares: its mix goes on beyond them. With ``startup`` all users hold the
    connections of start-up at the same time. Of limits that stop the same user, the one that he meets first
    comes first.
    """
    order = _Order(population.groups)
    virtual = [virtual_connections(group.client, starting=startup) for group in population.groups]
    found: list[tuple[Clash, Ceiling]] = []
    for meter in meters(topology):
        servers = servers_in_turn(topology, meter.role)
        amounts = amounts_of(meter, population, startup=startup)
        for index, server in enumerate(servers):
            of = meter.of(topology, server)
            clash = _clash(meter, of, order, (amounts, virtual), index, len(servers)) if of else None
            if clash is not None:
                found.append((clash, Ceiling(meter.limit, meter.role, server.name, clash.user, of)))
    found.sort(key=itemgetter(0))
    first_of = {(each.limit, each.server): each for _, each in reversed(found)}
    return tuple(each for _, each in found if first_of[each.limit, each.server] is each)


def shares_of_servers(
    topology: Topology, population: Population, role: str, users: int | None = None
) -> list[tuple[Server, list[int]]]:
    """Each server of a role, and how many of each group, of all or the first ``users``, are its own."""
    turns = servers_in_turn(topology, role)
    shares = {server.name: [0] * len(population.groups) for server in topology.servers(role)}
    for number in range(len(population.groups)):
        members = population.members(number, population.users if users is None else users)
        for turn, count in Counter(user % len(turns) for user in members if turns).items():
            shares[turns[turn].name][number] += count
    return [(server, shares[server.name]) for server in topology.servers(role)]


def amounts_of(meter: Meter, population: Population, *, startup: bool) -> list[int]:
    """What a user of each group takes."""
    return [
        meter.amount(group.client, virtual_connections(group.client, starting=startup))
        for group in population.groups
    ]


def users_admitted(topology: Topology, population: Population, *, startup: bool) -> int | None:
    """How many users of this mix log on before one is refused; None if no limit ever stops them."""
    return min((each.users for each in ceilings(topology, population, startup=startup)), default=None)


class _Order:
    """Which group users 0, 1, 2, … are of, without end: the order of a mixed population."""

    def __init__(self, groups: tuple[UserGroup, ...]) -> None:
        self.groups = groups
        self.users = sum(group.users for group in groups)
        shares = self.users // gcd(*(group.users for group in groups))
        self.period = lcm(shares, len(groups) ** 2)
        self._numbers = array("H")

    def __getitem__(self, user: int) -> int:
        if len(self.groups) == 1:
            return 0
        if user >= len(self._numbers):
            self._grow(max(_FIRST_GUESS, 2 * user))
        return self._numbers[user]

    def _grow(self, least: int) -> None:
        """The order depends on shares alone, so that of a larger population begins with that of a smaller."""
        times = -(-least // self.users)
        larger = Population(
            tuple(replace(group, users=group.users * times) for group in self.groups), mixed=True
        )
        self._numbers = array("H", bytes(2 * larger.users))
        for number in range(1, len(self.groups)):
            for user in larger.members(number, larger.users):
                self._numbers[user] = number


def _clash(
    meter: Meter,
    of: int,
    order: _Order,
    groups: tuple[Sequence[int], Sequence[Mapping[str, int]]],
    first: int,
    step: int,
) -> Clash | None:
    """The first user whom a server refuses, if users ``first``, ``first + step``, … are its own.

    ``groups`` are what a user of each takes, and opens.
    """
    amounts, virtual = groups
    room, user, patience = of, first, order.period
    if len(set(amounts)) == 1 and amounts[0] and not meter.per_user:
        turns, room = divmod(of, amounts[0])
        user += turns * step
    while patience:
        group = order[user]
        amount = amounts[group]
        if amount > room:
            return Clash(user, _opening(meter, virtual[group], room))
        if not meter.per_user:
            room -= amount
        patience = order.period if amount and not meter.per_user else patience - 1
        user += step
    return None


def _opening(meter: Meter, virtual: Mapping[str, int], room: int) -> int:
    """At which of the virtual connections that a user opens the room is too little."""
    opened = [purpose for purpose in OPENING_ORDER for _ in range(virtual[purpose])]
    taken = accumulate(meter.needs.get(purpose, 0) for purpose in opened)
    return next(number for number, amount in enumerate(taken) if amount > room)


def _ports(topology: Topology, server: Server) -> int:
    return topology.limits.port_budget * server.sources


def _contexts(topology: Topology, _server: Server) -> int:
    return topology.limits.scaled(topology.limits.front_end_contexts)


def _memory(topology: Topology, _server: Server) -> int:
    return topology.limits.memory_budget


def _handles(topology: Topology, _server: Server) -> int:
    return topology.limits.scaled(topology.limits.context_handles)


def _nspi_sessions(topology: Topology, _server: Server) -> int:
    return topology.limits.nspi_sessions_per_user


def _mapi_sessions(topology: Topology, _server: Server) -> int:
    return topology.limits.mapi_sessions_per_user


def _pool(topology: Topology, server: Server) -> int:
    return server.connections(topology.limits) if isinstance(server, ReverseProxy) else 0
