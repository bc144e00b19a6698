"""The smallest numbers of servers, and of addresses on them, that carry a wanted number of users."""

from msgspec import Struct

from loadgen.capacity.ceilings import Meter, amounts_of, meters, shares_of_servers
from loadgen.workload.campaign import Population
from loadgen.workload.topology import ROLES, Topology


class Needed(Struct, frozen=True):
    """The smallest numbers that carry ``users``; None where no number does."""

    users: int
    servers: dict[str, int | None]
    """By role, each server as the topology has its first one."""
    source_addresses: dict[str, int | None]
    """By role: of each server, if there are as many servers as the topology has."""


def needed(topology: Topology, population: Population, *, startup: bool) -> Needed:
    """The smallest numbers of servers, and of addresses on them, that carry all of ``population``."""
    of_servers = {
        role: _servers_needed(topology, population, role, startup=startup)
        for role in ROLES
        if topology.servers(role)
    }
    of_addresses: dict[str, int | None] = {
        role: _addresses_needed(topology, population, role, startup=startup)
        for role in ("reverse_proxy", "client_access", "mailbox")
        if topology.servers(role)
    }
    return Needed(population.users, of_servers, of_addresses)


def _servers_needed(topology: Topology, population: Population, role: str, *, startup: bool) -> int | None:
    least = 1
    for meter in meters(topology):
        of = meter.of(topology, topology.servers(role)[0]) if meter.role == role else 0
        if of:
            amounts = amounts_of(meter, population, startup=startup)
            if max(amounts) > of:
                return None
            if not meter.per_user:
                total = sum(
                    group.users * each for group, each in zip(population.groups, amounts, strict=True)
                )
                least = max(least, -(-total // of))
    while not _carry(topology.with_servers(role, least), population, role, startup=startup):
        least += 1
    return least


def _carry(topology: Topology, population: Population, role: str, *, startup: bool) -> bool:
    """Whether no server of a role has more than it can, apart from what each user has for himself."""
    return all(
        load <= of
        for meter in meters(topology)
        if meter.role == role and not meter.per_user
        for of, load in _loads(meter, topology, population, startup=startup)
        if of
    )


def _addresses_needed(topology: Topology, population: Population, role: str, *, startup: bool) -> int:
    budget = topology.limits.port_budget
    ports = [each for each in meters(topology) if each.role == role and each.limit == "ports"]
    most = max(load for each in ports for _, load in _loads(each, topology, population, startup=startup))
    return max(1, -(-most // budget)) if budget else 1


def _loads(
    meter: Meter, topology: Topology, population: Population, *, startup: bool
) -> list[tuple[int, int]]:
    """What each server has of something, and how much its users take of it."""
    amounts = amounts_of(meter, population, startup=startup)
    return [
        (meter.of(topology, server), sum(count * each for count, each in zip(shares, amounts, strict=True)))
        for server, shares in shares_of_servers(topology, population, meter.role)
    ]
