"""What the mock tells the world about itself: where its servers are, and who may log on."""

import msgspec

from mock_server.topology import Topology


class ProxyAddress(msgspec.Struct, frozen=True):
    """Where a client access server takes HTTP."""

    name: str
    address: str
    port: int
    tls: bool = False

    @property
    def scheme(self) -> str:
        """How its URLs begin."""
        return "https" if self.tls else "http"


class ServerAddress(msgspec.Struct, frozen=True):
    """Where a server behind the proxies listens, by the name of each service."""

    role: str
    address: str
    ports: dict[str, int]


class AccountNames(msgspec.Struct, frozen=True):
    """How to make the names of user ``index``, from 0, who lives on ``servers[index % len(servers)]``.

    ``common_name`` ends his DN: a format string of ``alias`` and ``number``, which is the index plus 1 as 8
    hexadecimal digits, lowest byte first.
    """

    count: int
    domain: str
    organisation: str
    administrative_group: str
    alias: str
    display_name: str
    password: str
    servers: tuple[str, ...]
    public_servers: tuple[str, ...]
    common_name: str = "{alias}"


class Organisation(msgspec.Struct, frozen=True):
    """All that a client needs to know, as ``--json`` prints it.

    ``cas`` is where clients go, which are the reverse proxies if there are any; ``cas_sources`` are the
    addresses from which the client access servers connect to the servers behind. ``directory`` is whom
    clients are referred to, ``ca_file`` whom they may trust with TLS, "" without it. In a ``dialect`` of one
    process there are no ``servers`` behind.
    """

    cas: tuple[ProxyAddress, ...]
    cas_sources: tuple[str, ...]
    directory: str
    servers: dict[str, ServerAddress]
    counters_url: str
    accounts: AccountNames
    ca_file: str = ""
    dialect: str = "exchange2007"


def describe(topology: Topology) -> Organisation:
    """The organisation of a topology."""
    ports, words, accounts = topology.ports, topology.organisation, topology.accounts
    store = {"store": ports.store, "store_tcp": ports.store_tcp}
    referral = {"referral": ports.referral, "referral_tcp": ports.referral_tcp}
    catalog = {"directory": ports.directory, "directory_tcp": ports.directory_tcp}
    mapper = {"endpoint_mapper": ports.endpoint_mapper}
    servers: dict[str, ServerAddress] = {}
    for role, tables, role_ports in (
        ("mailbox", topology.mailbox, store | referral | {"directory": ports.directory} | mapper),
        ("public_folders", topology.public_folders, store | mapper),
        ("global_catalog", topology.global_catalog, catalog | mapper),
    ):
        servers |= {table.name: ServerAddress(role, table.address, role_ports) for table in tables}
    http = topology.http
    front = topology.reverse_proxy or topology.client_access
    return Organisation(
        cas=tuple(ProxyAddress(each.name, each.address, http.port, http.tls) for each in front),
        cas_sources=tuple(source for cas in topology.client_access for source in cas.sources),
        directory=topology.referral.directory,
        servers=servers,
        counters_url=f"http://{topology.counters.address}:{topology.counters.port}",
        accounts=AccountNames(
            accounts.count,
            words.domain,
            words.name,
            words.administrative_group,
            accounts.alias,
            accounts.display_name,
            accounts.password,
            tuple(server.name for server in topology.stores),
            tuple(server.name for server in topology.public_folders),
            topology.manners.naming.common_name,
        ),
        ca_file=http.certificate if http.tls else "",
        dialect=topology.dialect,
    )
