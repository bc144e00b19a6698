"""The sockets of the roles, in one process on loopback, spoken to in bytes."""

import asyncio
import socket

import pytest

from loadgen.wire import rts
from loadgen.wire.pdu import BindAck, Fault, Request, Response, SyntaxId
from loadgen.wire.properties import PidTagSubject
from mock_server.counters import RpcStatistics
from mock_server.directory import Directory, Organisation
from mock_server.limits.port_pool import PortPool
from mock_server.limits.table import Limits
from mock_server.mailboxes.mail import Envelope
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.message import MessageContent
from mock_server.roles import mail_delivery
from mock_server.roles.cas import ClientAccessRole
from mock_server.roles.connection import connect
from mock_server.roles.dsproxy import DirectoryProxyRole, _FrontEnd
from mock_server.roles.leg_connection import LegConnection
from mock_server.roles.mail_delivery import MailDelivery, _Incoming
from mock_server.roles.relay import BackSide
from mock_server.roles.rpc_server import RpcServerRole
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.server import RpcServer, ServerSettings
from mock_server.topology_file import read_topology
from tests.mock_server.clock import Clock, turns, until
from tests.mock_server.wire_client import (
    A1,
    B1,
    IN,
    OUT,
    VC,
    Connection,
    request_head,
    virtual_connection,
)

TOPOLOGY = read_topology("small", base_address="127.0.61.0")
CAS, CAS_PORT = TOPOLOGY.client_access[0].address, TOPOLOGY.http.port
MBX, GC = TOPOLOGY.mailbox[0].address, TOPOLOGY.global_catalog[0].address
STORE, REFERRAL, DIRECTORY = TOPOLOGY.ports.store, TOPOLOGY.ports.referral, TOPOLOGY.ports.directory
ECHO = SyntaxId.of("c1b5a2f0-3d1e-4a77-9a41-1f2b3c4d5e6f", 1)
UNAVAILABLE = b"HTTP/1.0 503 RPC Error: 6ba"
NO_LIMITS = Limits()
PROTOCOL_ERROR = b"HTTP/1.0 503 RPC Error: 6c0"


@pytest.fixture
async def listening(servers_closed):
    """Starts roles."""

    async def start(role):
        await role.start()
        return role

    return start


def echo_role(address=MBX, port=STORE, column="store"):
    interface = Interface(ECHO, {0: lambda _context, stub: stub})
    endpoint = Endpoint("MBX1", port, (interface,), RpcStatistics())
    names = {"MSExchangeIS\\Connection Count": lambda server: server.virtual_connections}
    return RpcServerRole(RpcServer(ServerSettings(), endpoint), address, port, column, names)


def cas_role(topology=TOPOLOGY):
    return ClientAccessRole(topology, topology.client_access[0], topology.directory())


def dsproxy_role(*catalogs, limits=NO_LIMITS, sources=(MBX,)):
    return DirectoryProxyRole(MBX, DIRECTORY, catalogs or (GC,), PortPool(limits, sources))


def counted(role):
    return {column: count for column, count in role.report().connections.items() if count}


async def test_a_virtual_connection_from_end_to_end(listening):
    cas, store = await listening(cas_role()), await listening(echo_role())
    async with virtual_connection(CAS, CAS_PORT, "MBX1", STORE) as connection:
        assert isinstance(await connection.bind(ECHO), BindAck)
        assert (await connection.call(0, b"hello")).stub == b"hello"
        assert counted(cas) == {"client_to_cas": 2, "cas_to_stores": 2}
        assert counted(store) == {"store": 2}
        assert store.report().counters["MSExchangeIS\\Connection Count"] == 1
        for server in ("mbx1.contoso.test", "MBX1"):
            connection.in_channel.send(rts.ping().encode())
            assert (await connection.call(0, server.encode())).stub == server.encode()
    await until(lambda: not counted(cas) and not counted(store))
    assert cas.report().counters["Mock\\Protocol Errors"] == 0


async def test_far_more_than_a_window_both_ways(listening):
    await listening(cas_role())
    await listening(echo_role())
    async with virtual_connection(CAS, CAS_PORT, "MBX1", STORE) as connection:
        await connection.bind(ECHO)
        received = 60
        for call_id in range(2, 130):
            connection.in_channel.send(Request(call_id, 0, 0, bytes(4000)).encode())
            pdu = await connection.out_channel.pdu()
            if pdu[2] == 20:
                assert rts.RtsPdu.decode(pdu).names == ("FlowControlAckWithDestination",)
                pdu = await connection.out_channel.pdu()
            assert Response.decode(pdu).stub == bytes(4000)
            received += len(pdu)
            if call_id % 8 == 0:
                ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, received, 65536, OUT)
                connection.in_channel.send(ack.encode())


async def test_connections_to_servers_come_from_the_cas_itself(listening):
    await listening(cas_role())
    peers = asyncio.Queue()

    async def accept(reader, writer):
        await peers.put(writer.get_extra_info("peername")[0])
        writer.close()

    async with await asyncio.start_server(accept, MBX, STORE):
        channel = await Connection.open(CAS, CAS_PORT)
        channel.send(request_head("RPC_OUT_DATA", "MBX1", STORE, 76) + A1)
        assert await peers.get() == CAS
        await channel.rest()
        await channel.close()


@pytest.mark.parametrize("closed", ["in_channel", "out_channel"])
async def test_one_channel_closed_closes_everything(listening, closed):
    cas, store = await listening(cas_role()), await listening(echo_role())
    async with virtual_connection(CAS, CAS_PORT, "MBX1", STORE) as connection:
        other = {"in_channel": "out_channel", "out_channel": "in_channel"}[closed]
        await getattr(connection, closed).close()
        assert await getattr(connection, other).rest() == b""
    await until(lambda: not counted(cas) and not counted(store))


async def test_the_server_has_the_last_word(listening):
    """A protocol error on the association comes as a fault before both channels close."""
    cas, store = await listening(cas_role()), await listening(echo_role())
    async with virtual_connection(CAS, CAS_PORT, "MBX1", STORE) as connection:
        await connection.bind(ECHO)
        connection.in_channel.send(Request(0x80000000, 0, 0, b"").encode())
        assert isinstance(Fault.decode(await connection.out_channel.pdu()), Fault)
        assert await connection.out_channel.rest() == b""
        assert await connection.in_channel.rest() == b""
    assert store.report().counters["Mock\\Protocol Errors"] == 1
    await until(lambda: not counted(cas) and not counted(store))


@pytest.mark.parametrize(("method", "first"), [("RPC_IN_DATA", B1), ("RPC_OUT_DATA", A1)])
@pytest.mark.parametrize(("server", "port"), [("NOBODY", STORE), ("MBX1", 593), ("MBX1", STORE)])
async def test_what_cannot_be_reached_is_6ba(listening, method, first, server, port):
    """The last is a server that does not listen."""
    cas = await listening(cas_role())
    channel = await Connection.open(CAS, CAS_PORT)
    channel.send(request_head(method, server, port, 76 if method == "RPC_OUT_DATA" else 1 << 30))
    channel.send(first)
    assert (await channel.head()).split(b"\r\n")[0] == UNAVAILABLE
    assert await channel.rest() == b""
    await channel.close()
    await until(lambda: not counted(cas))
    counters = cas.report().counters
    assert counters["RPC/HTTP Proxy\\Number of Failed Back-End Connection attempts per Second"] == 1


async def test_a_broken_protocol_is_6c0(listening):
    cas = await listening(cas_role())
    for method, length in (("RPC_IN_DATA", 1 << 30), ("RPC_OUT_DATA", 76)):
        channel = await Connection.open(CAS, CAS_PORT)
        channel.send(request_head(method, "MBX1", STORE, length) + rts.ping().encode())
        assert (await channel.head()).split(b"\r\n")[0] == PROTOCOL_ERROR
        channel.send(bytes(1000))
        assert await channel.rest() == b""
        await channel.close()
    await until(lambda: not counted(cas))
    assert cas.report().counters["Mock\\Protocol Errors"] == 2


async def test_a_server_that_breaks_the_protocol_is_left(listening):
    await listening(cas_role())

    left = asyncio.Event()

    async def accept(reader, writer):
        writer.write(b"ncacn_http/1.0" + rts.ping().encode())
        await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(accept, MBX, STORE):
        channel = await Connection.open(CAS, CAS_PORT)
        channel.send(request_head("RPC_OUT_DATA", "MBX1", STORE, 76) + A1)
        assert (await channel.head()).startswith(b"HTTP/1.1 200")
        assert await channel.rest() == rts.conn_a3(120000).encode()
        await channel.close()
        await left.wait()


async def test_a_refused_client_that_goes_on_sending_still_reads_the_answer(listening):
    cas = await listening(cas_role())
    channel = await Connection.open(CAS, CAS_PORT)
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 1 << 30, "wrong") + B1)
    assert (await channel.head()).startswith(b"HTTP/1.1 401 ")
    channel.send(bytes(100000))
    assert (await channel.rest()).startswith(b"<html>")
    await channel.close()
    await until(lambda: not counted(cas))


async def test_requests_after_a_401_on_a_kept_connection(listening):
    await listening(cas_role())
    channel = await Connection.open(CAS, CAS_PORT)
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 0, "wrong"))
    assert (await channel.head()).startswith(b"HTTP/1.1 401 ")
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 4) + b"\xf8\xe8\x18\x08")
    await channel.reader.readuntil(b"</html>\r\n")
    assert (await channel.head()).startswith(b"HTTP/1.1 200 Success")
    assert await channel.pdu() == rts.echo().encode()
    await channel.close()


async def test_silent_clients_are_cut_off(listening):
    cas = await listening(cas_role())
    clock = Clock(asyncio.get_running_loop())
    silent, waiting = [await Connection.open(CAS, CAS_PORT) for _ in range(2)]
    waiting.send(request_head("RPC_OUT_DATA", "MBX1", STORE, 76))
    await until(lambda: cas.report().counters["RPC/HTTP Proxy\\RPC/HTTP Requests per Second"])
    await clock.jump(121)
    assert await silent.rest() == b""
    assert (await waiting.head()).startswith(PROTOCOL_ERROR)
    await clock.jump(6)
    await until(lambda: not counted(cas))
    for channel in (silent, waiting):
        channel.writer.close()


async def test_the_cas_pings_and_expects_pings(listening):
    cas, store = await listening(cas_role()), await listening(echo_role())
    clock = Clock(asyncio.get_running_loop())
    async with virtual_connection(CAS, CAS_PORT, "MBX1", STORE) as connection:
        await clock.jump(61)
        assert await connection.out_channel.pdu() == rts.ping().encode()
        connection.in_channel.send(rts.ping().encode())
        await connection.bind(ECHO)
        await clock.jump(61)
        assert await connection.out_channel.pdu() == rts.ping().encode()
        await clock.jump(61)
        assert (await connection.in_channel.head()) == PROTOCOL_ERROR
    await clock.jump(6)
    await until(lambda: not counted(cas) and not counted(store))


async def test_a_leg_waits_fifteen_minutes(listening):
    store = await listening(echo_role())
    clock = Clock(asyncio.get_running_loop())
    leg = await Connection.open(MBX, STORE)
    assert await leg.reader.readexactly(14) == b"ncacn_http/1.0"
    leg.send(rts.conn_a2(VC, OUT, 1 << 30, 65536).encode())
    await until(lambda: store.server.next_timeout(0.0) is not None)
    await turns()
    await clock.jump(901)
    assert await leg.rest() == b""
    await leg.close()


async def test_a_client_that_goes_while_the_cas_connects(listening):
    cas = cas_role()
    await listening(cas)
    channel = await Connection.open(CAS, CAS_PORT)
    channel.send(request_head("RPC_IN_DATA", "MBX1", STORE, 1 << 30) + B1)
    channel.writer.transport.abort()
    await until(
        lambda: cas.report().counters["Web Service(_Total)\\Connection Attempts/sec"] and not counted(cas)
    )


async def test_several_processes_share_an_address(listening):
    topology = read_topology("small", base_address="127.0.61.0", changes={"client_access.0.processes": 2})
    for _ in range(2):
        await listening(cas_role(topology))
    with pytest.raises(OSError, match="in use"):
        await cas_role().start()


async def test_dsproxy_copies_bytes_and_nothing_else(listening):
    proxy = await listening(dsproxy_role())
    catalog = await listening(echo_role(GC, DIRECTORY, "directory"))
    leg = await Connection.open(MBX, DIRECTORY)
    leg.send(rts.conn_b2(VC, IN, 65536, 120000, VC, "192.0.2.10").encode())
    assert await leg.reader.readexactly(14) == b"ncacn_http/1.0"
    assert (counted(proxy), counted(catalog)) == ({"dsproxy": 1}, {"directory": 1})
    await leg.close()
    await until(lambda: not counted(proxy) and not counted(catalog))


class Echo:
    """A server that says again what it hears, after its peer has finished."""

    def __init__(self):
        self.sources = []

    async def __call__(self, reader, writer):
        self.sources.append(writer.get_extra_info("peername")[0])
        data = await reader.read()
        writer.write(b"heard: " + data)
        writer.close()


async def test_dsproxy_passes_on_the_end_of_one_direction(listening):
    proxy = await listening(dsproxy_role())
    echo = Echo()
    async with await asyncio.start_server(echo, GC, DIRECTORY):
        client = await Connection.open(MBX, DIRECTORY)
        client.send(b"hello")
        client.writer.write_eof()
        assert await client.rest() == b"heard: hello"
        await client.close()
        await until(lambda: not counted(proxy))
    assert echo.sources == [MBX]


async def test_dsproxy_is_no_faster_than_either_side(listening):
    await listening(dsproxy_role())
    size = 32 << 20
    echo = Echo()
    async with await asyncio.start_server(echo, GC, DIRECTORY):
        client = await Connection.open(MBX, DIRECTORY)
        client.send(bytes(size))
        client.writer.write_eof()
        assert len(await client.rest()) == size + 7
        await client.close()


async def test_dsproxy_without_its_catalog(listening):
    proxy = await listening(dsproxy_role())
    client = await Connection.open(MBX, DIRECTORY)
    assert await client.rest() == b""
    await client.close()
    await until(lambda: not counted(proxy))
    assert proxy.report().counters["Mock\\DSProxy Failed Connects"] == 1


async def test_dsproxy_ends_with_its_catalog(listening):
    proxy = await listening(dsproxy_role())

    async def accept(reader, writer):
        await reader.readexactly(1)
        writer.transport.abort()

    async with await asyncio.start_server(accept, GC, DIRECTORY):
        client = await Connection.open(MBX, DIRECTORY)
        client.send(b"x")
        assert await client.rest() == b""
        await client.close()
        await until(lambda: not counted(proxy))


async def test_dsproxy_forgets_a_client_that_does_not_wait(listening):
    proxy = await listening(dsproxy_role())
    ended = asyncio.Event()

    async def accept(reader, writer):
        assert await reader.read() == b""
        ended.set()
        writer.close()

    async with await asyncio.start_server(accept, GC, DIRECTORY):
        client = await Connection.open(MBX, DIRECTORY)
        client.writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 20)
        await until(lambda: not counted(proxy))


def envelope(*recipients):
    return Envelope(recipients, MessageContent.of({PidTagSubject: "hello"}))


async def test_mail_between_servers(listening):
    directory = Directory(Organisation(servers=("MBX1", "MBX2"), public_servers=()), 4)
    addresses = {"MBX1": "127.0.61.11", "MBX2": "127.0.61.12"}
    one, two = [
        await listening(MailDelivery(MailboxStore(name, directory), addresses, TOPOLOGY.ports.delivery))
        for name in addresses
    ]
    users = directory.users
    one.send("mbx2", envelope(users[1].dn, users[3].dn))
    one.send("MBX2", envelope(users[1].dn))
    one.send("MBX1", envelope(users[0].dn))
    assert (one.delivered, one.sent) == (1, 3)
    await until(lambda: two.delivered == 3)
    one.send("MBX2", envelope(users[3].dn))
    await until(lambda: two.delivered == 4)
    assert two.report().counters["MSExchangeIS Mailbox(_Total)\\Messages Delivered"] == 4
    one._outgoing["mbx2"]._transport.close()


async def test_mail_waits_for_a_server_that_is_down(listening, monkeypatch):
    monkeypatch.setattr(mail_delivery, "_RETRY_S", 0.001)
    directory = Directory(Organisation(servers=("MBX1", "MBX2"), public_servers=()), 4)
    addresses = {"MBX1": "127.0.61.11", "MBX2": "127.0.61.12"}
    one = MailDelivery(MailboxStore("MBX1", directory), addresses, TOPOLOGY.ports.delivery)
    user = directory.users[1].dn
    one.send("MBX2", envelope(user))
    one.send("MBX2", envelope(user))
    await asyncio.sleep(0.01)
    two = await listening(MailDelivery(MailboxStore("MBX2", directory), addresses, TOPOLOGY.ports.delivery))
    await until(lambda: two.delivered == 2)
    outgoing = one._outgoing["mbx2"]
    outgoing._transport.abort()
    await until(lambda: outgoing._transport is None)
    one.send("MBX2", envelope(user))
    await until(lambda: two.delivered == 3)
    outgoing._transport.close()


async def test_connecting_leaves_no_socket_behind():
    with pytest.raises(ConnectionRefusedError):
        await connect(asyncio.Protocol, "127.0.61.99", 9, "127.0.61.1")
    with socket.socket() as taken:
        taken.bind(("127.0.61.99", 0))


def test_mail_comes_in_any_pieces():
    directory = Directory(Organisation(servers=("MBX1",), public_servers=()), 2)
    one, two = (envelope(user.dn).encode() for user in directory.users)
    data = b"".join(len(each).to_bytes(4, "little") + each for each in (one, two))
    for cut in range(len(data)):
        delivery = MailDelivery(MailboxStore("MBX1", directory), {"MBX1": "127.0.61.11"}, 2525)
        incoming = _Incoming(delivery)
        incoming.data_received(data[:cut])
        incoming.data_received(data[cut:])
        assert delivery.delivered == 2


class Transport(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self, closing=False):
        super().__init__()
        self.closing = closing
        self.aborted = False
        self.written = b""

    def is_closing(self):
        return self.closing

    def abort(self):
        self.aborted = True

    def write(self, data):
        self.written += data


async def test_a_late_connection_to_the_catalog_is_not_kept():
    role = dsproxy_role()
    role.join = lambda front: None
    front = _FrontEnd(role)
    front.connection_made(Transport(closing=True))
    back, transport = BackSide(front, PortPool(Limits(), [MBX]).take()), Transport()
    back.connection_made(transport)
    assert transport.aborted
    assert front.other is None


async def test_a_leg_that_wakes_after_its_end_says_nothing():
    server = echo_role().server
    leg = LegConnection(server.accept, server.endpoint.statistics, lambda change: None)
    transport = Transport()
    leg.connection_made(transport)
    assert transport.written == b"ncacn_http/1.0"
    leg._leg.send(b"late")
    leg.connection_lost(None)
    await turns()
    assert transport.written == b"ncacn_http/1.0"
