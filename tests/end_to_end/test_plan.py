"""What a plan takes for granted, held against the mock: limits, servers, calls on the wire."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any, get_args

import msgspec
import pytest

from loadgen.capacity import work
from loadgen.capacity.ceilings import meters
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.outlook import OutlookClient
from loadgen.client.transport import VirtualConnection
from loadgen.measure.limits import LIMITS
from loadgen.wire import emsmdb
from loadgen.workload import topology as planned
from mock_server import topology as mock_topology
from mock_server.limits import table as served
from mock_server.topology import ReverseProxyServer
from mock_server.topology_file import built_in_names, read_topology
from tests.end_to_end.mock_organisation import MockOrganisation
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on


def test_limits_are_the_mocks():
    assert msgspec.structs.asdict(planned.Limits()) == msgspec.structs.asdict(served.Limits())
    assert {"off": 0, **planned.PORT_RANGES} == served.PORT_BUDGETS
    assert LIMITS == served.LIMIT_NAMES
    isa = {"nonpaged_pool_mb", "kb_per_connection"}
    ours, theirs = planned.ReverseProxy(name="ISA1"), ReverseProxyServer("ISA1", "127.0.0.1")
    assert {key: getattr(ours, key) for key in isa} == {key: getattr(theirs, key) for key in isa}


def test_keys_are_the_mocks():
    """So planning refuses a misspelt key of what it has no use for, too."""
    assert keys_of(planned.Topology) - {"name"} == keys_of(mock_topology.Topology)


def keys_of(table: Any, above: str = "") -> set[str]:
    """The dotted keys of a table and of the tables and lists of tables below it, in two levels."""
    found = set()
    for field in msgspec.structs.fields(table):
        found.add(f"{above}{field.encode_name}")
        for kind in () if above else tables_in(field.type):
            found |= keys_of(kind, f"{field.encode_name}.")
    return found


def tables_in(kind: Any) -> list[type[msgspec.Struct]]:
    """The tables in an annotation, in whatever they stand."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [table for part in get_args(kind) for table in tables_in(part)]


@pytest.mark.parametrize("scale", [0.003, 0.05, 0.29, 1.0, 3.0])
@pytest.mark.parametrize("ports", ["off", 7, 100, *planned.PORT_RANGES])
def test_limits_are_rounded_as_the_mock_rounds_them(ports, scale):
    keys: dict[str, Any] = {"ports": ports, "scale": scale, "memory_mb": 61, "context_handles": 60_000}
    ours, theirs = planned.Limits(**keys), served.Limits(**keys)
    assert ours.port_budget == theirs.port_budget
    assert ours.memory_budget == theirs.memory_budget
    assert ours.scaled(ours.context_handles) == theirs.scaled(theirs.context_handles)
    assert planned.ReverseProxy(name="ISA1").connections(ours) == ReverseProxyServer(
        "ISA1", "127.0.0.1"
    ).connections(theirs)


ANYWHERE = {name: kind for name, kind in CLIENT_TYPES.items() if kind.transport == "http"}


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_topologies_are_read_alike(name):
    ours, theirs = planned.read_topology(name), read_topology(name)
    for role in planned.ROLES:
        assert [(each.name, each.sources) for each in ours.servers(role)] == [
            (each.name, len(getattr(each, "source_addresses", ())) or 1) for each in getattr(theirs, role)
        ]
    assert msgspec.structs.asdict(ours.limits) == msgspec.structs.asdict(theirs.limits)
    assert ours.referral.directory == theirs.referral.directory
    assert ours.http.connection_timeout_ms == theirs.http.connection_timeout_ms
    assert ours.store.polls_max_ms == theirs.store.polls_max_ms
    assert all(meter.limit in served.LIMIT_NAMES for meter in meters(ours))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> "Calls":
    """The calls of all clients from here on."""
    return Calls(monkeypatch)


class Calls:
    """Counts calls as clients begin them; those that only wait for news come when they like, so not those."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._counted: Counter[int] = Counter()
        begin = VirtualConnection.begin

        def counting(connection: VirtualConnection, request: Any, *rest: Any) -> Any:
            if not isinstance(request, emsmdb.EcDoAsyncWaitExRequest):
                self._counted[id(connection)] += 1
            return begin(connection, request, *rest)

        monkeypatch.setattr(VirtualConnection, "begin", counting)

    async def of(self, person: Person, *work: Awaitable[Any]) -> int:
        """How many calls somebody's connections carry while work is done."""
        self._counted.clear()
        for each in work:
            await each
        return sum(self._counted[id(connection)] for connection in person.client._connections)


async def received(client: OutlookClient) -> tuple[Sequence[NewMessage], int]:
    """News, and how often they had to be asked for."""
    asked = 0
    async with asyncio.timeout(10):
        while True:
            asked += 1
            if news := await client.fetch_news():
                return news, asked
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", ANYWHERE)
async def test_calls_of_every_operation_are_those_of_the_plan(
    mock: MockOrganisation, calls: Calls, name: str
):
    kind, index = CLIENT_TYPES[name], 2 * list(ANYWHERE).index(name)
    told, on_a_copy = kind.notification == "asynchronous", kind.cached is not None
    plan = work.MAIL_CALLS[on_a_copy, told]
    person, other = (
        Person(mock, index, kind),
        Person(mock, index + 1, CLIENT_TYPES["outlook2007-online-anywhere"]),
    )
    client = person.client

    async def follow() -> None:
        if on_a_copy:
            await client.fetch_news()

    async with logged_on(other):
        try:
            of_log_on = work.calls_to_log_on(kind, startup=True)
            waits = (1 + kind.connections.public_folder) * told
            publishes = work.FIRST_PUBLISH_CALLS * (kind.public_folder.free_busy == "publish")
            assert await calls.of(person, client.log_on()) == sum(of_log_on) - waits - publishes
            await client.end_startup()
            assert await calls.of(person, client.publish_free_busy()) == publishes
            assert await calls.of(person, client.publish_free_busy()) == (
                work.PUBLISH_CALLS if publishes else 0
            )
            await client.fetch_news()
            assert await calls.of(person, client.fetch_news()) == 1

            to = (other.account, *(mock.account(each) for each in (17, 18, 19)))
            names = work.RESOLVE_CALLS * bool(kind.directory.names_resolved_per_message)
            assert await calls.of(person, client.resolve_names(to)) == names
            sent = OutgoingMessage(f"plan.{name}.0", to, 50_000)
            assert await calls.of(person, client.send_message(sent), other.news(), follow()) == plan.send

            await other.send(f"plan.{name}.1", person, size=50_000)
            arrival = asyncio.ensure_future(received(client))
            assert await calls.of(person, arrival) == plan.receive - told + arrival.result()[1] - told
            [[message], _] = arrival.result()
            key = f"plan.{name}.1"
            assert message.key == key
            assert await calls.of(person, client.read_message(message.message_id, key), follow()) == plan.read
            deletion = plan.delete - (on_a_copy and told)
            assert await calls.of(person, client.delete_message(message.message_id), follow()) == deletion

            public, directory = bool(kind.connections.public_folder), bool(kind.connections.directory)
            for _ in range(4):
                await client.post_public_folder(f"plan.{name}.2")
            assert (
                await calls.of(person, client.post_public_folder(f"plan.{name}.3"))
                == work.POST_CALLS * public
            )
            assert await calls.of(person, client.browse_public_folder()) == work.PUBLIC_BROWSE_CALLS * public
            assert await calls.of(person, client.browse_address_book()) == work.BROWSE_CALLS * directory
            await client.log_off()
        finally:
            client.abort()
