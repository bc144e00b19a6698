"""A whole Outlook in a test: it opens connections as ever, and each ends at a scripted peer."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from loadgen.client.account import RpcProxy
from loadgen.client.client_type import ClientType
from loadgen.client.inside import Inside, TcpPorts
from loadgen.client.outlook import OutlookClient
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import BindRefused, PeerError
from loadgen.wire.pdu import SyntaxId
from loadgen.workload import library

from .scripted import ScriptedConnection, ScriptedDirectory, ScriptedReferral, make_account
from .scripted_public_store import ScriptedPublicStore
from .scripted_store import ScriptedStore

ACCOUNT = make_account(3, "MBX2", "PF1")
SECOND = make_account(8, "MBX7", "PF1")
"""Whose mailbox the user has open, too, if the client type says so."""
PROXY = RpcProxy("mail.contoso.test", 8080)
INSIDE = Inside(TcpPorts(store=6101))
OPTIONS = ConnectionOptions(call_timeout_s=77.0)
EVERYBODY = [make_account(index) for index in range(120)]
ONLINE = tuple(
    name
    for name in library.built_in_names("client")
    if library.read("client", name, ClientType).cached is None
    and library.read("client", name, ClientType).transport == "http"
)
"""Client types over HTTP whose mailbox is on the server, LoadGen's cached ones too (TechNet bb508896)."""


def client_type(name: str, **changes: Any) -> ClientType:
    return msgspec.structs.replace(library.read("client", name, ClientType), **changes)


class Network:
    """Stands in for the network: every virtual connection that a client opens ends at a scripted peer."""

    def __init__(self) -> None:
        self.mail = ScriptedStore(ACCOUNT.display_name)
        self.second = ScriptedStore(SECOND.display_name)
        self.public = ScriptedPublicStore()
        self.directory = ScriptedDirectory(EVERYBODY)
        self.referral = ScriptedReferral("GC7")
        self.opened: list[tuple[str, int, tuple[SyntaxId, ...]]] = []
        self.connections: list[ScriptedConnection] = []
        self.refused: dict[int | str, PeerError] = {}
        """By port, or by server."""
        self.unregistered: set[str] = set()
        self.on_open: Callable[[ScriptedConnection], None] = lambda connection: None

    async def open(self, proxy, server, port, interfaces, credentials, options, probe) -> ScriptedConnection:
        assert (proxy, credentials, options) == (PROXY, ACCOUNT.credentials, OPTIONS)
        await asyncio.sleep(0)
        for place in (port, server):
            if place in self.refused:
                raise self.refused[place]
        probe("connect_tcp", 1, 2)
        peer = {
            6001: {"PF1": self.public, "MBX7": self.second}.get(server, self.mail),
            6002: self.referral,
            6004: self.directory,
        }[port]
        connection = ScriptedConnection(peer, interfaces)
        if isinstance(peer, ScriptedStore):
            peer.connection = connection
        self.opened.append((server, port, tuple(interfaces)))
        self.connections.append(connection)
        self.on_open(connection)
        return connection

    async def open_inside(self, inside, server, service, *how) -> ScriptedConnection:
        assert inside == INSIDE
        port = {"store": 6001, "referral": 6002, "directory": 6004}[service]
        if service != "store":  # whose port is static
            if service in self.unregistered:
                raise BindRefused(f"the endpoint mapper has no port for {service}")
            how[-1]("map_endpoint", 0, 1)
        return await self.open(PROXY, server, port, *how)

    def connection_to(self, peer: Any) -> ScriptedConnection:
        return next(connection for connection in self.connections if connection.answer is peer)

    @property
    def ended(self) -> list[str]:
        return [connection.ended for connection in self.connections]

    @property
    def bytes(self) -> tuple[int, int]:
        sent = sum(connection.bytes_sent for connection in self.connections)
        return sent, sum(connection.bytes_received for connection in self.connections)


class Person:
    """One client on a network of its own, and what its owner heard."""

    def __init__(
        self,
        kind: str | ClientType,
        *,
        startup: bool = True,
        directory_server: str = "",
        referred: dict[int, str] | None = None,
    ) -> None:
        self.network = Network()
        self.layers: list[tuple[str, int, int]] = []
        self.heard: list[Any] = []
        self.client = OutlookClient(
            msgspec.structs.replace(ACCOUNT, directory_server=directory_server),
            client_type(kind) if isinstance(kind, str) else kind,
            PROXY,
            startup=startup,
            probe=lambda *layer: self.layers.append(layer),
            on_notify=lambda: self.heard.append("news"),
            on_public_news=lambda: self.heard.append("public news"),
            on_lost=self.heard.append,
            options=OPTIONS,
            referred=referred,
            second=SECOND,
            inside=INSIDE,
        )

    @property
    def virtual_connections(self) -> dict[str, int]:
        return dict(self.client.virtual_connections)

    def assert_totals(self) -> None:
        """All bytes of all connections are counted, and once."""
        assert (self.client.bytes_sent, self.client.bytes_received) == self.network.bytes
