"""The smallest numbers of servers, and of addresses on them, that carry a wanted number of users."""

from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from loadgen.capacity.ceilings import Meter, amounts_of, meters, shares_of_servers
from loadgen.workload.campaign import Population
from loadgen.workload.topology import ROLES, Topology

_OPENING_ROLES: Final = ("reverse_proxy", "client_access", "mailbox")
"""Those that open connections to others."""


class Needed(Struct, frozen=True):
    """The smallest numbers that carry ``users``; None where one user alone is too many."""

    users: int
    servers: dict[str, int | None]
    """By role, each server as the topology has its first one."""
    source_addresses: dict[str, int]
    """By role: of each server, if there are as many servers as the topology has."""


def needed(topology: Topology, population: Population, users: int, *, startup: bool) -> Needed:
    """The smallest numbers that carry the first ``users`` of this mix, which goes on without end."""
    times = -(-users // population.users)
    groups = tuple(replace(group, users=group.users * times) for group in population.groups)
    crowd = _Crowd(Population(groups, mixed=True), users, startup)
    return Needed(
        users,
        {role: _servers(topology, crowd, role) for role in ROLES if topology.servers(role)},
        {role: _addresses(topology, crowd, role) for role in _OPENING_ROLES if topology.servers(role)},
    )


class _Crowd(NamedTuple):
    """The first ``users`` of a mixed population, starting or not."""

    population: Population
    users: int
    startup: bool

    def amounts(self, meter: Meter) -> list[int]:
        """What a user of each group takes."""
        return amounts_of(meter, self.population, startup=self.startup)

    def loads(self, meter: Meter, topology: Topology) -> list[tuple[int, int]]:
        """What each server has of something, and how much of it its users take."""
        amounts = self.amounts(meter)
        return [
            (
                meter.of(topology, server),
                sum(count * each for count, each in zip(shares, amounts, strict=True)),
            )
            for server, shares in shares_of_servers(topology, self.population, meter.role, self.users)
        ]


def _servers(topology: Topology, crowd: _Crowd, role: str) -> int | None:
    least = 1
    limited = []
    for meter in meters(topology):
        of = meter.of(topology, topology.servers(role)[0]) if meter.role == role else 0
        if of and max(crowd.amounts(meter)) > of:
            return None
        if of and not meter.per_user:
            limited.append(meter)
            total = sum(load for _, load in crowd.loads(meter, topology))
            least = max(least, -(-total // of))
    while not _carry(topology.with_servers(role, least), crowd, limited):
        least += 1
    return least


def _carry(topology: Topology, crowd: _Crowd, limited: list[Meter]) -> bool:
    """Whether no server has to give more than it can."""
    return all(load <= of for meter in limited for of, load in crowd.loads(meter, topology))


def _addresses(topology: Topology, crowd: _Crowd, role: str) -> int:
    budget = topology.limits.port_budget
    ports = [each for each in meters(topology) if each.role == role and each.limit == "ports"]
    most = max(load for each in ports for _, load in crowd.loads(each, topology))
    return max(1, -(-most // budget)) if budget else 1
