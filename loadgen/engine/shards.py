"""Cuts a population into shards, by what this machine has of cores, descriptors and source ports."""

import os
import resource
from pathlib import Path
from typing import Final, Self

import msgspec

from loadgen.client.account import RpcProxy
from loadgen.client.account_source import AccountSource
from loadgen.client.dialect import Dialect
from loadgen.client.inside import Inside
from loadgen.engine.target import Target
from loadgen.errors import ProfileError
from loadgen.workload.campaign import Campaign, Population
from loadgen.workload.connection_model import CONNECTIONS_PER_VC, connections_per_vc, virtual_connections

USERS_PER_WORKER: Final = 500
"""Below this a second process costs more than it brings."""
SPARE_DESCRIPTORS: Final = 128
"""What a worker has open besides connections: files, pipes, its loop, connections being replaced."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine offers to a generator. ``ports`` is per pair of source and target address."""

    cores: int
    descriptors: int
    """The hard limit for one process."""
    ports: int

    @classmethod
    def here(cls) -> Self:
        """The machine that this runs on."""
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return cls(
            cores=len(os.sched_getaffinity(0)),
            descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            ports=int(high) - int(low) + 1,
        )


class ShardPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker has to know. ``users`` are indices into the population."""

    shard: int
    users: range
    campaign: Campaign
    population: Population
    proxies: tuple[RpcProxy, ...]
    accounts: AccountSource
    dialect: Dialect = Dialect()
    inside: Inside = Inside()
    source_addresses: tuple[str, ...] = ()
    stamp: str = ""
    """What the subjects of this run's mail begin with."""
    removing: bool = False
    """Whether that mail is removed at log off."""
    ports: int
    """TCP connections that this shard's part of the source ports is enough for."""


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign needs of the machine at its peak."""

    users: int
    connections: int
    workers: int
    descriptors: int
    """Per worker."""
    descriptors_limit: int
    ports: int
    """Per source address."""
    ports_limit: int
    source_addresses: int

    def __str__(self) -> str:
        of_each = f"{self.ports:,} of {self.ports_limit:,}"
        return (
            f"{self.users:,} users open {self.connections:,} TCP connections at the peak; "
            f"workers: {self.workers}, "
            f"descriptors of each: {self.descriptors:,} of {self.descriptors_limit:,}; "
            f"source addresses: {self.source_addresses}, ports of each: {of_each}"
        )


def require(
    campaign: Campaign, population: Population, proxies: int, source_addresses: int, machine: Machine
) -> Requirements:
    """What the campaign needs of this machine towards so many proxy addresses.

    Raises :class:`~loadgen.errors.ProfileError` if the machine does not have it, with what would help.
    """
    connections = _peak_connections(campaign, population)
    per_worker = int(machine.descriptors * campaign.invalid_use) - SPARE_DESCRIPTORS
    if per_worker < CONNECTIONS_PER_VC:
        raise ProfileError(
            f"workers: {machine.descriptors} descriptors per process are too few for even one connection; "
            "raise the hard limit (ulimit -Hn)"
        )
    enough = -(-connections // per_worker)
    workers = campaign.workers or max(enough, min(machine.cores, -(-population.users // USERS_PER_WORKER)))
    workers = min(workers, population.users)
    if workers < enough:
        raise ProfileError(
            f"workers: {workers} cannot hold {connections:,} connections, with {machine.descriptors:,} "
            f"descriptors each; give at least {enough}, or leave the key out"
        )
    ports = -(-connections // (proxies * source_addresses))
    usable = int(machine.ports * campaign.invalid_use)
    if ports > usable:
        needed = -(-connections // (proxies * usable))
        raise ProfileError(
            f"source_ip: {connections:,} connections over {proxies} proxy addresses need {needed} source "
            f"addresses, with {machine.ports:,} ports each; given: {source_addresses}"
        )
    return Requirements(
        users=population.users,
        connections=connections,
        workers=workers,
        descriptors=-(-connections // workers) + SPARE_DESCRIPTORS,
        descriptors_limit=machine.descriptors,
        ports=ports,
        ports_limit=machine.ports,
        source_addresses=source_addresses,
    )


def cut(
    campaign: Campaign,
    population: Population,
    target: Target,
    source_addresses: tuple[str, ...],
    requirements: Requirements,
    run_id: str = "",
) -> tuple[ShardPlan, ...]:
    """One plan per worker. Users are dealt out in turn, so that each shard has its part of every group."""
    workers = requirements.workers
    ports = requirements.ports_limit * len(target.proxies) * requirements.source_addresses
    return tuple(
        ShardPlan(
            shard=shard,
            users=range(shard, population.users, workers),
            campaign=campaign,
            population=population,
            proxies=target.proxies,
            accounts=target.accounts,
            dialect=target.dialect,
            inside=msgspec.structs.replace(target.inside, only_here=not campaign.authorised),
            stamp=f"{run_id}." if run_id else "",
            removing=campaign.cleanup == "on" or (campaign.cleanup is None and target.organisation is None),
            source_addresses=source_addresses,
            ports=ports // workers,
        )
        for shard in range(workers)
    )


def _peak_connections(campaign: Campaign, population: Population) -> int:
    starting = campaign.startup == "on"
    return sum(
        group.users
        * connections_per_vc(group.client)
        * sum(virtual_connections(group.client, starting=starting).values())
        for group in population.groups
    )
