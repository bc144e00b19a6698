"""Clients of every type against the organisation: what they open, what they do with it, and how it ends."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from loadgen.client.client_type import ClientType
from loadgen.client.message import NewMessage
from loadgen.errors import HttpRefused, MapiError, Unauthorized, WrongAnswer
from loadgen.measure.connections import Census, count_until_equal
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on

ANYWHERE = {name: kind for name, kind in CLIENT_TYPES.items() if kind.transport == "http"}
COLUMNS = (
    "client_to_cas",
    "client_to_servers",
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_to_referral",
    "cas_to_gc",
    "cas_total",
    "store",
    "dsproxy",
    "referral",
    "mailbox_total",
    "public_store",
    "directory",
)
OUTLOOK_STARTING = dict(zip(COLUMNS, (8, 0, 4, 2, 2, 0, 8, 2, 2, 2, 6, 2, 2), strict=True))
OUTLOOK_STEADY = dict(zip(COLUMNS, (6, 0, 4, 2, 0, 0, 6, 2, 2, 0, 4, 2, 2), strict=True))
CACHED_2007_STARTING = dict(zip(COLUMNS, (12, 0, 6, 4, 2, 0, 12, 4, 4, 2, 10, 2, 4), strict=True))
CACHED_2007_STEADY = dict(zip(COLUMNS, (8, 0, 6, 2, 0, 0, 8, 4, 2, 0, 6, 2, 2), strict=True))
CACHED_2013_STARTING = dict(zip(COLUMNS, (10, 0, 4, 4, 2, 0, 10, 4, 4, 2, 10, 0, 4), strict=True))
CACHED_2013_STEADY = dict(zip(COLUMNS, (6, 0, 4, 2, 0, 0, 6, 4, 2, 0, 6, 0, 2), strict=True))
LOADGEN = dict(zip(COLUMNS, (2, 0, 2, 0, 0, 0, 2, 2, 0, 0, 2, 0, 0), strict=True))
"""TCP connections of one user, from the white paper's tables and its peaks at start-up (+33 and +50 %).

Outlook 2013 is Outlook 2007 without the public folder connection.
"""

RPC_SERVER_UNAVAILABLE = 0x6BA
NOT_FOUND = 0x8004010F
OUTLOOK_LAYERS = Counter(
    connect_tcp=4,
    http_auth=4,
    rts_establish=4,
    rpc_bind=4,
    refer=1,
    logon_mailbox=1,
    logon_public=1,
    bind_directory=1,
)
CACHED_2007_LAYERS = OUTLOOK_LAYERS + Counter(
    connect_tcp=2, http_auth=2, rts_establish=2, rpc_bind=2, bind_directory=1
)
CACHED_2013_LAYERS = CACHED_2007_LAYERS - Counter(
    connect_tcp=1, http_auth=1, rts_establish=1, rpc_bind=1, logon_public=1
)
LOADGEN_LAYERS = Counter(connect_tcp=1, http_auth=1, rts_establish=1, rpc_bind=1, logon_mailbox=1)

ONE_PROCESS = ("--set", "http.framing=plain")
SEVERAL_PROCESSES = ("--set", "http.framing=chunked", "--set", "client_access.0.processes=3")

every_type = pytest.mark.parametrize("client_type", ANYWHERE.values(), ids=ANYWHERE)


@pytest.fixture(scope="module", params=[ONE_PROCESS, SEVERAL_PROCESSES], ids=["plain", "chunked"])
def mock(request, tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path_factory.mktemp("mock"), *request.param) as started:
        yield started


@pytest.fixture(autouse=True)
def idle(mock) -> Iterator[None]:
    """Whatever a test did, nothing of it is left open at any hop."""
    yield
    mock.wait_until_idle()


class OfOneUser(NamedTuple):
    """What a user of a client type opens."""

    starting: dict[str, int]
    steady: dict[str, int]
    layers: Counter[str]


_LOADGEN = OfOneUser(LOADGEN, LOADGEN, LOADGEN_LAYERS)
_OUTLOOK = OfOneUser(OUTLOOK_STARTING, OUTLOOK_STEADY, OUTLOOK_LAYERS)
OF_ONE_USER = {
    "loadgen-2003-cached": _LOADGEN,
    "loadgen-2003-online": _LOADGEN,
    "loadgen-2007-online": _LOADGEN,
    "outlook2003-cached-anywhere": _OUTLOOK,
    "outlook2003-online-anywhere": _OUTLOOK,
    "outlook2007-cached-anywhere": OfOneUser(CACHED_2007_STARTING, CACHED_2007_STEADY, CACHED_2007_LAYERS),
    "outlook2007-online-anywhere": _OUTLOOK,
    "outlook2013-anywhere": OfOneUser(CACHED_2013_STARTING, CACHED_2013_STEADY, CACHED_2013_LAYERS),
}


def starting(client_type: ClientType) -> dict[str, int]:
    return OF_ONE_USER[client_type.name].starting


def steady(client_type: ClientType) -> dict[str, int]:
    return OF_ONE_USER[client_type.name].steady


def layers(client_type: ClientType) -> Counter[str]:
    return OF_ONE_USER[client_type.name].layers


def total(tables: list[dict[str, int]]) -> dict[str, int]:
    return {column: sum(table[column] for table in tables) for column in COLUMNS}


async def census(mock: MockOrganisation, expected: Mapping[str, int]) -> Census:
    """What the kernel and the roles count once they have had time to agree."""
    return await count_until_equal(expected, mock.counting())


def listed_by_ss(mock: MockOrganisation) -> int:
    """Connections to the client access server as another program lists them."""
    command = ["ss", "--no-header", "--tcp", "--numeric", "state", "established"]
    command += ["src", f"{mock.host}:{mock.port}"]
    return len(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


@every_type
async def test_connections_of_one_user(mock, client_type):
    person = Person(mock, 3, client_type)
    async with logged_on(person):
        during = await census(mock, starting(client_type))
        assert during.counts == {"kernel": during.expected, "mock": during.expected}
        assert 2 * sum(person.client.virtual_connections.values()) == during.expected["client_to_cas"]
        assert listed_by_ss(mock) == during.expected["client_to_cas"]
        await person.client.end_startup()
        after = await census(mock, steady(client_type))
        assert after.counts == {"kernel": after.expected, "mock": after.expected}
        assert 2 * sum(person.client.virtual_connections.values()) == after.expected["client_to_cas"]
    assert Counter(person.layers) == layers(client_type)
    assert person.lost == []


async def test_connections_without_startup(mock):
    people = [
        Person(mock, index, client_type, startup=False) for index, client_type in enumerate(ANYWHERE.values())
    ]
    async with logged_on(*people):
        counted = await census(mock, total([steady(each) for each in ANYWHERE.values()]))
        assert counted.counts == {"kernel": counted.expected, "mock": counted.expected}


async def test_connections_of_all_types_together(mock):
    types = [*ANYWHERE.values()] * 2
    people = [Person(mock, index, client_type) for index, client_type in enumerate(types)]
    async with logged_on(*people):
        peak = await census(mock, total([starting(each) for each in types]))
        assert peak.counts == {"kernel": peak.expected, "mock": peak.expected}
        await asyncio.gather(*(person.client.end_startup() for person in people))
        half = len(types) // 2
        for person in people[:half]:
            await person.client.log_off()
        rest = await census(mock, total([steady(each) for each in types[half:]]))
        assert rest.counts == {"kernel": rest.expected, "mock": rest.expected}


@pytest.mark.parametrize("size", [300, 50_000, 1_000_000])
async def test_mail_reaches_everybody_as_it_was_written(mock, size):
    """From a user of each mailbox server to users of all types on both; reading compares every byte."""
    people = [Person(mock, index, client_type) for index, client_type in enumerate(ANYWHERE.values())]
    assert {person.account.home_server for person in people} == {"MBX1", "MBX2"}
    async with logged_on(*people):
        for sender in people[:2]:
            key = f"from-{sender.account.alias}-{size}"
            others = [person for person in people if person is not sender]
            await sender.send(key, *others, size=size)
            for person in others:
                before = person.client.bytes_received
                (message,) = await person.news()
                assert message.key == key
                await person.client.read_message(message.message_id, key)
                assert person.client.bytes_received - before > size
                await person.client.delete_message(message.message_id)
        for person in people:
            await person.client.log_off()
            assert person.lost == []


@every_type
async def test_the_mailbox_remembers(mock, client_type):
    """What was sent while its owner was away, and what was deleted in an earlier session."""
    sender, reader = Person(mock, 10, client_type), Person(mock, 11, client_type)
    async with logged_on(sender, reader):
        for key in ("first", "second"):
            await sender.send(key, reader)
        arrived: list[NewMessage] = []
        while len(arrived) < 2:
            arrived += await reader.news()
        first, second = arrived
        assert (first.key, second.key) == ("first", "second")
        await reader.client.delete_message(first.message_id)
        with pytest.raises(WrongAnswer if client_type.cached else MapiError) as refusal:
            await reader.client.read_message(first.message_id, "first")
        assert client_type.cached or refusal.value.code == NOT_FOUND
        await reader.client.log_off()
        await sender.send("third", reader)
    again = Person(mock, 11, client_type)
    async with logged_on(again):
        await again.client.read_message(second.message_id, "second")
        changed = "the copy of message first is not" if client_type.cached else "first has become second"
        with pytest.raises(WrongAnswer, match=changed):
            await again.client.read_message(second.message_id, "first")
        await again.client.delete_message(second.message_id)
        await again.client.log_off()


async def test_several_recipients_of_one_mailbox_server(mock):
    sender = Person(mock, 0, CLIENT_TYPES["outlook2007-online-anywhere"])
    readers = [Person(mock, index, CLIENT_TYPES["outlook2007-online-anywhere"]) for index in (2, 4, 6, 8)]
    async with logged_on(sender, *readers):
        for number in range(5):
            await sender.send(f"round-{number}", *readers)
        for reader in readers:
            keys: list[str] = []
            while len(keys) < 5:
                for message in await reader.news():
                    keys.append(message.key)
                    await reader.client.read_message(message.message_id, message.key)
            assert keys == [f"round-{number}" for number in range(5)]


@every_type
async def test_browsing(mock, client_type):
    person = Person(mock, 7, client_type)
    async with logged_on(person):
        before = person.client.bytes_received
        await person.client.browse_address_book()
        browsed = person.client.bytes_received > before
        assert browsed == bool(client_type.connections.directory)


@pytest.mark.parametrize("disconnect", ["proper", "cut"])
@every_type
async def test_logging_off_is_no_loss(mock, client_type, disconnect):
    person = Person(mock, 5, replace(client_type, disconnect=disconnect))
    async with logged_on(person):
        await person.client.log_off()
        assert dict(person.client.virtual_connections) == {}
        counted = await census(mock, dict.fromkeys(COLUMNS, 0))
        assert counted.is_equal
    assert person.lost == []


@every_type
async def test_a_wrong_password_is_refused(mock, client_type):
    person = Person(mock, 0, client_type, account=replace(mock.account(0), password="wrong"))
    with pytest.raises(Unauthorized) as refusal:
        async with logged_on(person):
            pass
    assert refusal.value.schemes == ("Negotiate", "NTLM", "Basic")
    assert f"{mock.host}:{mock.port}" in str(refusal.value)


async def test_a_server_that_is_not_there_is_named(mock):
    person = Person(
        mock,
        0,
        CLIENT_TYPES["loadgen-2007-online"],
        account=replace(mock.account(0), home_server="NOSUCH"),
    )
    with pytest.raises(HttpRefused) as refusal:
        async with logged_on(person):
            pass
    assert (refusal.value.status, refusal.value.rpc_error) == (503, RPC_SERVER_UNAVAILABLE)
    assert "(NOSUCH:6001)" in str(refusal.value)


async def test_a_mailbox_on_the_other_server_is_refused(mock):
    account = mock.account(0)
    elsewhere = next(name for name in ("MBX1", "MBX2") if name != account.home_server)
    person = Person(
        mock, 0, CLIENT_TYPES["loadgen-2007-online"], account=replace(account, home_server=elsewhere)
    )
    with pytest.raises(MapiError):
        async with logged_on(person):
            pass
