"""Who is in the mock organisation: users and servers, found by every name that a client may use.

Pure data, made from a few words and a number of users, so that every process of the mock has the same
directory without asking another: the same organisation gives the same MIds, names and GUIDs everywhere.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Final
from uuid import NAMESPACE_DNS, UUID, uuid5

import msgspec

from mock_server.dialect import Naming

_FIRST_SERVER: Final = 0x100
_FIRST_USER: Final = 0x1000
_ADDRESS_IN_GUID: Final = 12
_PRIVATE_STORE: Final = "/cn=Microsoft Private MDB"


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words that all names are made of; ``alias`` and ``display_name`` are format strings of ``index``.

    User i has its mailbox on ``servers[i % len(servers)]`` and its public folders on ``public_servers``
    likewise ("" if there are none). ``naming`` is the dialect's.
    """

    domain: str = "contoso.test"
    organisation: str = "Contoso"
    administrative_group: str = "First Administrative Group"
    alias: str = "user{index:05d}"
    display_name: str = "User {index:05d}"
    servers: tuple[str, ...] = ("MBX1",)
    public_servers: tuple[str, ...] = ("PF1",)
    naming: Naming = Naming()

    @property
    def dn(self) -> str:
        """Distinguished name of the administrative group, with which all others begin."""
        return f"/o={self.organisation}/ou={self.administrative_group}"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A mailbox user; ``mid`` is its Minimal Entry ID, ``dn`` its legacyExchangeDN ([MS-OXNSPI] 2.2.9.1)."""

    mid: int
    index: int
    alias: str
    display_name: str
    dn: str
    smtp: str
    home_server: str
    public_server: str


class Server(msgspec.Struct, frozen=True, gc=False):
    """A mailbox or public folder server as the directory lists it."""

    mid: int
    name: str
    fqdn: str
    dn: str

    @property
    def display_name(self) -> str:
        """What lists show."""
        return self.name

    @property
    def private_store_dn(self) -> str:
        """Distinguished name of its mailbox database, the home MDB of its users."""
        return self.dn + _PRIVATE_STORE


class Directory:
    """All users and servers of one organisation; look-ups ignore case and take constant time."""

    def __init__(self, organisation: Organisation, users: int) -> None:
        self.organisation = organisation
        recipients = f"{organisation.dn}/cn=Recipients/cn="
        self.users = tuple(_user(organisation, recipients, index) for index in range(users))
        names = dict.fromkeys(organisation.servers + organisation.public_servers)
        self.servers = tuple(_server(organisation, number, name) for number, name in enumerate(names))
        self._users_by_alias = {user.alias.lower(): user for user in self.users}
        self._users_by_dn = {user.dn.lower(): user for user in self.users}
        self._own_servers = _own_servers(organisation, self.users) if organisation.naming.own_servers else ()
        self._servers_by_dn = {server.dn.lower(): server for server in (*self.servers, *self._own_servers)}
        self._servers_by_host = {
            name.lower(): server
            for server in (*self.servers, *self._own_servers)
            for name in (server.name, server.fqdn)
        }

    @cached_property
    def server_guid(self) -> bytes:
        """What NspiBind calls the server: one GUID, since MIds mean the same on all servers."""
        return uuid5(NAMESPACE_DNS, f"{self.organisation.organisation}.{self.organisation.domain}").bytes_le

    def by_mid(self, mid: int) -> Entry | Server | None:
        """The object with this Minimal Entry ID."""
        if mid >= _FIRST_USER:
            return self.users[mid - _FIRST_USER] if mid - _FIRST_USER < len(self.users) else None
        return self.servers[mid - _FIRST_SERVER] if 0 <= mid - _FIRST_SERVER < len(self.servers) else None

    def by_alias(self, alias: str) -> Entry | None:
        """The user with this alias."""
        return self._users_by_alias.get(alias.lower())

    def by_smtp(self, address: str) -> Entry | None:
        """The user with this mail address."""
        alias, _, domain = address.rpartition("@")
        return self.by_alias(alias) if domain.lower() == self.organisation.domain.lower() else None

    def by_dn(self, dn: str) -> Entry | None:
        """The user with this distinguished name."""
        return self._users_by_dn.get(dn.lower())

    def by_logon_name(self, name: str) -> Entry | None:
        r"""The user who logs on as ``alias``, ``DOMAIN\alias`` or with the mail address."""
        if "@" in name:
            return self.by_smtp(name)
        domain, _, alias = name.rpartition("\\")
        return self.by_alias(alias) if not domain or self.organisation.naming.domain_names else None

    def server_by_dn(self, dn: str) -> Server | None:
        """The server with this distinguished name."""
        return self._servers_by_dn.get(dn.lower())

    def server_by_store_dn(self, dn: str) -> Server | None:
        """The server whose mailbox database has this distinguished name."""
        server_dn, rdn, rest = dn.lower().rpartition(_PRIVATE_STORE.lower())
        return self.server_by_dn(server_dn) if rdn and not rest else None

    def server_by_host(self, name: str) -> Server | None:
        """The server with this NetBIOS name or fully qualified name."""
        return self._servers_by_host.get(name.lower())

    def home_server(self, user: Entry) -> Server:
        """The server that holds the user's mailbox, as clients are told of it."""
        if self._own_servers:
            return self._own_servers[user.index]
        return self._servers_by_host[user.home_server.lower()]


def _user(organisation: Organisation, recipients: str, index: int) -> Entry:
    alias = organisation.alias.format(index=index)
    common_name = organisation.naming.common_name.format(alias=alias, number=_number(index).hex())
    return Entry(
        mid=_FIRST_USER + index,
        index=index,
        alias=alias,
        display_name=organisation.display_name.format(index=index),
        dn=recipients + common_name,
        smtp=f"{alias}@{organisation.domain}",
        home_server=_take_in_turn(organisation.servers, index),
        public_server=_take_in_turn(organisation.public_servers, index),
    )


def _server(organisation: Organisation, number: int, name: str) -> Server:
    return Server(
        mid=_FIRST_SERVER + number,
        name=name,
        fqdn=f"{name}.{organisation.domain}".lower(),
        dn=f"{organisation.dn}/cn=Configuration/cn=Servers/cn={name}",
    )


def _own_servers(organisation: Organisation, users: Iterable[Entry]) -> tuple[Server, ...]:
    """A name for each user's server: the beginning of the mail address and the user's number as a GUID."""
    servers = []
    for user in users:
        guid = UUID(
            bytes=user.smtp.encode("ascii")[:_ADDRESS_IN_GUID].ljust(_ADDRESS_IN_GUID, b"\0")
            + _number(user.index)
        )
        name = f"{guid}@{organisation.domain}"
        dn = f"{organisation.dn}/cn=Configuration/cn=Servers/cn={name}"
        servers.append(Server(_FIRST_SERVER, name, name, dn))
    return tuple(servers)


def _number(index: int) -> bytes:
    return (index + 1).to_bytes(4, "little")


def _take_in_turn(servers: tuple[str, ...], index: int) -> str:
    return servers[index % len(servers)] if servers else ""
