"""A search for the capacity, from a campaign to ``capacity.json``: how far it may go, what the plan says."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from loadgen.capacity.ceilings import Ceiling, ceilings
from loadgen.capacity.found import Capacity, Mix, Planned, compare, require_judgeable, stopped_by
from loadgen.capacity.search import Search
from loadgen.client.client_type import RECIPIENTS_PER_MESSAGE
from loadgen.engine.climb import LOG_ONS_PER_S, Aim, Climb
from loadgen.engine.coordinator import Coordinator
from loadgen.engine.progress import Progress
from loadgen.engine.run import Finished, run
from loadgen.engine.target import accounts_at_hand
from loadgen.errors import ProfileError
from loadgen.measure import threshold
from loadgen.measure.store import write_json
from loadgen.telemetry.meter import Meter
from loadgen.workload.campaign import Campaign, Population, populate
from loadgen.workload.duration import Duration
from loadgen.workload.limit_set import read_limit_set
from loadgen.workload.topology import Topology, read_topology

FILE: Final = "capacity.json"
ROOM_ABOVE_PLAN: Final = 1.25
"""How far a search may go beyond the plan, which may be wrong."""
FEWEST: Final = RECIPIENTS_PER_MESSAGE + 1
"""A campaign has no less, even if a search is to let in fewer of them: each message goes to so many."""
MOST_PLATEAUS: Final = 60
OVERHEAD_S: Final = 5.0
"""What a plateau takes besides its own length, at most, when few users come or go."""

Say = Callable[[str], None]


class Found(msgspec.Struct, frozen=True):
    """What a search found, and where its files are."""

    capacity: Capacity
    folder: Path
    is_interrupted: bool = False
    """Whether somebody wants an end, be it when the answer was there already."""


async def find_capacity(
    campaign: Campaign,
    aim: Aim,
    target: str,
    *,
    say: Say,
    on_progress: Callable[[Progress], None],
    command: str = "",
    meter: Meter | None = None,
) -> Found:
    """Raises the population until something stops it.

    Arguments and errors are as of :func:`~loadgen.engine.run.run`. The groups of the campaign are shares
    of the mix. Users hold what only starting needs until the end, as if all had come at the same time.
    """
    of_set = read_limit_set(campaign.limit_set).thresholds if campaign.limit_set else ()
    require_judgeable((*threshold.parse_all(campaign.threshold), *of_set), hold_only=aim.hold_only)
    topology = planned_topology(campaign, target)
    ceiling = await _ceiling(campaign, aim, target, topology)
    sized = with_users(campaign, max(FEWEST, ceiling))
    longest_s = _longest_s(sized, aim)
    sized = msgspec.structs.replace(
        sized,
        ramp=Duration(ceiling / (campaign.logons_per_s or LOG_ONS_PER_S)),
        duration=Duration(longest_s),
        warmup=Duration(0),
        startup_hold=Duration(2 * longest_s + 3600),
        session_length=Duration(0),
        retry_refused=0,
    )
    population = populate(sized, mixed=True)
    climbs: list[Climb] = []

    def lead(*parts: object, **more: object) -> Coordinator:
        climbs.append(Climb(Search(ceiling=ceiling, step=aim.step), aim, longest_s, say, *parts, **more))
        return climbs[0]

    say(f"looking for the capacity, up to {ceiling:,} users")
    finished = await run(
        sized,
        population,
        target,
        say=say,
        on_progress=on_progress,
        command=command,
        lead=lead,
        meter=meter,
    )
    first = None if topology is None else _first(topology, population, startup=sized.startup == "on")
    plan = partial(compare, topology.name, first) if topology is not None else None
    capacity = _capacity(sized, population, aim, target, climbs[0], finished, plan)
    write_json(finished.folder / FILE, capacity)
    return Found(capacity, finished.folder, climbs[0].ending.interrupted)


def with_users(campaign: Campaign, users: int) -> Campaign:
    """The campaign with so many users in all, in the same shares as near as whole users can be.

    Groups that are left without any go.
    """
    sizes = _shares([group.users for group in campaign.groups], users)
    groups = tuple(
        msgspec.structs.replace(group, users=size)
        for group, size in zip(campaign.groups, sizes, strict=True)
        if size
    )
    return msgspec.structs.replace(campaign, groups=groups)


def planned_topology(campaign: Campaign, target: str) -> Topology | None:
    """The topology to plan with: the mock's own, or for other targets the one that the campaign describes."""
    described = campaign.topology != Campaign().topology or campaign.set or campaign.limit_scale
    if target != "mock" and not described:
        return None
    topology = read_topology(campaign.topology, campaign.set)
    return topology if campaign.limit_scale is None else topology.with_scale(campaign.limit_scale)


def _shares(sizes: Sequence[int], users: int) -> list[int]:
    """Whole parts by largest remainder."""
    total = sum(sizes)
    if not total:
        return list(sizes)
    parts = [size * users // total for size in sizes]
    behind = sorted(range(len(sizes)), key=lambda at: (-(sizes[at] * users % total), at))
    for at in behind[: users - sum(parts)]:
        parts[at] += 1
    return parts


async def _ceiling(campaign: Campaign, aim: Aim, target: str, topology: Topology | None) -> int:
    """The largest number that the search may try: as asked, by the plan, or by the accounts at hand."""
    accounts = await accounts_at_hand(target, campaign)
    if aim.ceiling is not None:
        if accounts is not None and aim.ceiling > accounts:
            raise ProfileError(
                f"option: ceiling: {target} has {accounts:,} accounts, not enough for {aim.ceiling:,} users"
            )
        return aim.ceiling
    first = None
    if topology is not None:
        startup = campaign.startup == "on"
        first = _first(topology, populate(campaign, mixed=True), startup=startup)
    planned = campaign.users if first is None else max(FEWEST, int(first.users * ROOM_ABOVE_PLAN) + 1)
    if accounts is None:
        return planned
    return accounts if first is None else min(planned, accounts)


def _first(topology: Topology, population: Population, *, startup: bool) -> Ceiling | None:
    found = ceilings(topology, population, startup=startup)
    return found[0] if found else None


def _longest_s(campaign: Campaign, aim: Aim) -> float:
    """How long the search may take: schedules are drawn for so long, so it has an end."""
    there_and_back_s = 2 * campaign.users / (campaign.logons_per_s or LOG_ONS_PER_S)
    plateaus = MOST_PLATEAUS + (campaign.users // aim.step if aim.step else 0)
    return plateaus * (aim.plateau_s + OVERHEAD_S) + 4 * there_and_back_s


def _capacity(
    campaign: Campaign,
    population: Population,
    aim: Aim,
    target: str,
    climb: Climb,
    finished: Finished,
    plan: Callable[[Search, str | None], Planned] | None,
) -> Capacity:
    search, summary = climb.search, finished.summary
    stopped = stopped_by(search)
    is_limit = stopped == "limit" and search.failed is not None
    tables = summary.connections
    return Capacity(
        campaign=campaign.name,
        target=target,
        verdict=summary.verdict,
        reasons=summary.reasons,
        exit_code=summary.exit_code,
        users=search.held,
        stopped_by=stopped,
        limit=(search.failed.limit or None) if is_limit and search.failed is not None else None,
        server=climb.server if is_limit else None,
        ceiling=search.ceiling,
        startup=campaign.startup == "on",
        hold_only=aim.hold_only,
        plateau_s=aim.plateau_s,
        groups=tuple(
            Mix(len(population.members(number, search.held)), group.client.name, group.profile.name)
            for number, group in enumerate(population.groups)
        ),
        evidence=climb.evidence if is_limit else None,
        plan=None if plan is None else plan(search, climb.server),
        connections=tables.peak or tables.steady,
        steps=tuple(climb.steps),
        generator=summary.generator,
    )
