"""Populations and organisations to plan with."""

from collections.abc import Callable

import pytest

from loadgen.client.client_type import ClientType
from loadgen.workload import library
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import Topology, read_topology

CACHED = "outlook2007-cached-anywhere"
ONLINE = "outlook2007-online-anywhere"
INSIDE = "outlook2007-cached"
LOADGEN = "loadgen-2007-online"

PopulationOf = Callable[..., Population]
TopologyOf = Callable[..., Topology]


@pytest.fixture
def population_of() -> PopulationOf:
    """A population of (users, client type, profile) each; medium if no profile is said."""

    def make(*groups: tuple[int, str] | tuple[int, str, str]) -> Population:
        return Population(
            tuple(
                UserGroup(
                    users,
                    library.read("client", client, ClientType),
                    library.read("message", *(profile or ("medium",)), MessageProfile),
                )
                for users, client, *profile in groups
            )
        )

    return make


@pytest.fixture
def topology_of() -> TopologyOf:
    """One server of each role with limits as told, and no others; ``servers`` by role, ``sources`` too."""

    def make(
        *, servers: dict[str, int] | None = None, sources: dict[str, int] | None = None, **limits: object
    ) -> Topology:
        topology = read_topology("small", [f"limits.{key}={value}" for key, value in limits.items()])
        for role, count in (servers or {}).items():
            topology = topology.with_servers(role, count)
        for role, count in (sources or {}).items():
            topology = topology.with_sources(role, count)
        return topology

    return make
