"""What a Gromox does otherwise: the parts that recorded conversations do not reach."""

from collections import Counter

import pytest
from msgspec.structs import replace

from loadgen.wire import emsmdb as wire
from loadgen.wire import rts
from loadgen.wire.extended_buffer import write_payload
from loadgen.wire.properties import PidTagDisplayName, PidTagSmtpAddress
from loadgen.wire.rop import oxcmsg
from loadgen.wire.rop.buffer import write_requests
from mock_server.dialect import DIALECTS, Dialect
from mock_server.directory import Directory, Organisation
from mock_server.mailboxes.mail import LateTransport, LocalTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.rpc.dispatch import AssociationGroup, CallContext
from mock_server.rpc.emsmdb import EmsmdbServer, EmsmdbSettings
from mock_server.rpch.inbound_proxy import InboundProxy
from mock_server.rpch.outbound_proxy import OutboundProxy
from mock_server.rpch.proxy import ChannelTable, ProxyChannel, ProxySettings, ProxyState
from tests.mock_server.proxies import CLIENT_ADDRESS, GROUP, IN, OUT, VC
from tests.mock_server.store_client import INBOX, FakeTimers, StoreClient

GROMOX = DIALECTS["gromox"]
LINGER_S = 2000.0
ROOM = 100
"""Bytes of an IN channel behind CONN/B1."""
LAST = 0x0004
"""The flag of the last RPC_HEADER_EXT, and no other."""
EMPTY_ROPS = write_payload(write_requests([], []), 0)


class Server:
    """The store of a Gromox, reached over connections that share their context handles."""

    def __init__(self) -> None:
        self.directory = Directory(Organisation(servers=("GROMOX",), naming=GROMOX.naming), 3)
        store = MailboxStore("GROMOX", self.directory, manners=GROMOX.store)
        transport = LocalTransport()
        transport.add(store)
        settings = EmsmdbSettings(session_linger_s=LINGER_S, manners=GROMOX.store)
        self.timers = FakeTimers()
        self.emsmdb = EmsmdbServer(store, transport, settings, self.timers)
        self.handles: dict[bytes, object] = {}

    def client(self, user: str = "user00001") -> StoreClient:
        """On a connection of its own."""
        client = StoreClient(self.emsmdb, self.directory.users[1].dn, "GROMOX", user)
        client.group = AssociationGroup(1, b"", self.handles, GROMOX.rpc.handle_attributes)
        client.context = CallContext(user, client.group, "GROMOX")
        return client


@pytest.fixture
def server() -> Server:
    return Server()


def rpc(client: StoreClient, handle: bytes) -> int:
    return client.call(wire.EcDoRpcExt2Request(handle, b"", 0, 0x8007)).return_value


def test_names() -> None:
    directory = Directory(
        Organisation(domain="example.test", alias="u{index:03d}", naming=GROMOX.naming), 259
    )
    user = directory.users[257]
    assert user.dn.endswith("/cn=Recipients/cn=0100000002010000-u257")
    assert directory.by_dn(user.dn.upper()) == user
    server = directory.home_server(user)
    assert server.name == server.fqdn == "75323537-4065-7861-6d70-6c6502010000@example.test"
    assert directory.server_by_store_dn(server.private_store_dn) == server
    assert directory.by_logon_name("u257") == directory.by_logon_name("U257@example.test") == user
    assert directory.by_logon_name("EXAMPLE\\u257") is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"user_dn": ""}, 0x80070005),
        ({"user_dn": "/o=Contoso/cn=nobody"}, 0x80040115),
        ({"code_page": 1200}, 0x80040111),
        ({"code_page": 65001}, 0),
    ],
)
def test_connecting(server: Server, changes: dict[str, object], code: int) -> None:
    answer = server.client().connect(**changes)
    assert answer.return_value == code
    assert (answer.context_handle[:4] == b"\2\0\0\0") is (code == 0)


def test_a_session_outlives_its_connections(server: Server) -> None:
    first = server.client()
    first.connect()
    first.group.run_down()
    second = server.client()
    server.timers.advance(LINGER_S - 1)
    assert rpc(second, first.handle) != 0x80004005
    server.timers.advance(LINGER_S - 1)
    assert server.emsmdb.sessions == 1
    server.timers.advance(1)
    assert server.emsmdb.sessions == 0
    assert rpc(second, first.handle) == 0x80004005
    assert server.handles == {}


def test_a_session_that_was_ended_does_not_end_twice(server: Server) -> None:
    client = server.client()
    client.connect()
    client.group.run_down()
    server.client().call(wire.EcDoDisconnectRequest(client.handle))
    server.timers.advance(2 * LINGER_S)
    assert server.emsmdb.sessions == 0


@pytest.mark.parametrize(("column", "code"), [(PidTagDisplayName, 0x80070057), (PidTagSmtpAddress, 0)])
def test_recipient_columns(server: Server, column: int, code: int) -> None:
    client = server.client()
    client.connect()
    client.log_on()
    created = oxcmsg.RopCreateMessageRequest(0, 0, 1, oxcmsg.LOGON_CODE_PAGE, INBOX)
    message = client.open(created, client.logon)
    modify = oxcmsg.RopModifyRecipientsRequest(0, 0, (column,), ())
    assert client.one(modify, message).return_value == code


def test_answers_are_plain_and_the_auxiliary_buffer_is_fixed(server: Server) -> None:
    client = server.client()
    answer = client.connect()
    assert (answer.dn_prefix, len(answer.aux_out)) == ("", 36)
    raw = client.call(wire.EcDoRpcExt2Request(client.handle, EMPTY_ROPS, 0, 0x8007))
    assert int.from_bytes(raw.rgb_out[2:4], "little") == LAST


def test_mail_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered: list[tuple[str, object]] = []
    timers = FakeTimers()
    monkeypatch.setattr("mock_server.mailboxes.mail.asyncio.get_running_loop", lambda: timers)

    class Transport:
        def send(self, server: str, envelope: object) -> None:
            delivered.append((server, envelope))

    LateTransport(Transport(), GROMOX.store.delivery_s).send("GROMOX", "mail")
    timers.advance(0.9)
    assert delivered == []
    timers.advance(0.1)
    assert delivered == [("GROMOX", "mail")]


class Channels:
    """Both channels of one virtual connection in one process."""

    def __init__(self, keepalive_ms: int = 0) -> None:
        manners = GROMOX.proxy
        settings = ProxySettings(
            connection_timeout_ms=180_000, manners=manners, timeout_reply=GROMOX.http.timeout_reply
        )
        partners: dict[bytes, ProxyChannel] = {}
        recycles: Counter[str] = Counter()
        in_channels = ChannelTable("IN", recycles, partners)
        self.out = OutboundProxy(settings, ChannelTable("OUT", recycles, partners), 76, 0.0)
        self.out.receive_from_client(rts.conn_a1(VC, OUT, 32768).encode(), 0.0)
        self.out.connected()
        b1 = rts.conn_b1(VC, IN, 1 << 30, keepalive_ms, GROUP).encode()
        self.inbound = InboundProxy(settings, in_channels, len(b1) + ROOM, 0.0, CLIENT_ADDRESS)
        self.inbound.receive_from_client(b1, 0.0)
        self.inbound.connected()
        self.inbound.leg.receive(rts.conn_b3(65536).encode())
        self.out.leg.receive(rts.conn_c1(65536, 180_000).encode())
        self.said = self.out.data_to_client(0.0)


def test_the_client_hears_its_own_window() -> None:
    assert Channels().said.endswith(rts.conn_c2(32768, 180_000).encode())


@pytest.mark.parametrize(
    ("keepalive_ms", "interval_s"), [(0, 150.0), (1000, 30.0), (60_000, 30.0), (200_000, 100.0)]
)
def test_pings_come_at_half_of_what_the_client_wants(keepalive_ms: int, interval_s: float) -> None:
    channels = Channels(keepalive_ms)
    assert channels.out.next_timeout() == interval_s
    channels.out.handle_timer(interval_s)
    assert channels.out.data_to_client(interval_s) == rts.ping().encode()


def test_a_later_wish_counts_as_long_as_there_is_an_in_channel() -> None:
    channels = Channels()
    channels.inbound.receive_from_client(rts.keep_alive(120_000).encode(), 1.0)
    assert channels.out.next_timeout() == 60.0
    channels.inbound.close()
    assert channels.out.next_timeout() == 150.0


def test_bytes_beyond_the_content_length_are_dropped() -> None:
    channels = Channels()
    ping = rts.ping().encode()
    channels.inbound.receive_from_client(ping * (ROOM // len(ping)) + b"not a PDU at all", 1.0)
    assert channels.inbound.state is ProxyState.OPEN


def test_a_silent_in_channel_is_told_so_and_closed() -> None:
    channels = Channels()
    channels.inbound.handle_timer(179.0)
    assert channels.inbound.state is ProxyState.OPEN
    channels.inbound.handle_timer(180.0)
    assert channels.inbound.data_to_client(180.0).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert (channels.inbound.state, channels.inbound.refused) == (ProxyState.CLOSED, True)


def test_refusals_are_silent() -> None:
    channels = Channels()
    channels.inbound.fail(0x6C0)
    assert channels.inbound.data_to_client(0.0) == b""
    assert not channels.inbound.refused


@pytest.mark.parametrize(("lifetime", "told"), [(1 << 30, (1 << 30) - (64 << 20)), (131_072, 65_536)])
def test_the_end_of_an_out_channel_is_near_64_mib_before(lifetime: int, told: int) -> None:
    settings = ProxySettings(channel_lifetime=lifetime, manners=GROMOX.proxy)
    assert settings.lifetime_for_server == told
    assert replace(settings, manners=DIALECTS["exchange2007"].proxy).lifetime_for_server == lifetime


def test_exchange_is_the_default() -> None:
    assert DIALECTS["exchange2007"] == Dialect()
