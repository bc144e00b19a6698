"""What the mock organisation consists of: the typed form of ``profiles/topology/*.toml``."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from mock_server.dialect import DIALECTS, Dialect, DialectName
from mock_server.directory import Directory, Organisation
from mock_server.faults import FaultSettings
from mock_server.limits.table import Limits
from mock_server.rpch.proxy import ProxySettings
from mock_server.rpch.server import ServerSettings
from mock_server.security.http_authentication import HttpScheme

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
ServerName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,14}$",
        description="up to 15 letters, digits and hyphens, such as MBX1",
    ),
]
Window: TypeAlias = Annotated[int, Meta(ge=8192, le=262144)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
ValidPort: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(default|[A-Za-z0-9][A-Za-z0-9.-]*:\d{1,5}(-\d{1,5})?)$",
        description="default, or a server and its ports, such as GC1:6004 or MBX1:6001-6002",
    ),
]
ValidPorts: TypeAlias = Literal["default"] | tuple[ValidPort, ...]
Version: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}\.\d{1,5}$",
        description="four numbers, such as 8.1.240.6",
    ),
]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A table that refuses keys which it doesn't know."""


class OrganisationWords(_Strict, frozen=True):
    """What distinguished names and mail addresses are made of."""

    name: str = "Contoso"
    administrative_group: str = "First Administrative Group"
    domain: str = "contoso.test"


class Accounts(_Strict, frozen=True):
    """The users; ``alias`` and ``display_name`` are format strings of ``index``, which counts from 0."""

    count: Positive = 100
    alias: str = "user{index:05d}"
    display_name: str = "User {index:05d}"
    password: str = "Passw0rd!"  # noqa: S105 - of users who exist nowhere else


class HttpSettings(_Strict, frozen=True):
    """What all client access servers have in common; sizes in bytes.

    Real channels live for 131,072 bytes and more; shorter ones are for tests of recycling, and must leave
    room for a fragment beside what is kept for RTS PDUs. With ``simulate_farm`` a process treats its own
    channels as another's when it looks for a predecessor, so that all recycling takes the R1 form.

    ``valid_ports`` is where clients may go, as in the registry of an RPC proxy: ``name:port`` or
    ``name:low-high``, for each NetBIOS and each full name; "default", alone or among others, stands for all
    mailbox and public folder servers. Changes in the topology's file are taken up every
    ``valid_ports_reread_s``. With ``own_application_pool`` requests for other applications neither fill
    RPC's request queue nor wait in it.

    With ``tls`` the port speaks nothing else, under ``certificate`` and ``key`` (PEM files), or under those
    that the mock makes when it starts. ``client_ca`` (PEM) is who may have signed the client certificate
    that ``/rpcwithcert/`` demands; without it that path is like any other. ``tls_key_log`` is a file for
    those who record conversations and want to read them.
    """

    port: Port = 18080
    framing: Literal["plain", "chunked"] = "plain"
    receive_window: Window = 65536
    channel_lifetime: Annotated[int, Meta(ge=10240, le=0x80000000)] = 1 << 30
    simulate_farm: bool = False
    connection_timeout_ms: Annotated[int, Meta(ge=120000, le=14400000)] = 120000
    valid_ports: ValidPorts = "default"
    valid_ports_reread_s: Annotated[float, Meta(gt=0)] = 300.0
    own_application_pool: bool = False
    tls: bool = False
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    tls_maximum: Literal["1.2", "1.3"] = "1.3"
    tls_key_log: str = ""


class RpcSettings(_Strict, frozen=True):
    """What all RPC servers have in common; sizes in bytes."""

    receive_window: Window = 65536
    banner: bool = True

    @property
    def server(self) -> ServerSettings:
        """What the server role announces."""
        return ServerSettings(self.receive_window, self.banner)


class SecuritySettings(_Strict, frozen=True):
    """Who has to prove what: ``http`` says how clients may log on at the client access servers.

    Calls below the level ``rpc_minimum`` are refused, but for remote management. ``header_signing`` is what
    servers say to clients that offer it; with NTLM headers are signed whatever they agree on. ``expired`` are
    the users, by index, whose password has expired.
    """

    http: Annotated[tuple[HttpScheme, ...], Meta(min_length=1)] = ("basic", "ntlm", "negotiate")
    rpc_minimum: Literal["none", "connect", "integrity", "privacy"] = "none"
    header_signing: bool = True
    expired: tuple[Annotated[int, Meta(ge=0)], ...] = ()


class StoreSettings(_Strict, frozen=True):
    """What stores say of themselves in EcDoConnectEx ([MS-OXCRPC] 3.1.4.1).

    A session whose client goes without EcDoDisconnect ends ``session_linger_s`` after its connection: at once
    where context handles run down, after 2,000 s in Gromox. ``mailboxes`` says whose a user may open: his
    own, or everybody's as if all were his delegators.
    """

    version: Version = "8.1.240.6"
    polls_max_ms: Positive = 60000
    session_linger_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    mailboxes: Literal["own", "open-to-all"] = "own"


class ReferralSettings(_Strict, frozen=True):
    """Whom clients are referred to for the directory: their mailbox server's DSProxy, or a global catalog.

    The latter is what "Do Not Refer HTTP to DSProxy" does; the client access servers must allow it.
    """

    directory: Literal["dsproxy", "global-catalog"] = "dsproxy"


class Ports(_Strict, frozen=True):
    """The endpoints of all servers; ``delivery`` is where they hand each other mail.

    Proxies come to the first three. Clients inside the firewall come to those over TCP, which each server's
    endpoint mapper tells; a real one is on 135, for which one must be root.
    """

    store: Port = 6001
    referral: Port = 6002
    directory: Port = 6004
    endpoint_mapper: Port = 6135
    store_tcp: Port = 6101
    referral_tcp: Port = 6102
    directory_tcp: Port = 6104
    delivery: Port = 2525


class CountersSettings(_Strict, frozen=True):
    """Where counters, metrics and the organisation are served over HTTP."""

    address: str = "127.0.10.250"
    port: Port = 18090


class ServerTable(_Strict, frozen=True):
    """A server that is one process."""

    name: ServerName
    address: str


class ConnectingServer(ServerTable, frozen=True):
    """A server that opens connections to others, from its ``source_addresses`` in turn."""

    source_addresses: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its connections come from: its own address, unless it has others for that."""
        return self.source_addresses or (self.address,)


class ClientAccessServer(ConnectingServer, frozen=True):
    """A client access server, which may be several processes on one address.

    ``valid_ports`` are its own, if they are not those of ``[http]``.
    """

    processes: Positive = 1
    valid_ports: ValidPorts | None = None


class ReverseProxyServer(ConnectingServer, frozen=True):
    """A 32-bit proxy in front of the client access servers, whose non-paged pool each connection takes of.

    250 MB are enough for about 20,000 connections (docs/limits.md); units are decimal.
    """

    nonpaged_pool_mb: Annotated[float, Meta(ge=0)] = 250.0
    kb_per_connection: Annotated[float, Meta(gt=0)] = 12.5

    def connections(self, limits: Limits) -> int:
        """How many connections the pool is enough for; 0: no limit."""
        return limits.scaled(self.nonpaged_pool_mb * 1000 / self.kb_per_connection)


class Topology(_Strict, frozen=True, kw_only=True):
    """The whole organisation. All addresses are moved with ``base_address``.

    In a ``dialect`` of one process the first client access server is all that there is.
    """

    title: str = ""
    dialect: DialectName = "exchange2007"
    base_address: str = "127.0.10.0"
    organisation: OrganisationWords = OrganisationWords()
    accounts: Accounts = Accounts()
    http: HttpSettings = HttpSettings()
    rpc: RpcSettings = RpcSettings()
    security: SecuritySettings = SecuritySettings()
    store: StoreSettings = StoreSettings()
    referral: ReferralSettings = ReferralSettings()
    limits: Limits = Limits()
    faults: FaultSettings = FaultSettings()
    ports: Ports = Ports()
    counters: CountersSettings = CountersSettings()
    reverse_proxy: tuple[ReverseProxyServer, ...] = ()
    client_access: Annotated[tuple[ClientAccessServer, ...], Meta(min_length=1)]
    mailbox: tuple[ConnectingServer, ...] = ()
    public_folders: tuple[ServerTable, ...] = ()
    global_catalog: tuple[ServerTable, ...] = ()

    @property
    def manners(self) -> Dialect:
        """What the dialect means."""
        return DIALECTS[self.dialect]

    @property
    def stores(self) -> tuple[ServerTable, ...]:
        """The servers with mailboxes."""
        return self.client_access if self.manners.one_process else self.mailbox

    @property
    def proxy(self) -> ProxySettings:
        """What the two proxy roles announce, and how."""
        http, manners = self.http, self.manners
        return ProxySettings(
            http.receive_window,
            http.channel_lifetime,
            http.connection_timeout_ms,
            manners.proxy,
            manners.http.timeout_reply,
        )

    @property
    def servers(self) -> tuple[ServerTable, ...]:
        """The servers of all roles."""
        return (
            *self.reverse_proxy,
            *self.client_access,
            *self.mailbox,
            *self.public_folders,
            *self.global_catalog,
        )

    @property
    def processes(self) -> int:
        """How many processes serve it, the one that supervises them apart."""
        others = (*self.reverse_proxy, *self.mailbox, *self.public_folders, *self.global_catalog)
        return sum(server.processes for server in self.client_access) + len(others)

    def directory(self) -> Directory:
        """Who is in the organisation; the same in every process."""
        words, accounts = self.organisation, self.accounts
        return Directory(
            Organisation(
                domain=words.domain,
                organisation=words.name,
                administrative_group=words.administrative_group,
                alias=accounts.alias,
                display_name=accounts.display_name,
                servers=tuple(server.name for server in self.stores),
                public_servers=tuple(server.name for server in self.public_folders),
                naming=self.manners.naming,
            ),
            accounts.count,
        )

    def valid_ports_of(self, server: ClientAccessServer) -> ValidPorts:
        """Where clients of a client access server may go."""
        return self.http.valid_ports if server.valid_ports is None else server.valid_ports

    def global_catalogs_of(self, mailbox_index: int) -> tuple[ServerTable, ...]:
        """All of them in the order in which a mailbox server goes by them, each beginning with another."""
        first = mailbox_index % len(self.global_catalog)
        return self.global_catalog[first:] + self.global_catalog[:first]
