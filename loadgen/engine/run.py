"""One run from a campaign to a summary: target, shards, results folder, and what a signal does."""

import secrets
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Final

import msgspec

from loadgen.client.account_source import elsewhere
from loadgen.client.organisation import Organisation
from loadgen.engine.beforehand import require_own, require_writable
from loadgen.engine.control import Control
from loadgen.engine.control_socket import NoSocket, control_socket
from loadgen.engine.coordinator import Coordinator
from loadgen.engine.counter_log import CounterLog, every_s
from loadgen.engine.headcount import Headcount
from loadgen.engine.interrupts import interrupted_by
from loadgen.engine.limit_watch import LimitWatch
from loadgen.engine.links import kill_local_workers, local_links
from loadgen.engine.progress import Progress
from loadgen.engine.security import INSECURE
from loadgen.engine.shards import Machine, Requirements, cut, require
from loadgen.engine.tally import Tally
from loadgen.engine.target import Target, open_target
from loadgen.errors import PeerError, ProfileError
from loadgen.measure.limits import AskLimits, CountedLimits
from loadgen.measure.scrape import Scraper
from loadgen.measure.server_counters import AskCounters, ExporterCounters, MockServerCounters
from loadgen.measure.store import RunRecord, RunStore
from loadgen.report.limit_check import LimitCheck
from loadgen.report.summary import Summary
from loadgen.telemetry.meter import Meter
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population
from loadgen.workload.duration import Duration
from loadgen.workload.limit_set import read_limit_set

MOST_SOURCE_ADDRESSES: Final = 4096

ByHand = Callable[[Control], AbstractContextManager[object]]


class Finished(msgspec.Struct, frozen=True):
    """What a run found, and where its files are."""

    summary: Summary
    folder: Path


async def run(
    campaign: Campaign,
    population: Population,
    target: str,
    *,
    say: Callable[[str], None],
    on_progress: Callable[[Progress], None],
    command: str = "",
    lead: Callable[..., Coordinator] = Coordinator,
    by_hand: ByHand = nullcontext,
    meter: Meter | None = None,
) -> Finished:
    """Runs a campaign; ``say`` gets what a user should know before it starts, ``command`` repeats it.

    ``lead`` makes the coordinator of another kind of run, from what the ordinary one is made. ``by_hand``
    lets whoever sits before it control the run while it lasts; ``meter`` shows others its figures.

    Raises :class:`~loadgen.errors.LoadgenError` if it cannot start, or if its results cannot be written.
    """
    sources, limit_check = _beforehand(campaign)
    campaign = within_rate(campaign, population, say)
    # Signals are ours until the target has ended, too.
    async with AsyncExitStack() as signals, open_target(target, campaign, population, say) as opened:
        population = population.adapted(opened.dialect.adapt)
        requirements = _requirements(campaign, population, opened, sources, say)
        scraper = await _scraper(campaign, say)
        look_every_s = every_s(campaign.duration_s)
        started, started_ns = datetime.now(UTC), time.monotonic_ns()
        scraped = scraper.names if scraper else ()
        store = RunStore.create(Path(campaign.out), campaign.name, started, started_ns, scraped)
        say(f"results: {store.folder}/")
        with store:
            record = _record(campaign, population, opened, started, started_ns, command)
            limits = LimitWatch(await asked_of_limits(opened, scraper))
            tally = Tally(campaign, population, store, record, time.monotonic_ns, limits, limit_check, meter)
            links = local_links(cut(campaign, population, opened, sources, requirements, record.run_id))
            coordinator = lead(
                campaign,
                population,
                links,
                tally,
                Headcount(population, links, opened.counters, past_dsproxy=opened.past_dsproxy),
                target_gone=opened.gone,
                on_progress=on_progress,
                limits=limits,
                scraper=scraper,
                counter_log=CounterLog(
                    store, counter_sources(opened, scraper), limit_check, started_ns, every_s=look_every_s
                ),
            )
            if coordinator.takes:
                say(coordinator.takes)
            signals.enter_context(interrupted_by(partial(_interrupt, coordinator, say)))
            try:
                async with _controlled(coordinator, store, record, say, by_hand):
                    await coordinator.run()
            finally:
                if coordinator.ending.interrupted:
                    kill_local_workers()
            return Finished(tally.finish(coordinator.ending, _now(), coordinator.judged), store.folder)


def _beforehand(campaign: Campaign) -> tuple[tuple[str, ...], LimitCheck | None]:
    """Source addresses and limits to keep to, after looking whether this machine has what they say."""
    sources = source_addresses(campaign.source_ip)
    require_own(sources)
    require_writable(Path(campaign.out))
    return sources, LimitCheck(read_limit_set(campaign.limit_set)) if campaign.limit_set else None


def _requirements(
    campaign: Campaign,
    population: Population,
    target: Target,
    sources: tuple[str, ...],
    say: Callable[[str], None],
) -> Requirements:
    """What the run needs of this machine, and of the target, which both have; says what is worth knowing."""
    if target.organisation is not None:
        require_servers(population, target.organisation)
    addresses = max(1, len(sources))
    requirements = require(campaign, population, len(target.proxies), addresses, Machine.here())
    say(str(requirements))
    if campaign.tls_insecure and any(proxy.tls for proxy in target.proxies):
        say(INSECURE)
    return requirements


async def _scraper(campaign: Campaign, say: Callable[[str], None]) -> Scraper | None:
    """Who asks for the target's own counters, if the campaign says where."""
    if campaign.counters_url is None:
        return None
    scraper = Scraper(campaign.counters_url, campaign.counters)
    if warning := await scraper.choose():
        say(f"Warning: {warning}")
    return scraper


async def asked_of_limits(target: Target, scraper: Scraper | None) -> AskLimits | None:
    """Who says how far limits are used: the target, or else what is scraped, if that knows of any."""
    if target.limits is not None or scraper is None:
        return target.limits
    ask = CountedLimits(ExporterCounters(scraper))
    try:
        return ask if await ask() else None
    except PeerError:
        return None


def counter_sources(target: Target, scraper: Scraper | None) -> list[AskCounters]:
    """Whom to ask for the servers' performance counters."""
    sources: list[AskCounters] = []
    if target.organisation is not None:
        sources.append(MockServerCounters(target.organisation.counters_url))
    if scraper is not None:
        sources.append(ExporterCounters(scraper))
    return sources


def within_rate(campaign: Campaign, population: Population, say: Callable[[str], None]) -> Campaign:
    """The campaign with a ramp that ``logons_per_s`` allows."""
    shortest_s = population.users / campaign.logons_per_s if campaign.logons_per_s else 0.0
    if campaign.ramp >= shortest_s:
        return campaign
    say(f"ramp: {shortest_s:g} s instead of {campaign.ramp:g} s, since logons_per_s allows no more")
    return msgspec.structs.replace(campaign, ramp=Duration(shortest_s))


def require_servers(population: Population, organisation: Organisation) -> None:
    """Raises :class:`~loadgen.errors.ProfileError` if a client type needs a server that is not there."""
    for group in population.groups:
        if group.client.second_mailbox and elsewhere(organisation, organisation.account(0)) is None:
            raise ProfileError(
                f"client type {group.client.name}: second_mailbox: the target has one mailbox server only"
            )
        if group.client.connections.public_folder and not organisation.accounts.public_servers:
            raise ProfileError(
                f"client type {group.client.name}: connections.public_folder: "
                "the target has no public folder server"
            )


def source_addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Single addresses and ranges (``127.0.30.1-127.0.30.9``) as a list; raises ``ProfileError``."""
    addresses: dict[str, None] = {}
    for text in texts:
        first_text, _, last_text = text.partition("-")
        try:
            first, last = IPv4Address(first_text.strip()), IPv4Address((last_text or first_text).strip())
        except AddressValueError:
            raise ProfileError(
                f"source_ip: {text!r} is neither an IPv4 address nor a range such as 10.0.0.1-10.0.0.9"
            ) from None
        count = int(last) - int(first) + 1
        if not 1 <= count <= MOST_SOURCE_ADDRESSES:
            raise ProfileError(
                f"source_ip: {text!r} is not a range of 1 to {MOST_SOURCE_ADDRESSES:,} addresses"
            )
        addresses |= dict.fromkeys(str(first + step) for step in range(count))
    return tuple(addresses)


@asynccontextmanager
async def _controlled(
    coordinator: Coordinator, store: RunStore, record: RunRecord, say: Callable[[str], None], by_hand: ByHand
) -> AsyncIterator[None]:
    """By socket, where there can be one, and by hand."""
    async with AsyncExitStack() as controls:
        try:
            path = await controls.enter_async_context(control_socket(store.folder, coordinator))
        except NoSocket as problem:
            say(f"Warning: no control socket: {problem}")
        else:
            record.control = str(path.absolute())
            say(f"control: loadgen control {shlex.quote(str(store.folder))} status")
        controls.enter_context(by_hand(coordinator))
        yield


def _interrupt(coordinator: Coordinator, say: Callable[[str], None]) -> None:
    say("interrupted: the run ends in good order; interrupt again to end it at once")
    coordinator.interrupt()


def _record(
    campaign: Campaign,
    population: Population,
    target: Target,
    started: datetime,
    started_ns: int,
    command: str,
) -> RunRecord:
    return RunRecord(
        campaign=library.to_table(campaign),
        client_types={group.client.name: library.to_table(group.client) for group in population.groups},
        message_profiles={group.profile.name: library.to_table(group.profile) for group in population.groups},
        seed=campaign.seed,
        run_id=secrets.token_hex(4),
        target=target.name,
        dialect=target.dialect.name,
        dialect_reason=target.dialect_reason,
        command=command,
        started=started.isoformat(timespec="milliseconds"),
        started_ns=started_ns,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
