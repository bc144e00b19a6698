"""A real RPC proxy as a target: its addresses, whether it may be loaded, and the accounts for it."""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from itertools import repeat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loadgen.client import users_file
from loadgen.client.account import Account, RpcProxy
from loadgen.client.account_source import AccountList
from loadgen.client.autodiscover import Autodiscover
from loadgen.client.dialect import Dialect, name_by_version
from loadgen.client.http_fetch import HttpFetch
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.users_file import PASSWORD_VARIABLE
from loadgen.engine.security import connection_options, tls_settings
from loadgen.errors import PeerError, ProfileError, TransportError
from loadgen.measure.connections import Counter, KernelCounter
from loadgen.measure.sock_diag import Host, Rule
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population

MOST_AT_A_TIME: Final = 20
"""Autodiscover requests under way at once."""
SESSIONS_PER_USER: Final = 32
"""Of the mailbox store for one identity, Exchange 2003 SP1 and later (facts C8)."""
DIRECTORY_SESSIONS_PER_USER: Final = 50
"""Of a domain controller for one identity, Windows Server 2008 and later (facts C8)."""
SERVER_PORTS: Final = {"https": 443, "http": 80}

Say = Callable[[str], None]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All of a target that a real server is."""

    proxies: tuple[RpcProxy, ...]
    accounts: AccountList
    counters: dict[str, Counter]
    dialect: Dialect


async def open_endpoint(url: str, campaign: Campaign, population: Population, say: Say) -> Endpoint:
    """What ``url`` and the campaign's keys make up; ``say`` gets what the user should know of it.

    Raises :class:`~loadgen.errors.ProfileError` for what the user has to put right, and
    :class:`~loadgen.errors.PeerError` if the accounts cannot be discovered.
    """
    host, port, tls = parts_of(url)
    addresses = await _addresses(host, port, campaign.resolve)
    require_permission(campaign, url, addresses)
    settings = tls_settings(campaign)
    known = accounts_of(campaign, population, say)
    asked = _Discoverer(campaign, url, settings, {host: addresses})
    accounts, version = await asked.complete(known)
    name = campaign.dialect or name_by_version(version)
    dialect = library.read("dialect", name, Dialect)
    say(f"dialect: {dialect.name}" + ("" if campaign.dialect else f", since {_seen(version)}"))
    return Endpoint(
        proxies=tuple(
            RpcProxy(host, port, tls, (address,), tls_settings=settings, path=dialect.path)
            for address in addresses
        ),
        accounts=AccountList(accounts),
        counters=_counters(addresses, port),
        dialect=dialect,
    )


def require_permission(campaign: Campaign, target: str, addresses: Sequence[str]) -> None:
    """Raises :class:`~loadgen.errors.ProfileError` unless the target is this machine or was agreed to."""
    elsewhere = [address for address in addresses if not ip_address(address).is_loopback]
    if elsewhere and not campaign.authorised:
        raise ProfileError(
            f"authorised: {target} is another machine ({', '.join(elsewhere)}), and load can take a server "
            "away from those who need it; when whoever runs it has agreed, say --authorised true"
        )


def accounts_of(campaign: Campaign, population: Population, say: Say) -> tuple[Account, ...]:
    """One account for each user, from the campaign's file or pattern, shared ones given out in turn.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    found = _read_accounts(campaign, say)
    users = population.users
    if len(found) >= users:
        return found[:users]
    if not campaign.share_accounts:
        raise ProfileError(
            f"users_file: {len(found):,} accounts are too few for {users:,} users: servers limit what one "
            f"identity may have open ({SESSIONS_PER_USER} mailbox sessions, {DIRECTORY_SESSIONS_PER_USER} "
            "directory sessions); add accounts, or say share_accounts = true"
        )
    for warning in sharing_warnings(population, len(found)):
        say(f"Warning: {warning}")
    return tuple(msgspec.structs.replace(found[index % len(found)], index=index) for index in range(users))


def count_accounts(campaign: Campaign) -> int | None:
    """How many accounts the campaign names; None if it names none. Raises ``ProfileError``."""
    if campaign.users_file:
        path = Path(campaign.users_file)
        return len(users_file.load(path, os.environ.get(PASSWORD_VARIABLE)).accounts)
    if campaign.users_pattern:
        return sum(1 for _ in users_file.expand(campaign.users_pattern, campaign.users_range or ""))
    return None


def sharing_warnings(population: Population, accounts: int) -> list[str]:
    """Which limits per identity are passed when so many accounts serve a population."""
    sessions, directory = [0] * accounts, [0] * accounts
    for user in range(population.users):
        client = population.group_of(user).client
        sessions[user % accounts] += client.connections.mail + client.connections.public_folder
        directory[user % accounts] += client.connections.directory + client.startup.directory
    limits = (
        ("mailbox", max(sessions), SESSIONS_PER_USER),
        ("directory", max(directory), DIRECTORY_SESSIONS_PER_USER),
    )
    return [
        f"share_accounts: {population.users:,} users on {accounts:,} accounts make up to {most:,} {kind} "
        f"sessions of one identity, and servers are known to allow {allowed}"
        for kind, most, allowed in limits
        if most > allowed
    ]


def _read_accounts(campaign: Campaign, say: Say) -> tuple[Account, ...]:
    if campaign.users_file and campaign.users_pattern:
        raise ProfileError("users_file, users_pattern: only one of them")
    if campaign.users_file:
        found = users_file.load(Path(campaign.users_file), os.environ.get(PASSWORD_VARIABLE))
        for warning in found.warnings:
            say(f"Warning: {warning}")
        return found.accounts
    if campaign.users_pattern:
        mailboxes = users_file.expand(campaign.users_pattern, campaign.users_range or "")
        return users_file.from_mailboxes(mailboxes, repeat(_password()))
    raise ProfileError(
        "users_file: a real target needs accounts: give users_file (see 'loadgen users make'), or "
        "users_pattern and users_range"
    )


def _password() -> str:
    known = os.environ.get(PASSWORD_VARIABLE)
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise ProfileError(f"users_pattern: there is no password: set {PASSWORD_VARIABLE}")
    return getpass.getpass("Password of all accounts: ")


def parts_of(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken; raises :class:`~loadgen.errors.ProfileError`."""
    try:
        parts = urlsplit(url)
        port = parts.port or SERVER_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ProfileError(f"option: target: {url!r}: {error}") from None
    if parts.username or parts.password:
        raise ProfileError("option: target: no user or password in an address; they belong into users_file")
    if not parts.hostname or not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise ProfileError(f"option: target: {url!r} is not https://HOST[:PORT] or http://HOST[:PORT]")
    return parts.hostname, port, parts.scheme == "https"


async def _addresses(host: str, port: int, resolve: Sequence[str]) -> tuple[str, ...]:
    """The IP addresses of the target: those given for it, or else those of the system's resolver."""
    given = given_addresses(host, resolve)
    if given:
        return given
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise TransportError(f"{host}: {error.strerror}; if it has no name yet, give resolve") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def given_addresses(host: str, resolve: Sequence[str]) -> tuple[str, ...]:
    """The addresses that ``resolve`` gives the target; () if it says nothing at all."""
    given: list[str] = []
    for text in resolve:
        name, equals, address = text.partition("=")
        try:
            given += [str(ip_address(address.strip()))] if name.strip().lower() == host else []
        except ValueError:
            equals = ""
        if not equals:
            raise ProfileError(f"resolve: {text!r} is not name=address")
    if resolve and not given:
        raise ProfileError(f"resolve: no address for {host}, which is the target")
    return tuple(dict.fromkeys(given))


def _counters(addresses: Sequence[str], port: int) -> dict[str, Counter]:
    """The kernel knows what goes out to the target; it is asked for IPv4 alone."""
    if any(":" in address for address in addresses):
        return {}
    rules = tuple(Rule(remote=Host(address, port)) for address in addresses)
    return {"kernel": KernelCounter({"client_to_cas": rules})}


def _seen(version: tuple[int, int, int]) -> str:
    if not version[0]:
        return "nothing says what server it is"
    return "Autodiscover tells version " + ".".join(map(str, version))


class _Discoverer:
    """Completes accounts by Autodiscover, and with what the campaign says of all of them."""

    def __init__(
        self, campaign: Campaign, url: str, tls: TlsSettings, addresses: dict[str, tuple[str, ...]]
    ) -> None:
        self._campaign = campaign
        self._tls = tls
        self._addresses = addresses
        where = campaign.autodiscover
        self._url = url if where == "target" else "" if where == "domain" else where
        self._free = asyncio.Semaphore(MOST_AT_A_TIME)
        self._version = (0, 0, 0)

    async def complete(
        self, accounts: tuple[Account, ...]
    ) -> tuple[tuple[Account, ...], tuple[int, int, int]]:
        """The accounts with all that can be known of them, and the version of the server.

        The first account is asked about alone: what it meets, all would meet.
        """
        if self._campaign.autodiscover == "off":
            completed = [self._with_defaults(account) for account in accounts]
        else:
            completed = [await self._ask(accounts[0])]
            completed += await asyncio.gather(*map(self._ask, accounts[1:]))
        for account in completed:
            _require_complete(account, self._campaign)
        return tuple(completed), self._version

    async def _ask(self, account: Account) -> Account:
        given = self._with_defaults(account)
        if given.is_complete and self._version[0]:
            return given
        schemes = connection_options(self._campaign).auth
        fetch = HttpFetch(account.credentials, self._tls, schemes, self._addresses)
        async with self._free:
            try:
                found = await Autodiscover(fetch).find(account.smtp, self._url)
            except PeerError:
                if given.is_complete:
                    return given
                raise
        self._version = max(self._version, found.settings.server_version)
        return self._with_defaults(found.complete(account))

    def _with_defaults(self, account: Account) -> Account:
        campaign = self._campaign
        return msgspec.structs.replace(
            account,
            home_server=account.home_server or campaign.mailbox_server or campaign.rpc_server or "",
            public_server=account.public_server or campaign.public_folder_server or "",
        )


def _require_complete(account: Account, campaign: Campaign) -> None:
    missing = [
        column
        for column, value in (
            ("dn", account.legacy_dn),
            ("display_name", account.display_name),
            ("server", account.home_server),
        )
        if not value
    ]
    if missing:
        how = "autodiscover is off" if campaign.autodiscover == "off" else "Autodiscover does not say"
        raise ProfileError(
            f"users_file: {account.smtp}: {', '.join(missing)} not known, and {how}; "
            "give these columns, or mailbox_server for the server of all"
        )
