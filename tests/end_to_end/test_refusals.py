"""A user who is refused leaves nothing behind; one with a second mailbox has what the white paper says."""

import asyncio
from collections import Counter

import msgspec
import pytest

from loadgen.client.account_source import elsewhere
from loadgen.client.outlook import OutlookClient
from loadgen.errors import MapiError, PeerError, limits_of
from loadgen.measure.connections import count_until_equal
from loadgen.measure.limits import CountedLimits
from loadgen.measure.server_counters import MockServerCounters
from loadgen.workload.connection_model import expected, virtual_connections
from tests.end_to_end.mock_organisation import running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person

ONLINE = CLIENT_TYPES["outlook2007-online-anywhere"]
CACHED = CLIENT_TYPES["outlook2007-cached-anywhere"]
LOGON_FAILED = 0x80040111


@pytest.mark.parametrize(
    ("kind", "setting", "limit", "admitted"),
    [
        (ONLINE, "limits.ports=20", "ports", 3),
        (CACHED, "limits.ports=20", "ports", 2),
        (ONLINE, "limits.memory_mb=0.43", "memory", 2),
        (ONLINE, "limits.context_handles=4", "context_handles", 4),
        (ONLINE, "limits.front_end_contexts=20", "front_end_contexts", 3),
    ],
)
async def test_refused_users_leave_nothing_open_and_the_limit_is_named(
    tmp_path, kind, setting, limit, admitted
):
    """One logs on after the other; 20 ports are enough for three users with three connections each."""
    with running_mock(tmp_path, "--set", setting) as mock:
        ask = CountedLimits(MockServerCounters(mock.organisation.counters_url))
        assert sum(each.hits for each in await ask()) == 0
        people = [Person(mock, index, kind, startup=False) for index in range(admitted + 4)]
        errors = []
        for person in people:
            try:
                await person.client.log_on()
            except PeerError as error:
                errors.append(error)
                person.client.abort()
        assert len(errors) == 4
        assert all(limit in limits_of(error) for error in errors)
        assert {each.name for each in await ask() if each.hits} == {limit}
        census = await count_until_equal(expected([(kind, False, admitted)]), mock.counting())
        assert census.counts == {"kernel": census.expected, "mock": census.expected}
        for person in people:
            await person.client.log_off() if person.client.virtual_connections else None
            person.client.abort()
        await asyncio.to_thread(mock.wait_until_idle)


@pytest.mark.parametrize("base", [ONLINE, CACHED], ids=["online", "cached"])
async def test_a_second_mailbox_costs_two_connections_at_each_hop(tmp_path, base):
    kind = msgspec.structs.replace(base, second_mailbox=1)
    with running_mock(tmp_path, "--set", "store.mailboxes=open-to-all") as mock:
        account = mock.account(0)
        client = OutlookClient(
            account,
            kind,
            mock.proxy,
            startup=False,
            probe=lambda *_: None,
            on_notify=lambda: None,
            on_lost=pytest.fail,
            second=elsewhere(mock.organisation, account),
        )
        await client.log_on()
        assert Counter(client.virtual_connections) == Counter(virtual_connections(kind, starting=False))
        census = await count_until_equal(expected([(kind, False, 1)]), mock.counting())
        assert census.counts == {"kernel": census.expected, "mock": census.expected}
        without = expected([(base, False, 1)])
        more = {column: count - without[column] for column, count in census.expected.items()}
        assert {column for column, count in more.items() if count == 2} == {
            *("client_to_cas", "cas_to_stores", "cas_total", "store", "mailbox_total")
        }
        assert sum(more.values()) == 10
        await client.log_off()
        await asyncio.to_thread(mock.wait_until_idle)


async def test_nobody_opens_the_mailbox_of_another_unless_the_topology_says_so(mock):
    kind = msgspec.structs.replace(ONLINE, second_mailbox=1)
    account = mock.account(0)
    client = OutlookClient(
        account,
        kind,
        mock.proxy,
        startup=False,
        probe=lambda *_: None,
        on_notify=lambda: None,
        on_lost=pytest.fail,
        second=elsewhere(mock.organisation, account),
    )
    with pytest.raises(MapiError) as caught:
        await client.log_on()
    assert caught.value.code == LOGON_FAILED
    client.abort()
    await asyncio.to_thread(mock.wait_until_idle)
