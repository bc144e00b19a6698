"""Calls, pings and bytes of a population."""

import msgspec
import pytest

from loadgen.capacity import work
from loadgen.capacity.plan import make_plan
from loadgen.capacity.work import Calls, Traffic
from loadgen.client.client_type import ClientType
from loadgen.workload import library
from loadgen.workload.campaign import UserGroup
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import read_topology
from loadgen.workload.white_paper import TRAFFIC

from .conftest import CACHED, LOADGEN, ONLINE

SMALL = read_topology("small")
MEDIUM = library.read("message", "medium", MessageProfile)
DAY_S = 8 * 3600.0


def client(name: str) -> ClientType:
    return library.read("client", name, ClientType)


def test_the_worked_examples_of_the_white_paper(population_of):
    """10,000 medium users for 8 hours (docs/capacity.md), Outlook Anywhere first."""
    plan = make_plan(SMALL, population_of((10_000, ONLINE)))
    assert [(each.kb_per_s, each.mbit_per_s, each.peak_mbit_per_s) for each in plan.traffic] == [
        (1_072.9, 8.58, 17.2),
        (902.8, 7.22, 14.4),
        (1_878.5, 15.03, 30.1),
        (4_243.1, 33.94, 67.9),
    ]


@pytest.mark.parametrize("row", TRAFFIC, ids=lambda row: row.name)
def test_rows_are_what_their_messages_cost(row):
    """A profile that the table has comes out alike, within 1 %, by what a single message costs."""
    for (sent, received), kb in row.of_profile.items():
        as_other = msgspec.structs.replace(
            MEDIUM, sent_per_day=sent, received_per_day=received, read_per_day=0, deleted_per_day=0
        )
        group = UserGroup(1_000, client(ONLINE), as_other)
        by_table = Traffic.of(row, [group], DAY_S).kb_per_s
        assert by_table == pytest.approx(1_000 * sum(kb) / DAY_S, abs=0.06)
        twice = msgspec.structs.replace(as_other, message_size=2 * MEDIUM.message_size)
        by_message = Traffic.of(row, [msgspec.structs.replace(group, profile=twice)], DAY_S).kb_per_s
        assert (by_message - 1_000 * row.of_day / DAY_S) / 2 + 1_000 * row.of_day / DAY_S == pytest.approx(
            by_table, rel=0.01
        )


def test_pings_follow_the_proxys_time_out_up_to_the_keepalive():
    assert work.ping_interval_s(SMALL) == 60
    assert work.pings_per_s(client(CACHED), SMALL) == pytest.approx(4 / 60)
    patient = read_topology("small", ["http.connection_timeout_ms=14400000"])
    assert work.ping_interval_s(patient) == 300


@pytest.mark.parametrize(
    ("name", "of_day"),
    [
        (ONLINE, Calls(5 * 10 + 2 * 40 + 8 * 40 + 1 * 20, 6 * 2 + 4 * 1 + 2 * 2, 10 + 3 * 2, 0)),
        (LOADGEN, Calls(5 * 10 + 2 * 40 + 8 * 40 + 1 * 20, 0, 0, 0)),
        (CACHED, Calls(9 * 10 + 9 * 40 + 5 * 40 + 6 * 20, 20, 10, 0)),
        ("outlook2003-cached-anywhere", Calls(14 * 10 + 8 * 40 + 5 * 40 + 5 * 20, 20, 10, 0)),
        ("outlook2003-online-anywhere", Calls(5 * 10 + 0 * 40 + 9 * 40 + 1 * 20, 20, 16, 0)),
    ],
)
def test_calls_of_a_medium_day(name, of_day):
    assert work.calls_per_day(client(name), MEDIUM) == of_day


def test_calls_of_who_waits_and_of_who_polls():
    assert work.calls_when_idle_per_s(client(CACHED), SMALL) == Calls(1 / 300, 1 / 300, 0, 0)
    assert work.calls_when_idle_per_s(client("outlook2003-cached-anywhere"), SMALL) == Calls(1 / 60, 0, 0, 0)


def test_calls_of_logging_on():
    assert work.calls_to_log_on(client(CACHED), startup=True) == Calls(25, 11, 8, 1)
    assert work.calls_to_log_on(client(ONLINE), startup=False) == Calls(8, 11, 4, 0)
    assert work.calls_to_log_on(client(LOADGEN), startup=True) == Calls(8, 0, 0, 0)


def test_rates_of_servers_add_up(population_of):
    plan = make_plan(SMALL.with_servers("mailbox", 2), population_of((100, ONLINE), (50, LOADGEN)))
    assert plan.rpc_per_s == pytest.approx(sum(each.rpc_per_s for each in plan.servers), abs=0.01)
    assert {each.role for each in plan.servers if each.pings_per_s} == {"client_access"}
    assert plan.pings_per_s == pytest.approx((100 * 3 + 50) / 60, abs=0.01)
    assert sum(each.log_on_rpc for each in plan.servers) == 100 * (8 + 11 + 4 + 1) + 50 * 8
