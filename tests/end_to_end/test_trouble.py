"""Peers that die, fall silent, are slow or talk rubbish: clients say so, and nothing is left behind."""

import asyncio
import os
import re
import signal
import socket
import time
import urllib.request
from itertools import product

import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.transport import ConnectionOptions, open_virtual_connection
from loadgen.errors import ConnectionLost, RemoteProtocolError, TimedOut, TransportError
from loadgen.wire import nspi, rts
from loadgen.wire.http import RPC_IN_DATA, RPC_OUT_DATA, ChannelRequest, basic_authorization
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on
from tests.end_to_end.relay import relay_to

OUTLOOK_2007 = CLIENT_TYPES["outlook2007-online-anywhere"]
OUTLOOK_2003 = CLIENT_TYPES["outlook2003-online-anywhere"]
LOADGEN_2007 = CLIENT_TYPES["loadgen-2007-online"]
PATIENCE_S = 10.0
COOKIE = bytes(range(16))
WINDOWS = 2 * 65_536 + 1_000
"""Bytes: the client's and the proxy's, and the RTS PDUs, which count in neither."""


@pytest.fixture(autouse=True)
def idle(request):
    """Whatever a test did to the shared organisation, nothing of it is left open at any hop."""
    yield
    if "mock" in request.fixturenames:
        request.getfixturevalue("mock").wait_until_idle()


async def test_a_mailbox_server_dies(tmp_path):
    """With one server the whole mock ends; clients are told once for each connection, and what it was."""
    with running_mock(tmp_path, fatal=True) as mock:
        people = [Person(mock, 0, OUTLOOK_2007), Person(mock, 1, OUTLOOK_2003)]
        async with logged_on(*people):
            for person in people:
                await person.client.end_startup()
            os.kill(mock.role_process("MBX1"), signal.SIGKILL)
            for person in people:
                await person.until_lost(3)
                assert dict(person.client.virtual_connections) == {}
            for person, server in zip(people, ("MBX1", "MBX2"), strict=True):
                assert {type(error) for error in person.lost} == {ConnectionLost}
                said = [re.fullmatch(r"(\S+) \((\S+)\): .*(IN|OUT) channel.*", str(e)) for e in person.lost]
                assert {(match[1], match[2]) for match in said if match} == {
                    (f"{mock.host}:{mock.port}", peer)
                    for peer in (f"{server}:6001", f"{server.lower()}.contoso.test:6004", "PF1:6001")
                }
                with pytest.raises(ConnectionLost, match=f"{server}:6001"):
                    await person.client.fetch_news()
        assert mock.process.wait(PATIENCE_S) == 1
        assert mock.complaints() == "mock_server: MBX1 ended with status -9\n"


async def test_a_global_catalog_that_the_profile_remembers_is_gone(tmp_path):
    """User 1 was referred to the second one; the referral service begins with the first."""
    with running_mock(tmp_path, "direct-gc-referral", users=2) as mock:
        person = Person(mock, 1, OUTLOOK_2007, startup=False)
        assert person.account.directory_server == "gc2.contoso.test"
        stop = urllib.request.Request(f"{mock.organisation.counters_url}/servers/GC2/stop", method="POST")
        await asyncio.to_thread(lambda: urllib.request.urlopen(stop, timeout=PATIENCE_S).close())
        async with logged_on(person):
            assert person.layers.count("refer") == 1
            assert mock.connections()["cas_to_gc"] == 2
            await person.send("one", person)
        await asyncio.to_thread(mock.wait_until_idle)


@pytest.mark.parametrize("piece", [13, 1000])
async def test_streams_may_come_in_pieces(mock, piece):
    async with relay_to(mock, piece=piece) as relay:
        people = [Person(mock, index, OUTLOOK_2007, proxy=relay.proxy) for index in (0, 1)]
        async with logged_on(*people):
            sender, reader = people
            await sender.send("piecemeal", reader, size=3_000)
            (message,) = await reader.news()
            await reader.client.read_message(message.message_id, "piecemeal")
            for person in people:
                await person.client.log_off()
                assert person.lost == []


@pytest.mark.parametrize(("method", "reset"), [*product((RPC_IN_DATA, RPC_OUT_DATA), (False, True))])
async def test_one_channel_is_cut(mock, method, reset):
    """The other channel of the virtual connection goes with it, at all hops; other connections stay."""
    async with relay_to(mock) as relay:
        person = Person(mock, 0, OUTLOOK_2007, proxy=relay.proxy, startup=False)
        async with logged_on(person):
            assert dict(person.client.virtual_connections) == {"directory": 1, "mail": 1, "public_folder": 1}
            before = mock.connections()
            relay.cut(method, number=1, reset=reset)
            await person.until_lost(1)
            assert dict(person.client.virtual_connections) == {"directory": 1, "public_folder": 1}
            (error,) = person.lost
            assert isinstance(error, ConnectionLost)
            channel = method.removeprefix("RPC_").removesuffix("_DATA")
            assert re.search(rf"\(MBX1:6001\): .*{channel} channel", str(error))
            await wait_for(mock, before | {"client_to_cas": 4, "cas_to_stores": 2, "store": 0})
            await person.client.browse_address_book()
            with pytest.raises(ConnectionLost):
                await person.client.fetch_news()


async def wait_for(mock: MockOrganisation, connections: dict[str, int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while mock.connections() != connections:
        assert time.monotonic() < deadline, f"{mock.connections()} instead of {connections}"
        await asyncio.sleep(0.02)


async def test_a_silent_network_times_calls_out_and_no_more(mock):
    """What comes after its caller gave up is dropped, and the connection works on."""
    options = ConnectionOptions(call_timeout_s=0.3)
    async with relay_to(mock) as relay:
        person = Person(mock, 0, LOADGEN_2007, proxy=relay.proxy, options=options)
        async with logged_on(person):
            relay.hold()
            with pytest.raises(TimedOut, match="no answer to a call in time"):
                await person.client.fetch_news()
            relay.resume()
            assert person.lost == []
            assert dict(person.client.virtual_connections) == {"mail": 1}
            await person.send("after the silence", person)
            (message,) = await person.news()
            await person.client.read_message(message.message_id, "after the silence")


async def test_a_network_that_is_silent_from_the_start(mock):
    options = ConnectionOptions(establishment_timeout_s=0.3)
    async with relay_to(mock) as relay:
        relay.hold()
        person = Person(mock, 0, LOADGEN_2007, proxy=relay.proxy, options=options)
        with pytest.raises(TimedOut, match=r"\(MBX1:6001\)"):
            async with logged_on(person):
                pass


async def test_a_network_that_stands_still_at_times(mock):
    """A megabyte comes in many pieces, and is whole."""
    async with relay_to(mock) as relay:
        sender = Person(mock, 0, OUTLOOK_2007)
        reader = Person(mock, 1, LOADGEN_2007, proxy=relay.proxy)
        async with logged_on(sender, reader):
            await sender.send("a large one", reader, size=1_000_000)
            (message,) = await reader.news()
            reading = asyncio.create_task(reader.client.read_message(message.message_id, "a large one"))
            for _ in range(20):
                relay.hold()
                await asyncio.sleep(0.01)
                relay.resume()
                await asyncio.sleep(0)
            await reading


async def test_a_receiver_that_takes_nothing_is_not_flooded(mock):
    """Answers stay with the server that made them, but for what the windows of client and proxy hold."""
    calls, account = 200, mock.account(0)
    async with relay_to(mock) as relay:
        connection = await open_virtual_connection(
            relay.proxy, "MBX1", 6004, [nspi.INTERFACE], account.credentials
        )
        bound = await connection.call(nspi.NspiBindRequest(nspi.Stat()))
        browse = nspi.NspiQueryRowsRequest(bound.handle, nspi.Stat(), 20)
        browsed_before, passed_before = browsed_and_passed(mock)
        relay.hold(answers_only=True)
        answers = [connection.begin(browse) for _ in range(calls)]
        browsed = passed = last = -1
        async with asyncio.timeout(PATIENCE_S):
            while browsed < calls or passed != last:
                await asyncio.sleep(0.05)
                last = passed
                browsed, passed = browsed_and_passed(mock)
                browsed, passed = browsed - browsed_before, passed - passed_before
        relay.resume()
        stubs = await asyncio.gather(*answers)
        await connection.close()
    assert 0 < passed <= WINDOWS < sum(map(len, stubs)) / 3
    assert len(set(stubs)) == 1


def browsed_and_passed(mock: MockOrganisation) -> tuple[int, int]:
    """Calls that read the address book, and bytes that the client access server took of servers."""
    roles = mock.counters()["roles"]
    passed = roles["CAS1"]["RPC/HTTP Proxy\\Total Incoming Bandwidth from Back-End"]
    return round(roles["GC1"]["NTDS\\AB Browses/sec"]), round(passed)


async def test_nobody_listens(mock):
    person = Person(mock, 0, LOADGEN_2007, proxy=RpcProxy(mock.host, 1))
    with pytest.raises(TransportError, match=rf"{mock.host}:1 \(MBX1:6001\): Connection refused"):
        async with logged_on(person):
            pass


async def test_something_else_listens(mock):
    """The store's own port greets with a banner that is no HTTP."""
    store = mock.organisation.servers["MBX1"]
    person = Person(mock, 0, LOADGEN_2007, proxy=RpcProxy(store.address, store.ports["store"]))
    with pytest.raises((RemoteProtocolError, ConnectionLost), match=r"\(MBX1:6001\)"):
        async with logged_on(person):
            pass


def out_request(mock: MockOrganisation) -> bytes:
    account = mock.account(0)
    authorization = basic_authorization(account.user, account.password)
    request = ChannelRequest(RPC_OUT_DATA, "MBX1", 6001, 76, mock.host, authorization)
    return request.encode()


RUBBISH = {
    "nothing": lambda mock: b"",
    "no HTTP": lambda mock: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "half a head": lambda mock: b"RPC_IN_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1\r\nHo",
    "an endless head": lambda mock: (
        b"RPC_IN_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1\r\nA: " + b"a" * 70_000
    ),
    "a lone OUT channel": out_request,
    "CONN/A1 and no more": lambda mock: out_request(mock) + rts.conn_a1(COOKIE, COOKIE, 65536).encode(),
    "half of CONN/A1": lambda mock: out_request(mock) + rts.conn_a1(COOKIE, COOKIE, 65536).encode()[:40],
    "no PDU": lambda mock: out_request(mock) + b"x" * 76,
    "CONN/B1 on an OUT channel": lambda mock: (
        out_request(mock) + rts.conn_b1(COOKIE, COOKIE, 1 << 30, 300_000, COOKIE).encode()
    ),
}


@pytest.mark.parametrize("name", RUBBISH)
@pytest.mark.parametrize("port", ["http", "store", "referral", "directory"])
async def test_rubbish_leaves_nothing_behind(mock, name, port):
    server = mock.organisation.servers["MBX1"]
    address = (mock.host, mock.port) if port == "http" else (server.address, server.ports[port])
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        connection.sendall(RUBBISH[name](mock))
    mock.wait_until_idle()
    person = Person(mock, 0, LOADGEN_2007)
    async with logged_on(person):
        await person.client.log_off()
