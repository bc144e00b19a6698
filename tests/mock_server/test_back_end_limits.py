"""What stores, global catalogs and DSProxy refuse, at which number, and what is free again afterwards."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from loadgen.wire import emsmdb, nspi
from loadgen.wire.pdu import BindAck, SyntaxId
from mock_server.limits.port_pool import PortPool
from mock_server.limits.table import Limits
from mock_server.roles.dsproxy import DirectoryProxyRole
from mock_server.roles.global_catalog import global_catalog_roles
from mock_server.roles.public_folders import public_folder_roles
from mock_server.roles.store import store_roles
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.nspi_use import NspiUse, user_of
from mock_server.topology_file import read_topology
from tests.mock_server.clock import until
from tests.mock_server.wire_client import Connection, VirtualConnection

OUTLOOK_2007 = (0x000C, 0x183E, 0x03E8)
TOO_MANY_OBJECTS = 0x4DE
LOGON_FAILED = 0x80040111
ROLES = {
    "mailbox": store_roles,
    "public_folders": public_folder_roles,
    "global_catalog": global_catalog_roles,
}


class Client(VirtualConnection):
    """RPC on one TCP connection of its own, as inside the firewall."""

    async def answer(self, request):
        response = await self.call(request.opnum, request.encode())
        return request.decode_response(response.stub)

    async def log_on(self, user):
        request = emsmdb.EcDoConnectExRequest(user.dn, OUTLOOK_2007)
        return await self.answer(request)

    async def open_directory(self):
        return await self.answer(nspi.NspiBindRequest(nspi.Stat()))


@asynccontextmanager
async def client_of(server, interface: SyntaxId):
    connection = await Connection.open(*server.socket)
    client = Client(connection, connection)
    try:
        assert await connection.reader.readexactly(14) == b"ncacn_http/1.0"
        assert isinstance(await client.bind(interface), BindAck)
        yield client
    finally:
        await client.close()


class Server:
    """The first server of a role, listening, with the users of its organisation."""

    def __init__(self, kind, roles, table, port, users):
        self.rpc, *self.others = roles
        self.socket = (table.address, port)
        self.users = users
        self.kind = kind

    def counter(self, name):
        return self.rpc.report().counters[name]

    def limit(self, name):
        return tuple(self.counter(f"Limit\\{name}\\{figure}") for figure in ("In Use", "Of", "Hits"))


@pytest.fixture
async def serve(servers_closed):
    """Starts a server of a role on an address of the test's own."""
    number = iter(range(1, 250))

    async def start(kind, **limits):
        changes = {"accounts.count": 40} | {key.replace("__", "."): value for key, value in limits.items()}
        topology = read_topology("small", base_address=f"127.32.{next(number)}.0", changes=changes)
        directory = topology.directory()
        table = getattr(topology, kind)[0]
        roles = ROLES[kind](topology, table, directory)
        for role in roles:
            await role.start()
        port = topology.ports.directory if kind == "global_catalog" else topology.ports.store
        return Server(kind, roles, table, port, directory.users)

    return start


@pytest.mark.parametrize("kind", ["mailbox", "public_folders"])
async def test_a_store_has_so_many_context_handles(serve, kind):
    """12 of 60,000, scaled: asynchronous handles cost nothing, and whatever way a session ends frees one."""
    server = await serve(kind, limits__context_handles=60000, limits__scale=0.0002)
    async with client_of(server, emsmdb.INTERFACE) as first, client_of(server, emsmdb.INTERFACE) as second:
        sessions = [await first.log_on(user) for user in server.users[:8]]
        sessions += [await second.log_on(user) for user in server.users[8:12]]
        assert {session.return_value for session in sessions} == {0}
        await first.answer(emsmdb.EcDoAsyncConnectExRequest(sessions[0].context_handle))
        assert server.limit("context_handles") == (12, 12, 0)
        assert server.counter("MSExchangeIS\\% Connections") == 100
        refused = await second.log_on(server.users[12])
        assert (refused.return_value, refused.context_handle) == (TOO_MANY_OBJECTS, emsmdb.NO_CONTEXT)
        assert server.limit("context_handles") == (12, 12, 1)
        await first.answer(emsmdb.EcDoDisconnectRequest(sessions[0].context_handle))
        assert (await second.log_on(server.users[12])).return_value == 0
        assert (await second.log_on(server.users[13])).return_value == TOO_MANY_OBJECTS
        first.in_channel.writer.transport.abort()
        await until(lambda: server.limit("context_handles") == (5, 12, 2))
        assert server.counter("MSExchangeIS\\User Count") == 5
        assert (await second.log_on(server.users[13])).return_value == 0
    await until(lambda: server.limit("context_handles") == (0, 12, 2))


async def test_a_user_has_so_many_mapi_sessions(serve):
    server = await serve("mailbox", limits__mapi_sessions_per_user=32, limits__scale=0.01)
    user, other = server.users[:2]
    async with client_of(server, emsmdb.INTERFACE) as client:
        sessions = [await client.log_on(user) for _ in range(32)]
        assert {session.return_value for session in sessions} == {0}
        assert (await client.log_on(user)).return_value == TOO_MANY_OBJECTS
        assert server.limit("mapi_sessions") == (32, 32, 1)
        assert (await client.log_on(other)).return_value == 0
        assert server.counter("MSExchangeIS\\User Count") == 2
        await client.answer(emsmdb.EcDoDisconnectRequest(sessions[7].context_handle))
        assert (await client.log_on(user)).return_value == 0
    await until(lambda: server.limit("mapi_sessions") == (0, 32, 1))


async def test_no_limit_refuses_and_reports_nothing(serve):
    server = await serve("mailbox")
    async with client_of(server, emsmdb.INTERFACE) as client:
        for _ in range(40):
            assert (await client.log_on(server.users[0])).return_value == 0
    assert not [name for name in server.rpc.report().counters if "Limit" in name or "% Conn" in name]


async def test_a_user_refused_for_want_of_handles_has_not_used_up_a_session(serve):
    server = await serve("mailbox", limits__context_handles=1, limits__mapi_sessions_per_user=1)
    async with client_of(server, emsmdb.INTERFACE) as client:
        first = await client.log_on(server.users[0])
        assert (await client.log_on(server.users[1])).return_value == TOO_MANY_OBJECTS
        await client.answer(emsmdb.EcDoDisconnectRequest(first.context_handle))
        assert (await client.log_on(server.users[1])).return_value == 0
        assert server.limit("mapi_sessions") == (1, 1, 0)


async def test_sessions_outlive_clients_that_vanish(serve, monkeypatch):
    """As in Gromox: what was never disconnected counts for 2,000 s, and what was does not."""
    server = await serve("mailbox", limits__context_handles=3, store__session_linger_s=2000)
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    for user in server.users[:3]:
        async with client_of(server, emsmdb.INTERFACE) as client:
            await client.log_on(user)
    async with client_of(server, emsmdb.INTERFACE) as client:
        assert (await client.log_on(server.users[3])).return_value == TOO_MANY_OBJECTS
        await until(lambda: server.rpc.connections == 1)
        assert server.limit("context_handles") == (3, 3, 1)
        ahead = 2001.0
        await until(lambda: server.limit("context_handles") == (0, 3, 1))
        session = await client.log_on(server.users[3])
        await client.answer(emsmdb.EcDoDisconnectRequest(session.context_handle))
        assert server.limit("context_handles") == (0, 3, 1)


async def test_a_client_has_so_many_directory_sessions(serve):
    """Without security nobody is named: each client stands for a user."""
    server = await serve("global_catalog", limits__nspi_sessions_per_user=50)
    async with client_of(server, nspi.INTERFACE) as client, client_of(server, nspi.INTERFACE) as other:
        sessions = [await client.open_directory() for _ in range(50)]
        assert {session.return_value for session in sessions} == {0}
        refused = await client.open_directory()
        assert (refused.return_value, refused.handle) == (LOGON_FAILED, nspi.NO_HANDLE)
        assert (await other.open_directory()).return_value == 0
        assert server.limit("nspi_sessions") == (50, 50, 1)
        assert server.counter("NTDS\\AB Client Sessions") == 51
        await client.answer(nspi.NspiUnbindRequest(sessions[0].handle))
        assert (await client.open_directory()).return_value == 0
        assert (await client.open_directory()).return_value == LOGON_FAILED
    await until(lambda: server.limit("nspi_sessions") == (0, 50, 2))
    assert server.counter("NTDS\\AB Client Sessions") == 0


async def test_directory_calls_are_counted_as_the_directory_service_does(serve):
    server = await serve("global_catalog")
    stat = nspi.Stat()
    async with client_of(server, nspi.INTERFACE) as client:
        handle = (await client.open_directory()).handle
        await client.answer(nspi.NspiResolveNamesWRequest(handle, stat, ("user00001",), None))
        for _ in range(2):
            await client.answer(nspi.NspiQueryRowsRequest(handle, stat, 5, None))
    names = ("ANR", "Browses", "Matches", "Property Reads", "Searches")
    assert [server.counter(f"NTDS\\AB {name}/sec") for name in names] == [1, 2, 0, 0, 0]


def test_a_user_is_who_security_says_he_is():
    groups = [AssociationGroup(number, client) for number, client in enumerate((b"", b"\0" * 16, b"c" * 16))]
    named = [user_of(CallContext(name, group, "GC1")) for name in ("User1", "user1") for group in groups]
    assert set(named) == {"user1"}
    assert [user_of(CallContext("", group, "GC1")) for group in groups] == ["0", "1", "63" * 16]
    use = NspiUse(sessions_per_user=2)
    assert [use.opens("user1"), use.opens("user1"), use.opens("user1"), use.opens("2")] == [1, 1, 0, 1]


async def test_dsproxy_has_so_many_ports_for_each_of_its_addresses(serve):
    """65,535 per address, scaled to 13: two addresses carry 26 connections, which are 13 users."""
    catalog = await serve("global_catalog")
    sources = ("127.32.201.1", "127.32.201.2")
    limits = Limits(ports="white-paper", scale=0.0002)
    port = catalog.socket[1]
    proxy = DirectoryProxyRole("127.32.200.1", port, ["127.32.200.2"], PortPool(limits, sources))
    seen = []

    async def accept(reader, writer):
        seen.append(writer.get_extra_info("peername")[0])
        writer.write(b"x")
        await reader.read()
        writer.close()

    def ports():
        counters = proxy.report().counters
        return tuple(counters[f"Limit\\ports\\{figure}"] for figure in ("In Use", "Of", "Hits"))

    await proxy.start()
    async with await asyncio.start_server(accept, "127.32.200.2", port):
        open_now = []
        for _ in range(26):
            open_now.append(await Connection.open("127.32.200.1", port))
            assert await open_now[-1].reader.readexactly(1) == b"x"
        assert [seen.count(source) for source in sources] == [13, 13]
        assert ports() == (26, 26, 0)
        refused = await Connection.open("127.32.200.1", port)
        assert await refused.rest() == b""
        assert ports() == (26, 26, 1)
        await open_now.pop().close()
        await until(lambda: ports() == (25, 26, 1))
        open_now.append(await Connection.open("127.32.200.1", port))
        assert await open_now[-1].reader.readexactly(1) == b"x"
        for connection in (*open_now, refused):
            connection.writer.close()
        await until(lambda: ports() == (0, 26, 1))


@pytest.mark.parametrize(("closed_by", "held"), [("client", True), ("catalog", False)])
async def test_who_closes_first_holds_the_port(serve, closed_by, held):
    proxy = DirectoryProxyRole(
        "127.32.202.1",
        6004,
        ["127.32.202.2"],
        PortPool(Limits(ports=5, time_wait_s=3600), ["127.32.202.1"]),
    )

    async def accept(reader, writer):
        if closed_by == "client":
            assert await reader.read() == b""
        writer.close()

    await proxy.start()
    async with await asyncio.start_server(accept, "127.32.202.2", 6004):
        client = await Connection.open("127.32.202.1", 6004)
        if closed_by == "client":
            client.writer.write_eof()
        assert await client.rest() == b""
        await client.close()
        await until(lambda: not proxy.report().connections["dsproxy"])
        counters = proxy.report().counters
        assert counters["Limit\\ports\\In Use"] == held


async def test_dsproxy_goes_on_to_the_next_catalog(serve):
    """One at a time: the second while the first is gone, then that one for as long as it is there."""
    first, second = "127.32.203.2", "127.32.203.3"
    proxy = DirectoryProxyRole("127.32.203.1", 6004, [first, second], PortPool(Limits(), ["127.32.203.1"]))

    def answering(name):
        async def accept(reader, writer):
            writer.write(name)
            await reader.read()
            writer.close()

        return accept

    async def asked():
        client = await Connection.open("127.32.203.1", 6004)
        said = await client.reader.read(1)
        await client.close()
        return said

    def figures():
        counters = proxy.report().counters
        return counters["Mock\\DSProxy Failovers"], counters["Mock\\DSProxy Failed Connects"]

    await proxy.start()
    assert await asked() == b""
    assert figures() == (2, 2)
    async with await asyncio.start_server(answering(b"2"), second, 6004):
        assert [await asked(), await asked()] == [b"2", b"2"]
        assert figures() == (3, 3)
        async with await asyncio.start_server(answering(b"1"), first, 6004):
            assert await asked() == b"2"
    async with await asyncio.start_server(answering(b"1"), first, 6004):
        assert await asked() == b"1"
    assert figures() == (4, 4)
