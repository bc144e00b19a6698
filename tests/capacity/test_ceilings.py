"""Ceilings, held against a model that logs users on one after the other and counts."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.capacity.ceilings import OPENING_ORDER, ceilings, meters, users_admitted
from loadgen.client.client_type import ClientType
from loadgen.measure.limits import LIMITS
from loadgen.workload import library
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.connection_model import virtual_connections
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import PORT_RANGES, Topology, read_topology

from .conftest import CACHED, LOADGEN, ONLINE

TYPES = {name: library.read("client", name, ClientType) for name in (CACHED, ONLINE, LOADGEN)}
MEDIUM = library.read("message", "medium", MessageProfile)

WHITE_PAPER = {
    65_535: (32_767, 10_922, 8_191, 6_553, 5_461),
    64_510: (32_255, 10_751, 8_063, 6_451, 5_375),
    60_000: (30_000, 10_000, 7_500, 6_000, 5_000),
    16_384: (8_192, 2_730, 2_048, 1_638, 1_365),
    3_976: (1_988, 662, 497, 397, 331),
}
"""Users by ports of one address at 2, 6, 8, 10 (8 + 25 %) and 12 (8 + 50 %) ports each (docs/capacity.md)."""


def first(topology: Topology, population: Population, *, startup: bool = False):
    return ceilings(topology, population, startup=startup)[0]


@pytest.mark.parametrize(("ports", "users"), WHITE_PAPER.items())
def test_users_of_one_address_are_the_white_papers(topology_of, population_of, ports, users):
    topology = topology_of(ports=ports)
    quarter_more = msgspec.structs.replace(
        TYPES[CACHED], startup=msgspec.structs.replace(TYPES[CACHED].startup, directory=0)
    )
    assert users == (
        users_admitted(topology, population_of((1, LOADGEN)), startup=False),
        users_admitted(topology, population_of((1, ONLINE)), startup=False),
        users_admitted(topology, population_of((1, CACHED)), startup=False),
        users_admitted(topology, Population((UserGroup(1, quarter_more, MEDIUM),)), startup=True),
        users_admitted(topology, population_of((1, CACHED)), startup=True),
    )
    directory = {
        each.server: each.users for each in ceilings(topology, population_of((1, ONLINE)), startup=False)
    }
    assert directory == {"CAS1": users[1], "MBX1": users[0]}


@pytest.mark.parametrize(
    ("limits", "client", "startup", "found"),
    [
        ({"ports": "white-paper"}, CACHED, False, ("ports", "CAS1", 8_191, 65_535)),
        ({"ports": "white-paper", "scale": 0.05}, ONLINE, False, ("ports", "CAS1", 546, 3_276)),
        ({"context_handles": 60_000}, CACHED, False, ("context_handles", "MBX1", 30_000, 60_000)),
        ({"context_handles": 60_000}, ONLINE, True, ("context_handles", "MBX1", 60_000, 60_000)),
        ({"memory_mb": 61, "scale": 0.1}, CACHED, False, ("memory", "CAS1", 25, 100)),
        ({"memory_mb": 61, "scale": 0.1}, CACHED, True, ("memory", "CAS1", 16, 100)),
        ({"front_end_contexts": 400}, CACHED, False, ("front_end_contexts", "CAS1", 50, 400)),
        ({"front_end_contexts": 400}, ONLINE, False, ("front_end_contexts", "CAS1", 66, 400)),
        ({"nspi_sessions_per_user": 1}, CACHED, True, ("nspi_sessions", "GC1", 0, 1)),
        ({"mapi_sessions_per_user": 1, "scale": 9}, CACHED, False, ("mapi_sessions", "MBX1", 0, 1)),
    ],
)
def test_each_limit_stops_users_where_it_must(topology_of, population_of, limits, client, startup, found):
    ceiling = first(topology_of(**limits), population_of((1, client)), startup=startup)
    assert (ceiling.limit, ceiling.server, ceiling.users, ceiling.of) == found
    assert ceiling.limit in LIMITS


def test_a_reverse_proxy_runs_out_of_its_pool(topology_of, population_of):
    """20,000 connections of 12.5 kB in 250 MB (rsimpson)."""
    topology = topology_of(servers={"reverse_proxy": 2}, sources={"reverse_proxy": 3}, ports=8_000)
    found = {
        each.limit: each for each in reversed(ceilings(topology, population_of((1, CACHED)), startup=False))
    }
    assert (found["nonpaged_pool"].server, found["nonpaged_pool"].of) == ("ISA1", 20_000)
    assert found["nonpaged_pool"].users == 2 * 2_500
    of_proxy = next(
        each
        for each in ceilings(topology, population_of((1, CACHED)), startup=False)
        if each.role == "reverse_proxy" and each.limit == "ports"
    )
    assert (of_proxy.users, of_proxy.of) == (2 * 3_000, 24_000)


@pytest.mark.parametrize("limits", [{}, {"nspi_sessions_per_user": 50, "mapi_sessions_per_user": 32}])
def test_nobody_is_stopped_by_what_is_without_end_or_enough(topology_of, population_of, limits):
    topology = topology_of(**limits)
    assert ceilings(topology, population_of((1, CACHED)), startup=True) == ()
    assert users_admitted(topology, population_of((1, CACHED)), startup=True) is None


def test_who_needs_nothing_is_not_stopped(topology_of, population_of):
    found = ceilings(topology_of(ports=100), population_of((1, LOADGEN)), startup=True)
    assert [each.server for each in found] == ["CAS1"]


def test_referral_to_a_global_catalog_takes_the_ports_of_dsproxy_out(topology_of, population_of):
    topology = topology_of(ports=1_000)
    direct = msgspec.structs.replace(
        topology, referral=msgspec.structs.replace(topology.referral, directory="global-catalog")
    )
    assert [each.server for each in ceilings(direct, population_of((1, CACHED)), startup=False)] == ["CAS1"]


def test_of_limits_that_stop_the_same_user_the_first_met_is_named(topology_of, population_of):
    """80 ports are full with 10 users, and the 11th opens his directory connection before his mail."""
    topology = topology_of(ports=80, context_handles=20)
    both = ceilings(topology, population_of((1, CACHED)), startup=False)
    assert [(each.limit, each.server, each.users) for each in both[:2]] == [
        ("ports", "CAS1", 10),
        ("context_handles", "MBX1", 10),
    ]
    topology = topology_of(ports=86, context_handles=20)  # six ports are left: directory and two of mail
    both = ceilings(topology, population_of((1, CACHED)), startup=False)
    assert [each.limit for each in both[:2]] == ["context_handles", "ports"]


def test_a_server_may_never_meet_who_needs_it(topology_of, population_of):
    """Whom the order always deals to other servers takes nothing here, however long one waits."""
    topology = topology_of(ports=100, servers={"mailbox": 4})
    found = ceilings(topology, population_of((1, LOADGEN), (1, ONLINE)), startup=False)
    assert {each.server for each in found} < {"CAS1", "MBX1", "MBX2", "MBX3", "MBX4"}
    assert found[0].server == "CAS1"


def test_limits_and_their_presets_are_spelt_alike_everywhere():
    names = {meter.limit for meter in meters(read_topology("small"))}
    assert names | {"request_queue", "worker_recycling"} == set(LIMITS)
    assert PORT_RANGES["white-paper"] == 65_535


def one_after_the_other(topology: Topology, population: Population, most: int, *, startup: bool) -> int:
    """Users who log on before one is refused, counted connection by connection."""
    taken: Counter[tuple[str, str]] = Counter()
    sizes = [group.users for group in population.groups]
    larger = tuple(msgspec.structs.replace(group, users=group.users * most) for group in population.groups)
    order = Population(larger, mixed=True)
    assert sum(sizes) * most == order.users
    for user in range(most):
        virtual = virtual_connections(order.group_of(user).client, starting=startup)
        for meter in meters(topology):
            if topology.servers(meter.role) and not meter.per_user:
                servers = topology.servers(meter.role)
                server = servers[user % len(servers)]
                taken[meter.limit, server.name] += sum(
                    meter.needs.get(purpose, 0) * virtual[purpose] for purpose in OPENING_ORDER
                )
                of = meter.of(topology, server)
                if of and taken[meter.limit, server.name] > of:
                    return user
    return most


@given(
    ports=st.integers(1, 400),
    handles=st.integers(0, 60),
    shares=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    cas=st.integers(1, 3),
    mailbox=st.integers(1, 4),
    startup=st.booleans(),
)
def test_ceilings_are_those_of_users_who_log_on_one_by_one(ports, handles, shares, cas, mailbox, startup):
    topology = read_topology("small", (f"limits.ports={ports}", f"limits.context_handles={handles}"))
    topology = topology.with_servers("client_access", cas).with_servers("mailbox", mailbox)
    names = (CACHED, LOADGEN, ONLINE)
    population = Population(
        tuple(UserGroup(users, TYPES[name], MEDIUM) for users, name in zip(shares, names, strict=False))
    )
    admitted = users_admitted(topology, population, startup=startup)
    assert admitted == one_after_the_other(topology, population, 700, startup=startup)
