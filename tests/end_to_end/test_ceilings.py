"""The mock refuses the very user whom the plan names, for the limit that it names; the client knows which."""

from collections import defaultdict

import msgspec
import pytest

from loadgen.capacity.ceilings import ceilings
from loadgen.client.account import RpcProxy
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import PeerError, limits_of
from loadgen.measure.limits import CountedLimits
from loadgen.measure.server_counters import MockServerCounters
from loadgen.workload import library
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import read_topology
from tests.end_to_end.mock_organisation import running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person

CACHED, ONLINE, LOADGEN = "outlook2007-cached-anywhere", "outlook2007-online-anywhere", "loadgen-2007-online"
LIGHT = library.read("message", "light", MessageProfile)
SOURCES = "client_access.0.source_addresses=" + str([f"127.0.10.{number}" for number in range(101, 106)])
DIRECT = (
    "referral.directory=global-catalog",
    'http.valid_ports=["default", "GC1:6004", "gc1.contoso.test:6004"]',
)
"""Clients are referred past DSProxy, so its ports end nobody."""
ISA = 'reverse_proxy=[{name="ISA1", address="127.0.10.5", nonpaged_pool_mb=1.0}]'


NAMED = defaultdict(ConnectionOptions, nspi_sessions=ConnectionOptions(rpc_security="connect"))
"""How clients connect: a global catalog knows whose sessions they are only if they prove it to the server."""


@pytest.mark.parametrize(
    ("types", "startup", "changes", "limit", "server"),
    [
        ((CACHED,), False, ("limits.ports=50",), "ports", "CAS1"),
        ((CACHED,), True, ("limits.ports=50",), "ports", "CAS1"),
        ((LOADGEN,), False, ("limits.ports=white-paper", "limits.scale=0.0002"), "ports", "CAS1"),
        ((CACHED, ONLINE, LOADGEN), True, ("limits.ports=60",), "ports", "CAS1"),
        ((ONLINE,), True, ("limits.ports=17", SOURCES), "ports", "MBX1"),
        ((ONLINE,), True, ("limits.ports=17", SOURCES, *DIRECT), "ports", "CAS1"),
        ((CACHED,), False, ("limits.context_handles=9",), "context_handles", "MBX1"),
        (
            (ONLINE, CACHED),
            True,
            ("limits.context_handles=60000", "limits.scale=0.0001"),
            *("context_handles", "MBX1"),
        ),
        ((CACHED,), True, ("limits.memory_mb=1",), "memory", "CAS1"),
        (
            (ONLINE,),
            False,
            ("limits.front_end_contexts=400", "limits.scale=0.05"),
            "front_end_contexts",
            "CAS1",
        ),
        ((CACHED,), True, ("limits.nspi_sessions_per_user=1",), "nspi_sessions", "GC1"),
        ((CACHED,), False, ("limits.mapi_sessions_per_user=1",), "mapi_sessions", "MBX1"),
        ((ONLINE,), False, (ISA, "limits.scale=0.25"), "nonpaged_pool", "ISA1"),
    ],
)
async def test_users_are_refused_where_the_plan_says(tmp_path, types, startup, changes, limit, server):
    """One after the other, all that fit log on, and the next one does not."""
    topology = read_topology("small", changes)
    groups = tuple(UserGroup(1, CLIENT_TYPES[name], LIGHT) for name in types)
    first = ceilings(topology, Population(groups), startup=startup)[0]
    assert (first.limit, first.server) == (limit, server)
    times = -(-(first.users + 1) // len(groups))
    mixed = Population(tuple(msgspec.structs.replace(group, users=times) for group in groups), mixed=True)
    arguments = [word for change in changes for word in ("--set", change)]
    with running_mock(tmp_path, "small", *arguments, users=first.users + 1) as mock:
        proxy = RpcProxy(mock.organisation.cas[0].address, mock.organisation.cas[0].port)
        people = [
            Person(
                mock, user, mixed.group_of(user).client, startup=startup, proxy=proxy, options=NAMED[limit]
            )
            for user in range(first.users + 1)
        ]
        ask = CountedLimits(MockServerCounters(mock.organisation.counters_url))
        try:
            for person in people[:-1]:
                await person.client.log_on()
            assert [each for each in await ask() if each.hits] == []
            with pytest.raises(PeerError) as refused:
                await people[-1].client.log_on()
            assert limit in limits_of(refused.value)
            [hit] = [each for each in await ask() if each.hits]
            assert (hit.name, hit.server, hit.of) == (limit, server, first.of)
        finally:
            for person in people:
                person.client.abort()
