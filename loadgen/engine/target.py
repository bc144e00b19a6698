"""What a run is directed at: a mock organisation, its own or one that runs already, or a real RPC proxy."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

import aiohttp
import msgspec

from loadgen.client.account import RpcProxy
from loadgen.client.account_source import AccountSource
from loadgen.client.dialect import Dialect
from loadgen.client.inside import Inside
from loadgen.client.organisation import Organisation
from loadgen.engine.endpoint import (
    count_accounts,
    is_real,
    open_endpoint,
    refuse_credentials,
    require_permission,
)
from loadgen.errors import ProfileError, TransportError
from loadgen.measure.connections import Counter, KernelCounter, MockCounter, organisation_filters
from loadgen.measure.fetch import why
from loadgen.measure.limits import AskLimits, CountedLimits
from loadgen.measure.server_counters import MockServerCounters
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population

START_PATIENCE_S: Final = 30.0
STOP_PATIENCE_S: Final = 10.0
LAST_WORDS_S: Final = 1.0
LONGEST_LINE: Final = 1 << 20
_HTTP_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_REASON: Final = "mock_server: "
"""What the line begins with in which a mock says why it ends."""
_WRONG_TOPOLOGY: Final = 2
"""The exit status of a mock that was told something wrong."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's users go, whatever it is; for a mock organisation also that, and its process if ours."""

    name: str
    proxies: tuple[RpcProxy, ...]
    """One for each address, so that its share of the users keeps to it."""
    accounts: AccountSource
    counters: Mapping[str, Counter]
    """Who counts connections besides the clients, by party; what nobody can see is null in the results."""
    dialect: Dialect
    dialect_reason: str = ""
    """What tells that it is this one."""
    inside: Inside = Inside()
    """The servers, for client types that go straight to them."""
    limits: AskLimits | None = None
    """Who says how far the servers' limits are used, if anybody does."""
    organisation: Organisation | None = None
    process: Process | None = None

    @property
    def past_dsproxy(self) -> bool:
        """Whether its users are referred to global catalogs, as far as that is known."""
        return self.organisation is not None and self.organisation.past_dsproxy

    def gone(self) -> str:
        """How the mock ended, if it was ours and has; else ""."""
        if self.process is None or self.process.returncode is None:
            return ""
        return f"the mock organisation ended by itself ({_describe_exit(self.process.returncode)})"


@asynccontextmanager
async def open_target(
    text: str, campaign: Campaign, population: Population, say: Callable[[str], None]
) -> AsyncIterator[Target]:
    """The target that ``text`` names: ``mock``, ``mock=URL`` with a running mock's counters, or a real one.

    A mock of our own is of the campaign's topology; ``say`` gets what it writes to its standard error, but
    for the reason why it ends, which is the error's. Raises :class:`~loadgen.errors.ProfileError` or
    :class:`~loadgen.errors.TransportError`.
    """
    refuse_credentials(text)
    if is_real(text):
        _warn_of_servers(campaign, text, say)
        endpoint = await open_endpoint(text, campaign, population, say)
        yield Target(name=text, **msgspec.structs.asdict(endpoint))
        return
    kind, separator, url = text.partition("=")
    if kind != "mock" or (separator and not url.startswith("http://")):
        raise ProfileError(
            f"option: target: {text!r} is not known; allowed: mock (started for this run), "
            "mock=http://ADDRESS:PORT (the counters_url of a running 'loadgen mock'), or "
            "https://HOST[:PORT] (a real RPC proxy; http:// without TLS)"
        )
    if separator:
        _warn_of_servers(campaign, url, say)
        target = mock_target(text, await _ask(url, population.users))
        require_permission(campaign, text, [proxy.host for proxy in target.proxies])
        yield target
        return
    process = await _start(campaign, population.users)
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes")
    listening = asyncio.create_task(_pass_on(process.stderr, say))
    try:
        yield mock_target(text, await _first_line(process, process.stdout, listening), process)
    finally:
        await _stop(process)
        await asyncio.wait((listening,), timeout=LAST_WORDS_S)
        listening.cancel()


def _warn_of_servers(campaign: Campaign, url: str, say: Callable[[str], None]) -> None:
    """Says so if the campaign asks for servers of its own, where there are some already."""
    if campaign.topology != Campaign().topology or campaign.limit_scale is not None or campaign.set:
        say(f"Warning: topology, limit_scale and set change no server here: {url} runs already")


async def accounts_at_hand(text: str, campaign: Campaign) -> int | None:
    """How many accounts a target has for a campaign; None if as many as are wanted.

    Raises :class:`~loadgen.errors.ProfileError` or :class:`~loadgen.errors.TransportError`.
    """
    if is_real(text):
        return None if campaign.share_accounts else count_accounts(campaign)
    kind, separator, url = text.partition("=")
    refuse_credentials(text)
    return (await _ask(url, 0)).accounts.count if kind == "mock" and separator else None


def mock_target(name: str, organisation: Organisation, process: Process | None = None) -> Target:
    """A mock organisation as a target. It always counts; this machine's kernel can if the roles are on it."""
    counters: dict[str, Counter] = {"mock": MockCounter(organisation.counters_url)}
    if all(ip_address(cas.address).is_loopback for cas in organisation.cas):
        counters["kernel"] = KernelCounter(organisation_filters(msgspec.to_builtins(organisation)))
    return Target(
        name=name,
        proxies=organisation.proxies,
        accounts=organisation,
        counters=counters,
        dialect=library.read("dialect", _client_dialect(organisation), Dialect),
        dialect_reason="the mock says so",
        inside=organisation.inside,
        limits=CountedLimits(MockServerCounters(organisation.counters_url)),
        organisation=organisation,
        process=process,
    )


def _client_dialect(organisation: Organisation) -> str:
    """What its clients speak; for mocks of Exchange, whose names are never ambiguous, one of their own."""
    return "mock" if organisation.dialect == "exchange2007" else organisation.dialect


async def _start(campaign: Campaign, users: int) -> Process:
    """A session of its own keeps Ctrl-C from it; its standard input ends with this process, and it too."""
    scale = campaign.limit_scale
    changes = (*campaign.set, *(() if scale is None else (f"limits.scale={scale}",)))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mock_server", "--json"),
        *("--users", str(users), "--base-address", _own_addresses(), "--verbose"),
        *(f"--set={change}" for change in changes),
        *("--", campaign.topology),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=LONGEST_LINE,
        start_new_session=True,
    )


def _own_addresses() -> str:
    """Runs at the same time get loopback addresses of their own, so they do not disturb each other."""
    pid = os.getpid()
    return f"127.{16 + pid % 200}.{pid // 200 % 250}.0"


async def _pass_on(errors: asyncio.StreamReader, say: Callable[[str], None]) -> str:
    """Until the mock has ended: what it says must neither disturb a live display nor fill its pipe.

    Returns why it ended, if it said so.
    """
    reason = ""
    async for line in errors:
        text = line.decode(errors="replace").rstrip()
        if text.startswith(_REASON):
            reason = text.removeprefix(_REASON)
        else:
            say(text)
    return reason


async def _first_line(
    process: Process, output: asyncio.StreamReader, listening: "asyncio.Task[str]"
) -> Organisation:
    reason = ""
    try:
        async with asyncio.timeout(START_PATIENCE_S):
            line = await output.readline()
            if not line:
                await process.wait()
                reason = await listening
    except TimeoutError:
        raise TransportError(f"the mock organisation was not ready after {START_PATIENCE_S:g} s") from None
    if not line:
        if process.returncode == _WRONG_TOPOLOGY and reason:
            raise ProfileError(f"topology: {reason}")
        reason = reason or f"{_describe_exit(process.returncode or 0)}; try 'loadgen mock'"
        raise TransportError(f"the mock organisation did not start: {reason}")
    return Organisation.decode(line, "the mock's first line")


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _ask(url: str, users: int) -> Organisation:
    address = f"{url.rstrip('/')}/organisation"
    try:
        async with aiohttp.ClientSession(timeout=_HTTP_TIMEOUT) as session, session.get(address) as answer:
            text = await answer.read()
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransportError(f"{address}: {why(error)}; is the mock running?") from None
    if status != 200:
        raise TransportError(
            f"{address} answered {status}; give the counters_url that the running 'loadgen mock' printed, "
            "nothing added"
        )
    organisation = Organisation.decode(text, address)
    if organisation.accounts.count < users:
        raise ProfileError(
            f"option: target: {url} has {organisation.accounts.count:,} accounts, and this campaign needs "
            f"{users:,}; start it with --users {users}"
        )
    return organisation


def _describe_exit(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
