"""The mock in one process and without sockets: proxies, one RPC server with all interfaces, a store."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from loadgen.wire.properties import PidTagBody, PidTagSubject
from mock_server.counters import RpcStatistics
from mock_server.dialect import DIALECTS, DialectName
from mock_server.directory import Directory, Organisation
from mock_server.mailboxes.mail import LocalTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.message import MessageContent
from mock_server.rpc.emsmdb import EmsmdbServer, EmsmdbSettings
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpc.nspi import nspi_interface
from mock_server.rpc.rfr import rfr_interface
from mock_server.rpch.inbound_proxy import InboundProxy
from mock_server.rpch.leg import Leg
from mock_server.rpch.outbound_proxy import OutboundProxy
from mock_server.rpch.proxy import ChannelTable, ProxyChannel, ProxySettings, ServerLeg
from mock_server.rpch.server import RpcServer, ServerSettings
from mock_server.security.http_authentication import Verdict
from mock_server.web import ChannelHead, HttpConnection

NOW = 0.0
NEW_YEAR = 0x01C72D3E00000000
PORT = 6001
PidTagMessageClass = 0x001A001F


TIMEOUT_MS: dict[DialectName, int] = {"exchange2007": 120_000, "gromox": 180_000}
SETTINGS: dict[DialectName, EmsmdbSettings] = {
    "exchange2007": EmsmdbSettings(),
    "gromox": EmsmdbSettings((15, 0, 847, 4040), session_linger_s=2000.0, manners=DIALECTS["gromox"].store),
}
"""What the topologies say."""


class _FromOne(str):
    """A name with a number: the recorded users begin with 1, those of the mock with 0."""

    __slots__ = ()

    def format(self, *, index: int) -> str:
        return super().format(index=index + 1)


RECORDED = Organisation(
    domain="example.test",
    organisation="Gromox default",
    administrative_group="Exchange Administrative Group (FYDIBOHF23SPDLT)",
    alias=_FromOne("u{index:03d}"),
    display_name=_FromOne("Test User u{index:03d}"),
)


class ClientConnection:
    """A TCP connection of the client: ``said`` grows with what the mock says on it."""

    def __init__(self, http: HttpConnection) -> None:
        self.http = http
        self.channel: ProxyChannel | None = None
        self.said = bytearray()


class Mock:
    """All roles. ``channel_lifetime`` is that of OUT channels, in bytes."""

    def __init__(self, users: int, channel_lifetime: int, dialect: DialectName) -> None:
        manners = DIALECTS[dialect]
        self._manners = manners
        self.directory = Directory(replace(RECORDED, naming=manners.naming), users)
        self.store = MailboxStore("MBX1", self.directory, clock=_clock, manners=manners.store)
        self.recycles: Counter[str] = Counter()
        transport = LocalTransport()
        transport.add(self.store)
        interfaces = (
            *EmsmdbServer(self.store, transport, SETTINGS[dialect]).interfaces,
            rfr_interface(self.directory),
            nspi_interface(self.directory),
        )
        endpoint = Endpoint("MBX1", PORT, interfaces, RpcStatistics(), manners=manners.rpc)
        self._server = RpcServer(ServerSettings(), endpoint)
        self._settings = ProxySettings(
            channel_lifetime=channel_lifetime,
            connection_timeout_ms=TIMEOUT_MS[dialect],
            manners=replace(manners.proxy, recycle_early=0),
        )
        partners: dict[bytes, ProxyChannel] = {}
        self._in_channels = ChannelTable("IN", self.recycles, partners)
        self._out_channels = ChannelTable("OUT", self.recycles, partners)
        self._connections: list[ClientConnection] = []
        self._legs: list[tuple[ServerLeg, Leg]] = []

    def deliver(self, alias: str, subject: str, body: str) -> None:
        """Mail that was there before the conversation began."""
        user = self.directory.by_alias(alias)
        assert user is not None
        values = {PidTagMessageClass: "IPM.Note", PidTagSubject: subject, PidTagBody: body}
        self.store.mailbox(user).deliver(MessageContent.of(values))

    def accept(self) -> ClientConnection:
        """A new connection to the client access server, which takes any password."""
        connection = ClientConnection(
            HttpConnection(lambda value: Verdict(value and "user"), manners=self._manners.http)
        )
        self._connections.append(connection)
        return connection

    async def receive(self, connection: ClientConnection, data: bytes) -> None:
        """Bytes of the client, and all that follows from them in the organisation."""
        if connection.channel is None:
            head = connection.http.receive(data)
            assert head is not None, bytes(connection.http.output)
            connection.channel = self._open(head)
            data = connection.http.body
        connection.channel.receive_from_client(data, NOW)
        await self.settle()

    async def settle(self) -> None:
        """Let everybody speak until nobody has anything more to say."""
        quiet = 0
        while quiet < 2:
            quiet = 0 if any(list(self._turn())) else quiet + 1
            await asyncio.sleep(0)

    def _open(self, head: ChannelHead) -> ProxyChannel:
        if head.method == "RPC_IN_DATA":
            return InboundProxy(self._settings, self._in_channels, head.content_length, NOW, "192.0.2.10")
        return OutboundProxy(self._settings, self._out_channels, head.content_length, NOW)

    def _turn(self) -> Iterator[bytes]:
        """What is said in one round."""
        for connection in self._connections:
            channel = connection.channel
            if channel is None:
                continue
            if channel.wants_server:
                self._legs.append((channel.leg, self._server.accept(_nobody)))
                channel.connected()
            data = channel.data_to_client(NOW)
            connection.said += data
            yield data
        for proxys, servers in self._legs:
            up, down = proxys.data_to_send(), servers.data_to_send()
            yield up + down
            if up:
                servers.receive(up, NOW)
            if down:
                proxys.receive(down)
            if proxys.closed and not servers.closed:
                servers.lost()


def _clock() -> int:
    return NEW_YEAR


def _nobody() -> None:
    """Who is to speak is asked in turn."""
