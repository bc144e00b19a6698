"""Topologies as planning sees them."""

import re

import pytest

from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.topology import ROLES, Limits, ReverseProxy, read_topology


@pytest.mark.parametrize("name", library.built_in_names("topology"))
def test_every_built_in_topology_can_be_planned(name):
    topology = read_topology(name)
    assert topology.name == name
    assert all(server.name for role in ROLES for server in topology.servers(role))


def test_changes_are_those_that_the_mock_takes(tmp_path):
    (tmp_path / "mine.toml").write_text("extends = 'white-paper'\n[limits]\nscale = 0.05\n")
    topology = read_topology(
        str(tmp_path / "mine.toml"),
        [
            "limits.context_handles=90",
            "limits.ports=server-2003",
            'mailbox.0.source_addresses=["127.0.0.1", "127.0.0.2"]',
            "http.connection_timeout_ms=240000",
            "referral.directory=global-catalog",
        ],
    )
    assert (topology.name, topology.limits.scale, topology.limits.context_handles) == ("mine", 0.05, 90)
    assert topology.limits.port_budget == 198
    assert topology.mailbox[0].sources == 2
    assert topology.client_access[0].sources == 1
    assert topology.http.connection_timeout_ms == 240_000
    assert topology.referral.directory == "global-catalog"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("limits.ports", "--set limits.ports: not of the form key=value"),
        ("=1", "not of the form key=value"),
        ("mailbox.7.name=X", "--set mailbox.7.name: there is no such key"),
        ("mailbox.name=X", "--set mailbox.name: there is no such key"),
        ("mailbox.0=1", "--set mailbox.0: there is no such key"),
        ("title.x=1", "--set title.x: there is no such key"),
        ("limits.ports=0", "limits.ports: "),
        ("limits.scale=0", "limits.scale: expected"),
        ("limit.ports=9", "--set limit.ports=9: limit: unknown key (did you mean limits?); allowed: dialect"),
        ("ports=server-2003", "--set ports=server-2003: ports: expected a table"),
        ("http.framin=plain", "http.framin: unknown key (did you mean framing?); allowed: port, framing"),
        (
            "client_access.0.nme=X",
            "client_access[0].nme: unknown key (did you mean name?); allowed: address, name",
        ),
        ("global_catalog.0.source_addresses=[]", "global_catalog[0].source_addresses: unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(change, problem):
    with pytest.raises(ProfileError, match=re.escape(problem)):
        read_topology("small", [change])


@pytest.mark.parametrize(
    ("number", "scale", "scaled"),
    [(65_535, 0.05, 3_276), (100, 0.29, 29), (3, 0.1, 1), (0, 5.0, 0), (60_000, 1.0, 60_000)],
)
def test_limits_are_rounded_down_but_never_to_nothing(number, scale, scaled):
    assert Limits(scale=scale).scaled(number) == scaled


def test_budgets():
    assert Limits().port_budget == Limits().memory_budget == 0
    assert Limits(ports=1_234, scale=2.0).port_budget == 2_468
    assert Limits(memory_mb=1_000).memory_budget == 16_393
    assert ReverseProxy(name="ISA1").connections(Limits(scale=0.5)) == 10_000


def test_other_numbers_of_servers_and_addresses():
    topology = read_topology("default")
    more = topology.with_servers("mailbox", 3).with_servers("reverse_proxy", 1)
    assert [server.name for server in more.mailbox] == ["MBX1", "MBX2", "MBX3"]
    assert more.reverse_proxy == (ReverseProxy(name="ISA1"),)
    assert [server.name for server in more.with_servers("public_folders", 2).public_folders] == ["PF1", "PF2"]
    assert [server.sources for server in more.with_sources("mailbox", 4).mailbox] == [4, 4, 4]
    assert more.with_scale(0.5).limits.scale == 0.5
