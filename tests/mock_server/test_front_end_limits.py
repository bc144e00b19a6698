"""What client access servers and reverse proxies refuse or cut, at which number, and what is free then."""

import asyncio
import os
import socket
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from loadgen.wire import rts
from loadgen.wire.pdu import BindAck
from mock_server.counters import merged
from mock_server.limits.shared_cells import SharedCells, create_cells
from mock_server.roles.cas import ClientAccessRole
from mock_server.roles.reverse_proxy import ReverseProxyRole
from mock_server.topology_file import TopologySource, read_topology
from tests.mock_server.clock import Clock, turns, until
from tests.mock_server.test_roles import ECHO, echo_role
from tests.mock_server.wire_client import Connection, request_head, virtual_connection

CAS, MBX, GC, ISA = "127.31.1.1", "127.31.1.11", "127.31.1.31", "127.31.1.41"
PORT, STORE, DIRECTORY = 18080, 6001, 6004
SUCCESS = b"HTTP/1.1 200 Success"
UNAVAILABLE = b"HTTP/1.0 503 RPC Error: 6ba"
NO_MEMORY = b"HTTP/1.0 503 RPC Error: e"
QUEUE_FULL = b"HTTP/1.1 503 Service Unavailable"
FAILED = "RPC/HTTP Proxy\\Number of Failed Back-End Connection attempts per Second"
CHANNELS = count(1)


def topology(**changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return read_topology("small", base_address="127.31.1.0", changes=dotted)


def figures(role, name):
    counters = role.report().counters
    return tuple(counters[f"Limit\\{name}\\{figure}"] for figure in ("In Use", "Of", "Hits"))


@pytest.fixture
async def cas(servers_closed):
    """Starts a client access server, with a store behind it."""

    async def start(source=None, **changes):
        chosen = topology(**changes)
        role = ClientAccessRole(chosen, chosen.client_access[0], chosen.directory(), source=source)
        await role.start()
        return role

    await echo_role(MBX, STORE).start()
    return start


@pytest.fixture
async def connect():
    """Opens connections, which end with the test."""
    opened = []

    async def open_connection(address=CAS):
        opened.append(await Connection.open(address, PORT))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.writer.close()
    await turns()


@pytest.fixture
def out_channel(connect):
    """Opens OUT channels of virtual connections that are never completed: one leg each."""

    async def open_channel(server="MBX1", port=STORE, address=CAS):
        connection = await connect(address)
        cookie = next(CHANNELS).to_bytes(16, "little")
        a1 = rts.conn_a1(cookie, bytes(reversed(cookie)), 65536).encode()
        connection.send(request_head("RPC_OUT_DATA", server, port, 76) + a1)
        connection.answer = (await connection.head()).split(b"\r\n")[0]
        return connection

    return open_channel


async def open_until_refused(out_channel, refusal):
    """So many channels open; the next one is refused, and its connection ends."""
    opened = []
    while True:
        channel = await out_channel()
        if channel.answer != SUCCESS:
            assert channel.answer.startswith(refusal)
            assert (await channel.rest()).startswith(b"")
            return opened
        opened.append(channel)


@pytest.mark.parametrize(
    ("limits", "ports"),
    [({"limits__ports": 7}, 7), ({"limits__ports": "server-2003", "limits__scale": 0.005}, 19)],
)
async def test_ports_run_out_at_their_number(cas, out_channel, limits, ports):
    role = await cas(**limits)
    opened = await open_until_refused(out_channel, UNAVAILABLE)
    assert len(opened) == ports
    assert figures(role, "ports") == (ports, ports, 1)
    assert role.report().counters[FAILED] == 1
    await opened.pop().close()
    await until(lambda: figures(role, "ports")[0] == ports - 1)
    assert (await out_channel()).answer == SUCCESS
    assert figures(role, "ports") == (ports, ports, 1)


async def test_an_in_channel_needs_a_port_as_well(cas, connect, out_channel):
    await cas(limits__ports=1)
    assert (await out_channel()).answer == SUCCESS
    channel = await connect()
    b1 = rts.conn_b1(bytes(16), bytes(range(16)), 1 << 30, 300000, bytes(16)).encode()
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 1 << 30) + b1)
    assert (await channel.head()).startswith(UNAVAILABLE)


async def test_each_source_address_has_its_ports_and_its_turn(cas, out_channel):
    role = await cas(limits__ports=2, client_access__0__source_addresses=["127.0.10.2", "127.0.10.3"])
    sources = ["127.31.1.2", "127.31.1.3"]
    seen = []
    for _ in range(4):
        before = legs_from(sources)
        assert (await out_channel()).answer == SUCCESS
        seen += [source for source, legs in legs_from(sources).items() if legs > before[source]]
    assert seen == sources * 2
    assert (await out_channel()).answer.startswith(UNAVAILABLE)
    assert figures(role, "ports") == (4, 4, 1)


def legs_from(sources):
    """Established connections by source address, as the kernel knows them."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    rows = [line.split()[1:4] for line in lines[1:]]
    text = {source: socket.inet_aton(source)[::-1].hex().upper() for source in sources}
    return {
        source: sum(local.startswith(text[source]) and state == "01" for local, _, state in rows)
        for source in sources
    }


async def test_who_closes_first_holds_the_port(cas, out_channel):
    role = await cas(limits__ports=1, limits__time_wait_s=120)
    clock = Clock(asyncio.get_running_loop())
    await (await out_channel()).close()
    await until(lambda: not role.report().connections["cas_to_stores"])
    assert (await out_channel()).answer.startswith(UNAVAILABLE)
    assert figures(role, "ports") == (1, 1, 1)
    await clock.jump(121)
    assert (await out_channel()).answer == SUCCESS
    await clock.jump(901)
    await until(lambda: not role.report().connections["cas_to_stores"])
    assert figures(role, "ports")[0] == 0


async def test_memory_of_virtual_connections(cas, out_channel):
    """61 kB each, so 0.2 MB are enough for 3: each takes one half per channel."""
    role = await cas(limits__memory_mb=0.2)
    opened = await open_until_refused(out_channel, NO_MEMORY)
    assert len(opened) == 6
    assert figures(role, "memory") == (3, 3, 1)
    await opened.pop().close()
    await until(lambda: figures(role, "memory")[0] == 2.5)
    assert (await out_channel()).answer == SUCCESS


async def test_the_queue_refuses_what_it_has_no_room_for(cas, connect):
    role = await cas(limits__request_queue=3, limits__requests_per_s=0.1)
    clock = Clock(asyncio.get_running_loop())
    first, *waiting, refused = [await connect() for _ in range(5)]
    for number, connection in enumerate((first, *waiting, refused)):
        connection.send(request_head("RPC_IN_DATA", "MBX1", STORE, 4) + bytes(4))
        expected = (min(number, 3), 3, number // 4)
        await until(lambda expected=expected: figures(role, "request_queue") == expected)
        if not number:
            assert (await first.head()).startswith(SUCCESS)
    head = await refused.head()
    assert head.startswith(QUEUE_FULL)
    assert b"Server: Microsoft-HTTPAPI/2.0" in head
    assert b"The service is unavailable." in await refused.rest()
    for left, connection in zip((2, 1, 0), waiting, strict=True):
        await clock.jump(10)
        assert (await connection.head()).startswith(SUCCESS)
        assert figures(role, "request_queue") == (left, 3, 1)


async def test_requests_behind_one_that_waits_are_answered_in_their_turn(cas, connect):
    await cas(limits__request_queue=3, limits__requests_per_s=0.1)
    clock = Clock(asyncio.get_running_loop())
    connection = await connect()
    connection.send((request_head("RPC_IN_DATA", "MBX1", STORE, 4) + bytes(4)) * 3)
    for _ in range(3):
        assert (await connection.head()).startswith(SUCCESS)
        await connection.reader.readexactly(20)
        await clock.jump(10)


async def test_who_does_not_wait_is_not_served(cas, connect, out_channel):
    role = await cas(limits__request_queue=3, limits__requests_per_s=0.1)
    clock = Clock(asyncio.get_running_loop())
    (await connect()).send(request_head("RPC_IN_DATA", "MBX1", STORE, 4) + bytes(4))
    gone = await connect()
    gone.send(request_head("RPC_IN_DATA", "MBX1", STORE, 1 << 30))
    await until(lambda: figures(role, "request_queue")[0] == 1)
    await gone.close()
    await until(lambda: role.report().connections["client_to_cas"] == 1)
    await clock.jump(10)
    assert role.report().counters["RPC/HTTP Proxy\\RPC/HTTP Requests per Second"] == 0


@pytest.mark.parametrize(("own", "answer"), [(False, QUEUE_FULL), (True, SUCCESS)])
async def test_an_application_pool_of_its_own_is_not_held_up_by_others(cas, connect, own, answer):
    await cas(limits__request_queue=2, limits__requests_per_s=0.1, http__own_application_pool=own)
    for _ in range(3):
        (await connect()).send(b"GET /owa/ HTTP/1.1\r\nHost: mail\r\n\r\n")
    other = await connect()
    other.send(b"GET /owa/ HTTP/1.1\r\nHost: mail\r\n\r\n")
    assert (await other.head()).startswith(QUEUE_FULL)
    channel = await connect()
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 4) + bytes(4))
    assert (await channel.head()).startswith(answer)


async def test_an_old_worker_takes_its_connections_with_it(cas, connect):
    role = await cas(limits__recycle_after_s=50, limits__recycle_grace_s=40)
    clock = Clock(asyncio.get_running_loop())
    is_cut = False
    with suppress(ConnectionResetError):
        async with virtual_connection(CAS, PORT, "MBX1", STORE) as old:
            assert isinstance(await old.bind(ECHO), BindAck)
            await clock.jump(51)
            assert (await old.call(0, b"hello")).stub == b"hello"
            age, lifetime, hits = figures(role, "worker_recycling")
            assert age < 10
            assert (lifetime, hits) == (50, 0)
            idle = await connect()
            await clock.jump(41)
            await until(lambda: not role.report().connections["cas_to_stores"])
            assert figures(role, "worker_recycling")[2] == 2
            with pytest.raises(ConnectionResetError):
                await old.out_channel.rest()
            is_cut = True
    assert is_cut
    idle.send(request_head("RPC_IN_DATA", "MBX1", STORE, 4) + bytes(4))
    assert (await idle.head()).startswith(SUCCESS)


async def test_new_requests_go_to_the_new_worker(cas, out_channel):
    role = await cas(limits__recycle_after_s=1000)
    clock = Clock(asyncio.get_running_loop())
    await clock.jump(1001)
    channel = await out_channel()
    await clock.jump(91)
    assert figures(role, "worker_recycling")[2] == 0
    assert role.report().connections["cas_to_stores"] == 1
    await channel.close()


async def test_contexts_of_a_front_end(cas, connect):
    role = await cas(limits__front_end_contexts=400, limits__scale=0.01)
    for _ in range(4):
        await connect()
    await until(lambda: figures(role, "front_end_contexts") == (4, 4, 0))
    refused = await connect()
    assert (await refused.rest()).startswith(b"HTTP/1.1 503 L-202 Service Unavailable\r\n")
    assert figures(role, "front_end_contexts") == (4, 4, 1)


@pytest.fixture
async def isa(cas):
    """Starts a reverse proxy in front of a client access server."""

    async def start(**changes):
        chosen = {"reverse_proxy": [{"name": "ISA1", "address": "127.0.10.41", "nonpaged_pool_mb": 0.05}]}
        behind = await cas(**chosen, **changes)
        organisation = topology(**chosen, **changes)
        role = ReverseProxyRole(organisation, organisation.reverse_proxy[0])
        await role.start()
        return role, behind

    return start


async def test_the_pool_of_a_reverse_proxy(isa, connect, out_channel):
    """12.5 kB each, so 0.05 MB are enough for 4."""
    role, behind = await isa()
    opened = [await out_channel(address=ISA) for _ in range(4)]
    assert {channel.answer for channel in opened} == {SUCCESS}
    with pytest.raises(ConnectionResetError):
        await (await connect(ISA)).rest()
    assert figures(role, "nonpaged_pool") == (4, 4, 1)
    assert role.report().counters["Memory\\Pool Nonpaged Bytes"] == 50000
    assert merged((role.report(), behind.report())).connections == {
        "client_to_cas": 4,
        "cas_to_stores": 4,
        "cas_to_dsproxy": 0,
        "cas_to_referral": 0,
        "cas_to_gc": 0,
    }
    await opened.pop().close()
    await until(lambda: figures(role, "nonpaged_pool")[0] == 3)
    assert (await out_channel(address=ISA)).answer == SUCCESS


async def test_a_virtual_connection_through_a_reverse_proxy(isa):
    await isa()
    async with virtual_connection(ISA, PORT, "MBX1", STORE) as connection:
        assert isinstance(await connection.bind(ECHO), BindAck)
        assert (await connection.call(0, b"hello")).stub == b"hello"


async def test_ports_of_a_reverse_proxy(isa, connect, out_channel):
    role, _ = await isa(limits__ports=2)
    channels = [await out_channel(address=ISA) for _ in range(2)]
    with pytest.raises(ConnectionResetError):
        await (await connect(ISA)).rest()
    assert {channel.answer for channel in channels} == {SUCCESS}
    assert figures(role, "ports") == (2, 2, 1)
    assert role.report().counters["Mock\\Reverse Proxy Failed Connects"] == 1


async def test_global_catalogs_must_be_listed_by_each_name(cas, out_channel):
    await cas()
    await echo_role(GC, DIRECTORY, "directory").start()
    assert (await out_channel("GC1", DIRECTORY)).answer.startswith(UNAVAILABLE)


async def test_connections_past_dsproxy_have_a_column(cas, out_channel):
    role = await cas(http__valid_ports=["default", "GC1:6004"])
    await echo_role(GC, DIRECTORY, "directory").start()
    assert (await out_channel("gc1", DIRECTORY)).answer == SUCCESS
    assert (await out_channel("MBX1")).answer == SUCCESS
    assert (await out_channel("gc1.contoso.test", DIRECTORY)).answer.startswith(UNAVAILABLE)
    assert role.report().connections["cas_to_gc"] == 1


async def test_valid_ports_are_read_again(cas, out_channel, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "small"\n', encoding="utf-8")
    role = await cas(TopologySource(str(path), "127.31.1.0"))
    clock = Clock(asyncio.get_running_loop())
    await echo_role(GC, DIRECTORY, "directory").start()
    for text, to_gc, to_store in (
        ('[http]\nvalid_ports = ["GC1:6000-6004"]\n', SUCCESS, UNAVAILABLE),
        ("[http]\nvalid_ports = 3\n", SUCCESS, UNAVAILABLE),
        ("", UNAVAILABLE, SUCCESS),
        (
            '[[client_access]]\nname = "CAS1"\naddress = "127.0.10.1"\nvalid_ports = []\n',
            UNAVAILABLE,
            UNAVAILABLE,
        ),
    ):
        path.write_text('extends = "small"\n' + text, encoding="utf-8")
        await clock.jump(301)
        assert (await out_channel("GC1", DIRECTORY)).answer.startswith(to_gc)
        assert (await out_channel("MBX1")).answer.startswith(to_store)
    assert role.report().counters["Mock\\ValidPorts Failed Rereads"] == 1


def test_processes_count_for_themselves_and_refuse_for_all():
    descriptor = create_cells()
    first, second = (SharedCells(os.dup(descriptor), number, 2).count() for number in range(2))
    assert [first.add(3), second.add(3), second.add(3), first.add(3)] == [True, True, True, False]
    assert (first.own, second.own) == (1, 2)
    second.subtract()
    assert first.add(3)
    again = SharedCells(descriptor, 0, 2).count()
    assert (again.own, second.own) == (0, 1)
