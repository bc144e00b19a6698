"""A real RPC proxy as a target: its addresses, whether it may be loaded, and the accounts for it."""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from itertools import repeat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loadgen.client import users_file
from loadgen.client.account import Account, RpcProxy
from loadgen.client.account_source import AccountList
from loadgen.client.autodiscover import scheme_to_begin_with
from loadgen.client.dialect import UNKNOWN, Dialect, Evidence, tell_dialect
from loadgen.client.inside import Inside
from loadgen.client.transport.sockets import connect
from loadgen.client.transport.tls import look_at_tls
from loadgen.client.users_file import PASSWORD_VARIABLE
from loadgen.engine.discovery import Discoverer
from loadgen.engine.preflight import explain
from loadgen.engine.published import look_at_settings, ports_of
from loadgen.engine.security import tls_settings
from loadgen.errors import PeerError, ProfileError, TimedOut, TransportError
from loadgen.measure.connections import Counter, KernelCounter
from loadgen.measure.sock_diag import Host, Rule
from loadgen.wire.autodiscover import MailboxSettings
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population

CHOSEN: Final = "it was chosen"
PATIENCE_S: Final = 15.0
SESSIONS_PER_USER: Final = 32
"""Of the mailbox store for one identity, Exchange 2003 SP1 and later (KB842022)."""
DIRECTORY_SESSIONS_PER_USER: Final = 50
"""Of a domain controller for one identity, Windows Server 2008 and later (KB949469)."""
SERVER_PORTS: Final = {"https": 443, "http": 80}

Say = Callable[[str], None]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All of a target that a real server is."""

    proxies: tuple[RpcProxy, ...]
    accounts: AccountList
    counters: dict[str, Counter]
    dialect: Dialect
    dialect_reason: str
    inside: Inside = Inside()


def is_real(target: str) -> bool:
    """Whether a target's name is the address of a real RPC proxy."""
    return target.lower().startswith(("https://", "http://"))


def ask_beforehand(target: str, campaign: Campaign) -> None:
    """Has the password typed that a run will need: under a live display nobody would see the question.

    Raises :class:`~loadgen.errors.ProfileError` as :func:`require_password` does.
    """
    if is_real(target) and campaign.users_pattern and not campaign.users_file:
        _password_of_all()


async def open_endpoint(url: str, campaign: Campaign, population: Population, say: Say) -> Endpoint:
    """What ``url`` and the campaign's keys make up; ``say`` gets what the user should know of it.

    Raises :class:`~loadgen.errors.ProfileError` for what the user has to put right, and
    :class:`~loadgen.errors.PeerError` if the target does not answer or the accounts cannot be discovered.
    """
    host, port, tls = parts_of(url)
    given = resolved(campaign.resolve)
    if given and host not in given and not population.inside:
        raise ProfileError(f"resolve: no address for {host}, which is the target")
    addresses = await _addresses(host, port, given)
    require_permission(campaign, url, addresses)
    settings = tls_settings(campaign)
    chosen = library.read("dialect", campaign.dialect or UNKNOWN, Dialect)
    proxies = tuple(
        RpcProxy(host, port, tls, (address,), tls_settings=settings, path=chosen.path)
        for address in addresses
    )
    asked = Discoverer(campaign, url, proxies, chosen.ports, {host: addresses})
    known = accounts_of(campaign, population, say)
    try:
        await _meet(proxies, needed=population.inside < population.users)
        accounts = await asked.complete(known)
    except PeerError as error:
        error.args = (explain(error, campaign),)
        raise
    dialect, reason = _dialect(campaign, asked.settings, accounts[0])
    say(f"dialect: {dialect.name}, since {reason}")
    auto = campaign.auth == "auto"
    scheme = scheme_to_begin_with(asked.settings, proxies[0], accounts) if auto else None
    for warning in await look_at_settings(asked.settings, campaign, proxies[0]):
        say(f"Warning: {warning}")
    return Endpoint(
        proxies=tuple(msgspec.structs.replace(proxy, path=dialect.path, scheme=scheme) for proxy in proxies),
        accounts=AccountList(accounts),
        counters=_counters(addresses, port),
        dialect=dialect,
        dialect_reason=reason,
        inside=await _inside(campaign, accounts, dialect, given) if population.inside else Inside(),
    )


async def _inside(
    campaign: Campaign, accounts: Sequence[Account], dialect: Dialect, given: Mapping[str, tuple[str, ...]]
) -> Inside:
    """The servers that the accounts name, for users inside the firewall, whom no proxy leads there.

    Raises :class:`~loadgen.errors.ProfileError` and :class:`~loadgen.errors.TransportError`.
    """
    named = {server for account in accounts for server in (account.home_server, account.public_server)}
    servers = sorted({name.lower() for name in named if name})
    found = {name: await _addresses(name, dialect.tcp.endpoint_mapper, given) for name in servers}
    for name, addresses in found.items():
        require_permission(campaign, name, addresses)
    return Inside(dialect.tcp, {**given, **found})


async def _meet(proxies: Sequence[RpcProxy], *, needed: bool) -> None:
    """Tries the target's addresses in turn until one answers.

    Raises what the last one met if none does, unless the target is not ``needed``, and
    :class:`~loadgen.errors.TlsFailed` in any case.
    """
    failure: PeerError | None = None
    for proxy in proxies:
        try:
            await _open(proxy)
        except (TransportError, TimedOut) as error:
            failure = error
        else:
            return
    if needed and failure is not None:
        raise failure


async def _open(proxy: RpcProxy) -> None:
    """TCP and TLS for their own sake; raises :class:`~loadgen.errors.PeerError` with the step."""
    step = "tcp"
    try:
        (sock,) = await connect(proxy, 1, f"{proxy.host}:{proxy.port}", PATIENCE_S)
        sock.close()
        if proxy.tls:
            step = "tls"
            await look_at_tls(proxy, PATIENCE_S)
    except PeerError as error:
        error.step = step
        raise


def _dialect(campaign: Campaign, settings: MailboxSettings | None, account: Account) -> tuple[Dialect, str]:
    """How the target is talked to, and why so."""
    if campaign.dialect:
        return library.read("dialect", campaign.dialect, Dialect), CHOSEN
    version = settings.server_version if settings is not None else (0, 0, 0)
    name, reason = tell_dialect(Evidence(version, account.legacy_dn, account.home_server))
    dialect = library.read("dialect", name, Dialect)
    if dialect.public_folders and not account.public_server:
        dialect = msgspec.structs.replace(dialect, public_folders=False)
        reason += "; without public folders, since no server of theirs is known"
    ports = dialect.ports if settings is None else ports_of(settings, dialect.ports)
    if ports != dialect.ports:
        dialect = msgspec.structs.replace(dialect, ports=ports)
        reason += "; with the ports that Autodiscover names"
    return dialect, reason


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
        return users_file.from_mailboxes(mailboxes, repeat(_password_of_all()))
    raise ProfileError(
        "users_file: a real target needs accounts: give users_file (see 'loadgen users make'), or "
        "users_pattern and users_range"
    )


def _password_of_all() -> str:
    return require_password("all accounts", "users_pattern")


def require_password(whose: str, key: str) -> str:
    """The password in the environment, or else the one that is typed, once.

    Raises :class:`~loadgen.errors.ProfileError` about ``key`` if nobody is there to type.
    """
    known = os.environ.get(PASSWORD_VARIABLE)
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise ProfileError(f"{key}: there is no password: set {PASSWORD_VARIABLE}")
    return _typed(f"Password of {whose}: ")


@cache
def _typed(question: str) -> str:
    return getpass.getpass(question)


def refuse_credentials(url: str) -> None:
    """Raises ``ProfileError`` if an address names a user: a target's name is shown, and kept with results."""
    if "@" in url:
        raise ProfileError("option: target: no user or password in an address; they belong into users_file")


def parts_of(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken; raises :class:`~loadgen.errors.ProfileError`."""
    refuse_credentials(url)
    try:
        parts = urlsplit(url)
        port = parts.port or SERVER_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ProfileError(f"option: target: {url!r}: {error}") from None
    if not parts.hostname or not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise ProfileError(f"option: target: {url!r} is not https://HOST[:PORT] or http://HOST[:PORT]")
    return parts.hostname, port, parts.scheme == "https"


async def _addresses(host: str, port: int, given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The IP addresses of a server: those given for it, or else those of the system's resolver."""
    if host in given:
        return given[host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name that cannot be one is no matter of the resolver
        why = getattr(error, "strerror", error)
        raise TransportError(
            f"{host}: {why}; if the DNS does not know it yet, give --resolve {host}=ADDRESS"
        ) from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def given_addresses(host: str, resolve: Sequence[str], *, needed: bool = True) -> tuple[str, ...]:
    """The addresses that ``resolve`` gives the target; () if it says nothing.

    Raises :class:`~loadgen.errors.ProfileError` if they are ``needed``, and it says something of others only.
    """
    given = resolved(resolve)
    if given and needed and host not in given:
        raise ProfileError(f"resolve: no address for {host}, which is the target")
    return given.get(host, ())


def resolved(resolve: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The addresses that ``resolve`` gives, by name; raises :class:`~loadgen.errors.ProfileError`."""
    given: dict[str, tuple[str, ...]] = {}
    for text in resolve:
        name, equals, address = (part.strip() for part in text.partition("="))
        try:
            found = str(ip_address(address))
        except ValueError:
            equals = ""
        if not equals:
            raise ProfileError(f"resolve: {text!r} is not name=address")
        known = given.get(name.lower(), ())
        given[name.lower()] = known if found in known else (*known, found)
    return given


def _counters(addresses: Sequence[str], port: int) -> dict[str, Counter]:
    """The kernel knows what goes out to the target; it is asked for IPv4 alone."""
    if any(":" in address for address in addresses):
        return {}
    rules = tuple(Rule(remote=Host(address, port)) for address in addresses)
    return {"kernel": KernelCounter({"client_to_cas": rules})}
