"""Thousands of channels recycled on real sockets while calls are outstanding: nothing lost or doubled."""

import asyncio
import random
import sys

import pytest

from loadgen.wire import mgmt, rts_recycling
from loadgen.wire.pdu import SyntaxId
from mock_server.counters import RECYCLE_KINDS, RpcStatistics
from mock_server.limits.port_pool import PortPool
from mock_server.limits.table import Limits
from mock_server.roles.cas import ClientAccessRole
from mock_server.roles.dsproxy import DirectoryProxyRole
from mock_server.roles.rpc_server import RpcServerRole
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.server import RpcServer, ServerSettings
from mock_server.supervisor import Supervisor
from mock_server.topology_file import read_topology
from tests.mock_server.clock import until
from tests.mock_server.recycling_client import RecyclingClient

BASE = "127.0.63.0"
ECHO = SyntaxId.of("c1b5a2f0-3d1e-4a77-9a41-1f2b3c4d5e6f", 1)
IN_LIFETIME = 12288
OUT_LIFETIME = 12288


class Organisation:
    """Client access processes, a store, and a DSProxy before a global catalog, all in this loop.

    Method 0 of every server echoes, method 1 answers when the test says so.
    """

    def __init__(self, processes, **changes):
        keys = {f"http.{key}": value for key, value in changes.items()}
        keys = {"client_access.0.processes": processes, "http.channel_lifetime": OUT_LIFETIME} | keys
        self.topology = topology = read_topology("small", base_address=BASE, changes=keys)
        self.answer_late = asyncio.Event()
        server = topology.client_access[0]
        mailbox, catalog = topology.mailbox[0].address, topology.global_catalog[0].address
        self.proxies = [
            ClientAccessRole(topology, server, topology.directory()) for _ in range(server.processes)
        ]
        self.store = self._server(mailbox, topology.ports.store, "store")
        self.catalog = self._server(catalog, topology.ports.directory, "directory")
        self.dsproxy = DirectoryProxyRole(
            mailbox, topology.ports.directory, [catalog], PortPool(Limits(), [mailbox])
        )

    def _server(self, address, port, column):
        async def late(_context, stub):
            await self.answer_late.wait()
            return stub

        interface = Interface(ECHO, {0: lambda _context, stub: stub, 1: late})
        endpoint = Endpoint("SERVER", port, (interface,), RpcStatistics())
        return RpcServerRole(RpcServer(ServerSettings(), endpoint), address, port, column, {})

    @property
    def roles(self):
        return (*self.proxies, self.store, self.catalog, self.dsproxy)

    async def client(self, port=None, **more):
        proxy = self.topology.client_access[0].address, self.topology.http.port
        port = port or self.topology.ports.store
        more = {"in_lifetime": IN_LIFETIME} | more
        return await RecyclingClient(proxy, "MBX1", port, **more).open(ECHO)

    def counted(self):
        """Connections by column, over all roles."""
        total = {}
        for role in self.roles:
            for column, count in role.report().connections.items():
                total[column] = total.get(column, 0) + count
        return {column: count for column, count in total.items() if count}

    def recycled(self, *roles):
        """Recycled channels by kind."""
        reports = [role.report().counters for role in roles]
        name = "Mock\\Recycled Channels "
        return {kind: sum(counters[name + kind] for counters in reports) for kind in RECYCLE_KINDS}

    def channels_known(self):
        """How many channels the proxies would find."""
        accesses = [proxy.access for proxy in self.proxies]
        return sum(len(access.in_channels) + len(access.out_channels) for access in accesses)

    def protocol_errors(self):
        names = "Mock\\Protocol Errors", "Mock\\RPC Faults"
        return sum(role.report().counters.get(name, 0) for role in self.roles for name in names)


@pytest.fixture
async def organisation(servers_closed):
    async def start(processes=1, **changes):
        made = Organisation(processes, **changes)
        for role in made.roles:
            await role.start()
        return made

    return start


async def talk(client, calls, seed, *, at_once=8):
    """Echoes of any size, several outstanding; every answer is the one to its call."""
    sizes = random.Random(seed)
    limit = asyncio.Semaphore(at_once)

    async def call(number):
        async with limit:
            stub = number.to_bytes(4, "little") * sizes.randint(1, 1400)
            assert (await client.call(0, stub)).stub == stub

    await asyncio.gather(*(call(number) for number in range(calls)))


def done_by(clients):
    """What the clients have seen recycled."""
    return {kind: sum(client.recycles[kind] for client in clients) for kind in RECYCLE_KINDS}


FORMS = {
    "one process": ({}, {"IN_R2", "OUT_R2"}),
    "one process as a farm": ({"simulate_farm": True}, {"IN_R1", "OUT_R1"}),
    "three processes": ({"processes": 3}, set(RECYCLE_KINDS)),
    "three processes and small windows": ({"processes": 3, "receive_window": 8192}, set(RECYCLE_KINDS)),
}


@pytest.mark.parametrize("case", FORMS)
async def test_nothing_is_lost_or_doubled(organisation, case):
    """About a thousand recycled channels in each case, while one call of each client is never answered."""
    changes, forms = FORMS[case]
    it = await organisation(**changes)
    clients = [await it.client() for _ in range(6)]
    late = [client.call(1, bytes((number,))) for number, client in enumerate(clients)]
    await asyncio.gather(*(talk(client, 250, seed) for seed, client in enumerate(clients)))
    it.answer_late.set()
    assert [answer.stub[0] for answer in await asyncio.gather(*late)] == list(range(6))
    await until(lambda: it.recycled(it.store) == done_by(clients))
    assert it.recycled(*it.proxies) == it.recycled(it.store)
    assert {kind for kind, count in it.recycled(it.store).items() if count} == forms
    assert sum(it.recycled(it.store).values()) > 900
    await until(lambda: it.counted() == {"client_to_cas": 12, "cas_to_stores": 12, "store": 12})
    assert it.protocol_errors() == 0
    for client in clients:
        await client.close()
    await until(lambda: not it.counted())
    assert it.channels_known() == 0


@pytest.mark.parametrize("changes", [{"simulate_farm": True}, {"processes": 3}])
async def test_through_dsproxy(organisation, changes):
    """A directory leg that is opened again is one more connection through DSProxy, too."""
    it = await organisation(**changes)
    client = await it.client(it.topology.ports.directory)
    await talk(client, 250, 1)
    await until(lambda: it.recycled(it.catalog) == done_by([client]))
    assert it.recycled(it.catalog)["IN_R1"] > 10
    assert it.recycled(it.catalog)["OUT_R1"] > 10
    settled = {"client_to_cas": 2, "cas_to_dsproxy": 2, "dsproxy": 2, "directory": 2}
    await until(lambda: it.counted() == settled)
    assert it.protocol_errors() == 0
    await client.close()
    await until(lambda: not it.counted())


async def test_only_one_channel_may_be_short(organisation):
    it = await organisation(channel_lifetime=1 << 30)
    client = await it.client(in_lifetime=131072)
    await talk(client, 150, 1)
    assert set(client.recycles) == {"IN_R2"}
    await client.close()


async def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(organisation):
    it = await organisation(processes=3)
    for seed in range(30):
        client = await it.client()
        talking = asyncio.ensure_future(talk(client, 250, seed))
        wanted = random.Random(seed).randint(1, 8)
        await until(lambda: client.recycles.total() >= wanted)  # noqa: B023 - awaited before the next round
        talking.cancel()
        await client.abort()
    await until(lambda: not it.counted())
    assert it.channels_known() == 0


async def test_a_successor_that_is_not_named_is_told_so(organisation):
    """The predecessor goes on."""
    it = await organisation(channel_lifetime=1 << 30)
    client = await it.client(in_lifetime=1 << 30)
    client._finish_in = lambda *_: client._in.send_rts(rts_recycling.in_r2_a5(bytes(16)))
    await client._begin_in()
    refused = client._next_in.connection
    assert (await refused.head()) == b"HTTP/1.0 503 RPC Error: 6c0"
    assert (await client.call(0, b"still there")).stub == b"still there"
    await client.close()


async def test_real_processes(monkeypatch):
    """Three processes of a client access server, of which each takes a third of what comes."""
    monkeypatch.setattr(sys, "stdin", None)
    changes = {"client_access.0.processes": 3, "http.channel_lifetime": 10240}
    topology = read_topology("small", base_address="127.0.64.0", changes=changes)
    ready = asyncio.Event()
    supervisor = Supervisor(topology, ready.set)
    task = asyncio.create_task(supervisor.run())
    await ready.wait()
    proxy = topology.client_access[0].address, topology.http.port
    clients = [
        await RecyclingClient(proxy, "MBX1", port, in_lifetime=10240).open(mgmt.INTERFACE)
        for port in (topology.ports.store, topology.ports.directory)
        for _ in range(2)
    ]
    request = mgmt.InqIfIdsRequest()
    for _ in range(60):
        calls = [client.call(request.opnum, request.encode()) for client in clients for _ in range(20)]
        answered = {answer.stub for answer in await asyncio.gather(*calls)}
        assert len(answered) == 2
    name = "Mock\\Recycled Channels "
    assert all(done_by(clients).values())
    async with asyncio.timeout(20):
        while True:
            counters = await supervisor.counters()
            seen = [
                {kind: int(counters.roles[role].get(name + kind, 0)) for kind in RECYCLE_KINDS}
                for role in ("CAS1", "MBX1", "GC1")
            ]
            behind = {kind: seen[1][kind] + seen[2][kind] for kind in RECYCLE_KINDS}
            if seen[0] == behind == done_by(clients) and counters.connections["client_to_cas"] == 8:
                break
    for role in ("CAS1", "MBX1", "GC1"):
        assert counters.roles[role]["Mock\\Protocol Errors"] == 0
    for client in clients:
        await client.close()
    task.cancel()
    await asyncio.wait([task])
