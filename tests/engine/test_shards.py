import pickle

import msgspec
import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.dialect import Dialect
from loadgen.client.organisation import Organisation
from loadgen.engine.shards import SPARE_DESCRIPTORS, Machine, cut, require
from loadgen.engine.target import Target
from loadgen.errors import ProfileError
from loadgen.workload.campaign import Campaign

MACHINE = Machine(cores=4, descriptors=20_000, ports=28_232)
ORGANISATION = Organisation.decode(
    b"""{"cas": [{"name": "CAS1", "address": "127.0.10.1", "port": 18080}], "servers": {},
         "counters_url": "http://127.0.10.250:18090",
         "accounts": {"count": 9, "domain": "contoso.test", "organisation": "Contoso",
         "administrative_group": "AG",
         "alias": "user{index:05d}", "display_name": "User {index:05d}", "password": "x",
         "servers": ["MBX1", "MBX2"], "public_servers": ["PF1"]}}""",
    "test",
)
TARGET = Target(
    name="test",
    proxies=(RpcProxy("127.0.10.1", 18080),),
    accounts=ORGANISATION,
    counters={},
    dialect=Dialect(),
)


@pytest.mark.parametrize(
    ("users", "campaign", "machine", "workers", "descriptors", "ports"),
    [
        # mail, directory and referral are three virtual connections, six TCP connections
        (100, {}, {}, 1, 600 + SPARE_DESCRIPTORS, 600),
        (100, {"startup": "off"}, {}, 1, 400 + SPARE_DESCRIPTORS, 400),
        (1_200, {}, {}, 3, 2_400 + SPARE_DESCRIPTORS, 7_200),
        (4_000, {}, {}, 4, 6_000 + SPARE_DESCRIPTORS, 24_000),
        (4_000, {}, {"cores": 1}, 2, 12_000 + SPARE_DESCRIPTORS, 24_000),
        (4_000, {"workers": 8}, {}, 8, 3_000 + SPARE_DESCRIPTORS, 24_000),
        (3, {"workers": 8}, {}, 3, 6 + SPARE_DESCRIPTORS, 18),
    ],
)
def test_workers_follow_cores_users_and_descriptors(
    population_of, users, campaign, machine, workers, descriptors, ports
):
    machine = msgspec.structs.replace(MACHINE, **machine)
    needed = require(Campaign(**campaign), population_of(users), 1, 1, machine)
    assert (needed.workers, needed.descriptors, needed.ports) == (workers, descriptors, ports)


def test_more_proxies_and_source_addresses_share_the_ports(population_of):
    needed = require(Campaign(), population_of(20_000), 2, 3, MACHINE)
    assert (needed.connections, needed.ports) == (120_000, 20_000)


@pytest.mark.parametrize(
    ("users", "campaign", "machine", "problem"),
    [
        (
            4_000,
            {"workers": 1},
            {},
            "workers: 1 cannot hold 24,000 connections, with 20,000 descriptors each; give at least 2",
        ),
        (5_000, {}, {}, "source_ip: 30,000 connections over 1 proxy addresses need 2 source addresses"),
        (1, {}, {"descriptors": 100}, "workers: 100 descriptors per process are too few"),
    ],
)
def test_what_the_machine_cannot_do_is_refused_with_what_would_help(
    population_of, users, campaign, machine, problem
):
    machine = msgspec.structs.replace(MACHINE, **machine)
    with pytest.raises(ProfileError) as caught:
        require(Campaign(**campaign), population_of(users), 1, 1, machine)
    assert str(caught.value).startswith(problem)


def test_requirements_are_said_in_one_line(population_of):
    assert str(require(Campaign(), population_of(100), 1, 1, MACHINE)) == (
        "100 users open 600 TCP connections at the peak; workers: 1, descriptors of each: 728 of 20,000; "
        "source addresses: 1, ports of each: 600 of 28,232"
    )


def test_users_are_dealt_out_in_turn_and_a_plan_travels(population_of):
    campaign, population = Campaign(workers=3), population_of(10)
    plans = cut(campaign, population, TARGET, (), require(campaign, population, 1, 1, MACHINE))
    assert [list(plan.users) for plan in plans] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    travelled = pickle.loads(pickle.dumps(plans[1]))
    assert (travelled.users, travelled.ports, travelled.accounts, travelled.proxies) == (
        plans[1].users,
        28_232 // 3,
        ORGANISATION,
        (RpcProxy("127.0.10.1", 18080),),
    )
    assert travelled.population.group_of(4).client == population.group_of(4).client


def test_this_machine_has_something_to_offer():
    machine = Machine.here()
    assert min(machine.cores, machine.descriptors, machine.ports) > 0


@pytest.mark.parametrize("authorised", [False, True])
def test_without_permission_clients_keep_to_this_machine(population_of, authorised):
    campaign, population = Campaign(authorised=authorised), population_of(3)
    (plan,) = cut(campaign, population, TARGET, (), require(campaign, population, 1, 1, MACHINE))
    assert plan.inside.only_here is not authorised
