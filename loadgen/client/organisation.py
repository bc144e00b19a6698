"""The organisation behind an endpoint: its servers and its users, as the mock describes itself."""

from typing import Self

import msgspec

from loadgen.client.account import Account, RpcProxy
from loadgen.client.inside import Inside, TcpPorts
from loadgen.client.tls_settings import TlsSettings
from loadgen.errors import ProfileError
from loadgen.wire import epm


class Endpoint(msgspec.Struct, frozen=True):
    """Where one Client Access server (RPC proxy) listens."""

    name: str
    address: str
    port: int


class Server(msgspec.Struct, frozen=True):
    """One server behind the proxies: ``ports`` by service (store, referral, directory)."""

    role: str
    address: str
    ports: dict[str, int]


class Accounts(msgspec.Struct, frozen=True):
    """The rule by which users are named and spread over servers.

    ``common_name`` is a format string of the alias and of the user's ``number``: his index plus 1, as 8
    hexadecimal digits from the lowest byte on.
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
    """What ``GET {counters_url}/organisation`` of a running mock answers.

    ``cas_sources`` are the addresses from which the Client Access servers connect to those behind, if they
    are not those of ``cas``; ``directory`` is whom clients are referred to, `dsproxy` or `global-catalog`.
    ``ca_file`` is the authority that clients may trust with TLS, "" without it. ``dialect`` is the make of
    server that it behaves like.
    """

    cas: tuple[Endpoint, ...]
    servers: dict[str, Server]
    counters_url: str
    accounts: Accounts
    cas_sources: tuple[str, ...] = ()
    directory: str = "dsproxy"
    ca_file: str = ""
    dialect: str = "exchange2007"

    @classmethod
    def decode(cls, text: str | bytes, source: str) -> Self:
        """Reads the JSON that ``source`` gave; raises :class:`~loadgen.errors.ProfileError` naming it."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProfileError(f"{source} does not describe a mock organisation: {error}") from error

    @property
    def proxies(self) -> tuple[RpcProxy, ...]:
        """The RPC proxies of the Client Access servers."""
        settings = TlsSettings(ca_file=self.ca_file)
        tls = bool(self.ca_file)
        return tuple(RpcProxy(cas.address, cas.port, tls, tls_settings=settings) for cas in self.cas)

    @property
    def inside(self) -> Inside:
        """The servers for clients inside the firewall, by both forms of their names."""
        domain = self.accounts.domain
        mappers = (server.ports.get("endpoint_mapper", epm.PORT) for server in self.servers.values())
        return Inside(
            TcpPorts(endpoint_mapper=max(mappers, default=epm.PORT)),
            {
                form.lower(): (server.address,)
                for name, server in self.servers.items()
                for form in (name, f"{name}.{domain}")
            },
        )

    @property
    def past_dsproxy(self) -> bool:
        """Whether users are referred to global catalogs."""
        return self.directory == "global-catalog"

    @property
    def count(self) -> int:
        """How many accounts there are."""
        return self.accounts.count

    def account(self, index: int) -> Account:
        """User number ``index``, counted from 0."""
        rule = self.accounts
        alias = rule.alias.format(index=index)
        smtp = f"{alias}@{rule.domain}"
        recipients = f"/o={rule.organisation}/ou={rule.administrative_group}/cn=Recipients"
        number = (index + 1).to_bytes(4, "little").hex()
        return Account(
            index=index,
            user=smtp,
            password=rule.password,
            alias=alias,
            display_name=rule.display_name.format(index=index),
            legacy_dn=f"{recipients}/cn={rule.common_name.format(alias=alias, number=number)}",
            smtp=smtp,
            home_server=rule.servers[index % len(rule.servers)],
            public_server=rule.public_servers[index % len(rule.public_servers)]
            if rule.public_servers
            else "",
            directory_server=self._remembered(index),
        )

    def _remembered(self, index: int) -> str:
        """Where referral has sent the user: to the global catalogs in turn, if not through DSProxy."""
        catalogs = [name for name, server in self.servers.items() if server.role == "global_catalog"]
        if not self.past_dsproxy or not catalogs:
            return ""
        round_, home = divmod(index, len(self.accounts.servers))
        return f"{catalogs[(round_ + home) % len(catalogs)].lower()}.{self.accounts.domain}"
