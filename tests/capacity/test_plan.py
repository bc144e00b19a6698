"""Plans: every figure of the literature, and the sums that hold for any population."""

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadgen.capacity import plan_text
from loadgen.capacity.ceilings import users_admitted
from loadgen.capacity.needed import needed
from loadgen.capacity.per_server import Pair
from loadgen.capacity.plan import first_limit, make_plan, with_loadgens_clients
from loadgen.client.client_type import ClientType
from loadgen.measure.columns import COLUMNS
from loadgen.workload import library
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.connection_model import as_loadgen
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import read_topology

from .conftest import CACHED, INSIDE, LOADGEN, ONLINE

WHITE_PAPER = read_topology("white-paper")
TYPES = {name: library.read("client", name, ClientType) for name in (CACHED, ONLINE, LOADGEN)}
MEDIUM = library.read("message", "medium", MessageProfile)


def server(plan, name):
    return next(each for each in plan.servers if each.name == name)


def uses(plan, name):
    return {use.limit: (use.steady, use.startup, use.of) for use in server(plan, name).uses}


def test_ten_thousand_users_of_the_white_paper(population_of):
    plan = make_plan(WHITE_PAPER, population_of((10_000, CACHED)))
    assert plan.connections["cas_total"] == Pair(80_000, 120_000)
    assert plan.as_loadgen.connections == as_loadgen(10_000)
    assert tuple(plan.connections) == COLUMNS
    assert uses(plan, "CAS1") == {
        "front_end_contexts": (80_000, 120_000, None),
        "memory": (40_000, 60_000, None),
        "ports": (80_000, 120_000, 65_535),
    }
    assert uses(plan, "MBX1") == {
        "ports": (20_000, 40_000, 65_535),
        "context_handles": (20_000, 20_000, 60_000),
        "mapi_sessions": (2, 2, 32),
    }
    assert uses(plan, "GC1") == {"nspi_sessions": (1, 2, 50)}
    assert server(plan, "MBX1").connections["mailbox_total"] == Pair(60_000, 100_000)
    assert server(plan, "GC1").connections == {"directory": Pair(20_000, 40_000)}


@pytest.mark.parametrize(
    ("client", "factor", "users"), [(CACHED, 4, 8_191), (ONLINE, 3, 10_922), (LOADGEN, 1, 32_767)]
)
def test_loadgen_overstates_by_what_it_does_not_open(population_of, client, factor, users):
    plan = make_plan(WHITE_PAPER, population_of((7, client)), startup=False)
    found = first_limit(plan)
    assert (found.limit, found.server, found.users) == ("ports", "CAS1", users)
    assert plan.as_loadgen.first_limit.users == 32_767
    assert plan.as_loadgen.factor == pytest.approx(factor, rel=1e-3)


def test_costs_of_each_type_once(population_of):
    plan = make_plan(WHITE_PAPER, population_of((3, CACHED), (4, LOADGEN), (5, CACHED, "heavy")))
    cached, loadgen = plan.costs
    assert (cached.client, cached.users, loadgen.client, loadgen.users) == (CACHED, 8, LOADGEN, 4)
    assert cached.per_address == {"steady": 8_191, "+25 %": 6_553, "+50 %": 5_461, "startup": 5_461}
    assert (cached.per_dsproxy_address, cached.per_store, cached.per_store_with_public_folders) == (
        *(32_767, 30_000),
        20_000,
    )
    assert (cached.memory_kb, loadgen.memory_kb) == (Pair(244, 366), Pair(61, 61))
    assert (loadgen.per_dsproxy_address, loadgen.per_store_with_public_folders) == (None, 60_000)
    [without] = make_plan(read_topology("small"), population_of((3, CACHED))).costs
    assert (without.per_address, without.per_store, without.per_dsproxy_address) == ({}, None, None)


def test_nothing_stops_users_where_nothing_is_limited(population_of):
    plan = make_plan(read_topology("small"), population_of((3, CACHED)))
    assert first_limit(plan) is None
    assert (plan.as_loadgen.first_limit, plan.as_loadgen.factor) == (None, None)


def test_where_nobody_comes_in_loadgen_has_no_factor(population_of, topology_of):
    plan = make_plan(topology_of(ports=7), population_of((3, CACHED)))
    assert first_limit(plan).users == 0
    assert plan.as_loadgen.first_limit.users == 3
    assert plan.as_loadgen.factor is None


@pytest.mark.parametrize(
    ("limits", "spread_s", "expected"),
    [
        ({"request_queue": 1_000}, 90.0, (40_000, 444.4, 0, 1_000, 0)),
        ({"request_queue": 1_000}, 0.0, (40_000, 40_000.0, 40_000, 1_000, 39_000)),
        ({"request_queue": 10_000}, 0.0, (40_000, 40_000.0, 40_000, 10_000, 30_000)),
        ({"request_queue": 1_000, "requests_per_s": 400}, 90.0, (40_000, 444.4, 4_000, 1_000, 3_000)),
        ({"request_queue": 10_000, "requests_per_s": 400}, 90.0, (40_000, 444.4, 4_000, 10_000, 0)),
        ({"request_queue": 1_000, "requests_per_s": 500}, 90.0, (40_000, 444.4, 0, 1_000, 0)),
        ({}, 90.0, (40_000, 444.4, 0, None, 0)),
    ],
)
def test_users_who_come_back_fill_the_request_queue(topology_of, population_of, limits, spread_s, expected):
    """5,000 users in 90 s are 444 connections a second, or 40 queues at once."""
    plan = make_plan(topology_of(**limits), population_of((5_000, CACHED)), startup=False, spread_s=spread_s)
    [found] = plan.reconnect
    assert (found.connections, found.per_s, found.queue_peak, found.queue_of, found.refused) == expected


def test_ports_in_time_wait(topology_of, population_of):
    population = population_of((100, CACHED))
    held = make_plan(topology_of(time_wait_s=240, ports=2_000), population)
    assert [each.time_wait_ports for each in held.servers] == [400, 200, 0, 0]
    assert held.reconnect[0].ports_with_time_wait == 800 + 1_200
    free = make_plan(topology_of(ports=2_000), population)
    assert [each.time_wait_ports for each in free.servers] == [0, 0, 0, 0]
    assert free.reconnect[0].ports_with_time_wait == 1_200


@pytest.mark.parametrize(
    ("users", "startup", "connections", "by_division", "by_kb951764"),
    [(12_500, False, 100_000, 2, 4), (15_000, False, 120_000, 2, 4), (5_000, True, 60_000, 1, 2)],
)
def test_source_addresses_by_both_formulas(
    population_of, users, startup, connections, by_division, by_kb951764
):
    plan = make_plan(WHITE_PAPER, population_of((users, CACHED)), startup=startup)
    [found] = plan.addresses
    assert (found.connections, found.by_division, found.by_kb951764) == (
        connections,
        by_division,
        by_kb951764,
    )
    assert (found.source_addresses, found.ports, found.by_limit) == (1, 65_535, by_division)


def test_source_addresses_by_the_ports_that_there_are(topology_of, population_of):
    population = population_of((500, CACHED))
    [found] = make_plan(topology_of(ports="server-2003", sources={"client_access": 3}), population).addresses
    assert (found.source_addresses, found.ports, found.by_limit, found.by_division) == (3, 3_976, 2, 1)
    [found] = make_plan(topology_of(), population).addresses
    assert (found.ports, found.by_limit) == (None, None)


def test_users_inside_the_firewall_take_nothing_of_the_client_access_server(population_of):
    plan = make_plan(WHITE_PAPER, population_of((30, INSIDE), (20, CACHED)))
    assert (server(plan, "CAS1").users, server(plan, "MBX1").users) == (20, 50)
    assert plan.pings_per_s == pytest.approx(20 * 4 / 60, abs=0.01)
    text = " ".join(text_of(make_plan(WHITE_PAPER, population_of((30, INSIDE)))).split())
    assert f"{INSIDE} is inside the firewall: 4 TCP connections straight to the servers, 6 at" in text
    assert f"Over Outlook Anywhere it is {CACHED}." in text
    assert "CAS1: no connections to servers behind it." in text
    assert "CAS1: nobody comes through it." in text
    assert "GB of memory" not in text


@pytest.mark.parametrize(
    ("limits", "wanted", "servers", "addresses"),
    [
        ({"ports": 60_000}, 5_000, (1, 1, 1, 1), (1, 1)),
        ({"ports": 60_000}, 5_001, (2, 1, 1, 1), (2, 1)),
        ({"ports": 60_000}, 15_001, (4, 2, 1, 1), (4, 2)),
        ({"ports": 1_000}, 1_001, (13, 5, 1, 1), (13, 5)),
        ({"context_handles": 100}, 201, (1, 5, 3, 1), (1, 1)),
        ({"nspi_sessions_per_user": 1}, 10, (1, 1, 1, None), (1, 1)),
        ({"ports": 11}, 10, (None, 5, 1, 1), (11, 4)),
        ({}, 10**6, (1, 1, 1, 1), (1, 1)),
    ],
)
def test_the_smallest_numbers_for_wanted_users(
    topology_of, population_of, limits, wanted, servers, addresses
):
    plan = make_plan(topology_of(**limits), population_of((1, CACHED)), for_users=wanted)
    assert plan.needed.users == wanted
    assert tuple(plan.needed.servers.values()) == servers
    assert tuple(plan.needed.source_addresses.values()) == addresses


@given(
    shares=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    wanted=st.integers(1, 60),
    ports=st.integers(12, 200),
    handles=st.integers(2, 40),
)
def test_smallest_numbers_suffice_and_fewer_do_not(shares, wanted, ports, handles):
    topology = read_topology("small", (f"limits.ports={ports}", f"limits.context_handles={handles}"))
    mix = Population(
        tuple(
            UserGroup(users, TYPES[name], MEDIUM)
            for users, name in zip(shares, (CACHED, LOADGEN, ONLINE), strict=False)
        )
    )
    found = needed(topology, mix, wanted, startup=True)
    enough = topology
    for role, count in found.servers.items():
        enough = enough.with_servers(role, count)
    of_mix = users_admitted(enough, mix, startup=True)
    assert of_mix is None or of_mix >= wanted
    for role, count in found.servers.items():
        if count > 1:
            fewer = users_admitted(enough.with_servers(role, count - 1), mix, startup=True)
            assert fewer is not None
            assert fewer < wanted


def test_several_servers_share_users_as_the_mock_deals_them_out(topology_of, population_of):
    topology = topology_of(servers={"client_access": 2, "mailbox": 3, "global_catalog": 2})
    plan = make_plan(topology, population_of((5, CACHED), (4, LOADGEN)))
    assert {each.name: each.users for each in plan.servers} == {
        "CAS1": 5,
        "CAS2": 4,
        "MBX1": 3,
        "MBX2": 3,
        "MBX3": 3,
        "PF1": 9,
        "GC1": 6,
        "GC2": 3,
    }
    for column, name in (("cas_total", "CAS"), ("mailbox_total", "MBX"), ("directory", "GC")):
        of_all = [each.connections[column].startup for each in plan.servers if each.name.startswith(name)]
        assert sum(of_all) == plan.connections[column].startup


def test_without_public_folder_servers_nobody_is_on_one(topology_of, population_of):
    topology = msgspec.structs.replace(topology_of(), public_folders=())
    plan = make_plan(topology, population_of((5, LOADGEN)), for_users=9)
    assert "PF1" not in {each.name for each in plan.servers}
    assert "public_folders" not in plan.needed.servers


def test_referral_to_a_global_catalog(topology_of, population_of):
    topology = read_topology("white-paper", ["referral.directory=global-catalog"])
    plan = make_plan(topology, population_of((100, CACHED)), startup=False)
    assert plan.connections["cas_to_gc"] == Pair(200, 400)
    assert plan.connections["dsproxy"] == plan.connections["cas_to_dsproxy"] == Pair(0, 0)
    assert uses(plan, "MBX1")["ports"] == (0, 0, 65_535)
    assert first_limit(plan).users == 8_191


def test_loadgens_clients_keep_the_population(population_of):
    population = population_of((3, CACHED), (2, ONLINE))
    seen = with_loadgens_clients(population)
    assert seen.users == 5
    assert {group.client.connections.mail for group in seen.groups} == {1}
    assert make_plan(WHITE_PAPER, seen).connections["cas_total"] == Pair(10, 10)


@pytest.mark.parametrize(
    ("spread_s", "limits", "told"),
    [
        (90, {}, "12,000 connections within 90 s: 133/s."),
        (90, {"request_queue": 5_000}, "/s, so that none has to wait. At once they are 2.4 times what the"),
        (
            0,
            {"request_queue": 5_000},
            "at once; 12,000 have to wait, the request queue has room for 5,000: 7,000",
        ),
        (0, {"request_queue": 50_000}, "the request queue has room for 50,000: none is refused."),
    ],
)
def test_text_of_who_comes_back(topology_of, population_of, spread_s, limits, told):
    plan = make_plan(topology_of(**limits), population_of((1_000, CACHED)), spread_s=spread_s)
    assert told in " ".join(text_of(plan).split())


def text_of(plan):
    console = Console(file=io.StringIO(), width=200)
    plan_text.show(plan, console)
    return console.file.getvalue()


def test_text_says_what_json_says(population_of):
    plan = make_plan(WHITE_PAPER, population_of((10_000, CACHED)), startup=False, for_users=20_000)
    text = text_of(plan)
    assert "First: ports of CAS1, at 8,191 users." in text
    assert "As LoadGen sees them: ports of CAS1, at 32,767 users, 4 times as many." in " ".join(text.split())
    assert "10,000 users do not fit: number 8,192 is refused." in text
    assert "80,000  122.1   120,000  183.1  65,535  over" in text
    assert "over" not in text_of(make_plan(WHITE_PAPER, population_of((8_000, CACHED)), startup=False))
    assert "2.44 GB" in text
    assert "8,191 steady, 6,553 at +25 %, 5,461 at +50 %, 5,461 at start-up." in " ".join(text.split())
    assert "CAS1 has 1 address and needs 2 with 65,535 ports each for 80,000 connections." in " ".join(
        text.split()
    )
    assert "Smallest numbers for 20,000 users" in text
    assert msgspec.json.decode(msgspec.json.encode(plan))["ceilings"][0]["users"] == 8_191


def test_text_of_what_has_no_limit_or_no_room(population_of, topology_of):
    text = text_of(make_plan(read_topology("small"), population_of((1, CACHED)), spread_s=0))
    assert "No limit of this topology ever stops these users." in text
    assert "CAS1: 12 connections at once." in text
    assert "NSPI" not in text_of(make_plan(read_topology("small"), population_of((1, LOADGEN))))
    text = text_of(make_plan(topology_of(ports=7, time_wait_s=30), population_of((1, CACHED))))
    assert "1 user does not fit: number 1 is refused." in text
    assert "at 3 users." in " ".join(text.split())
    assert "then in TIME_WAIT" in text
    text = text_of(make_plan(topology_of(nspi_sessions_per_user=1), population_of((1, CACHED))))
    assert "First: NSPI sessions a user of GC1, at 0 users." in text
    text = text_of(make_plan(topology_of(ports=12), population_of((1, CACHED))))
    assert "1 user fits.\nFirst: ports of CAS1, at 1 users." in text
    direct = read_topology("small", ["referral.directory=global-catalog", "limits.ports=100"])
    assert "CAS to GC" in text_of(make_plan(direct, population_of((1, CACHED))))
