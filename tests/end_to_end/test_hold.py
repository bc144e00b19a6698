"""Idle connections last: clients of every type do nothing for several connection time-outs."""

import asyncio

import pytest

from loadgen.measure.connections import count_until_equal
from loadgen.workload.connection_model import expected
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on

HOLD_S = 270
"""More than twice the connection time-out of 120 s, the shortest that the protocol knows; less than the five
minutes after which a server ends an EcDoAsyncWaitEx that brought nothing."""
PINGS_PER_CONNECTION = range(2, 12)
PING_SIZE = 20


@pytest.mark.prove
@pytest.mark.timeout(HOLD_S + 120)
async def test_idle_connections_last(mock):
    counters = mock.counting()
    people = [Person(mock, index, client_type) for index, client_type in enumerate(CLIENT_TYPES.values())]
    steady = expected((client_type, False, 1) for client_type in CLIENT_TYPES.values())
    async with logged_on(*people):
        for person in people:
            await person.client.end_startup()
        assert (await count_until_equal(steady, counters)).is_equal
        sent_before = [person.client.bytes_sent for person in people]
        await asyncio.sleep(HOLD_S)
        assert (await count_until_equal(steady, counters)).is_equal
        for person, before in zip(people, sent_before, strict=True):
            assert person.lost == []
            sent, connections = person.client.bytes_sent - before, person.client.virtual_connections
            if person.client_type.transport == "tcp":
                assert sent == 0  # pings are the RPC proxy's
                continue
            pings, rest = divmod(sent, PING_SIZE * sum(connections.values()))
            assert rest == 0
            assert pings in PINGS_PER_CONNECTION
        await people[0].send("after the hold", *people)
        for person in people:
            (message,) = await person.news()
            await person.client.read_message(message.message_id, "after the hold")
        for person in people:
            await person.client.log_off()
            assert person.lost == []
    assert mock.counters()["roles"]["CAS1"]["Mock\\Protocol Errors"] == 0
