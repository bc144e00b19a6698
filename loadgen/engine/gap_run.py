"""Both views of one topology, measured: a search for each client type alone, LoadGen's first."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import msgspec

from loadgen.capacity.gap import Gap, GapRow, gap_of, is_loadgens, row_of
from loadgen.client.client_type import ClientType
from loadgen.engine.capacity_run import FEWEST, find_capacity
from loadgen.engine.climb import Aim
from loadgen.engine.exit_codes import exit_code_of
from loadgen.engine.interrupts import interrupted_by
from loadgen.engine.progress import Progress
from loadgen.errors import LoadgenError
from loadgen.measure.threshold import EXIT_BUG, EXIT_UNREACHABLE
from loadgen.telemetry.meter import Meter
from loadgen.workload.campaign import Campaign, Group, UserGroup, groups_of

LOADGENS_CLIENT: Final = "loadgen-2007-online"
"""Stands for LoadGen where a campaign has none of its types: they all open the same."""
_ENDS_ALL: Final = (EXIT_BUG, EXIT_UNREACHABLE)


async def measure_gap(
    campaign: Campaign,
    aim: Aim,
    target: str,
    *,
    say: Callable[[str], None],
    on_progress: Callable[[Progress], None],
    command: str = "",
    meter: Meter | None = None,
) -> Gap:
    """How many users of each client type of the campaign fit, and how many of LoadGen's.

    Users only hold their connections. With ``startup = on`` everything is measured twice: steady, and with
    what only starting needs. An interrupt ends it, with what has been found by then, and so does an error of
    a later search; of the first they are those of :func:`~loadgen.engine.capacity_run.find_capacity`.
    """
    search = partial(
        find_capacity,
        aim=msgspec.structs.replace(aim, hold_only=True),
        target=target,
        say=say,
        on_progress=on_progress,
        command=command,
        meter=meter,
    )
    rows: list[GapRow] = []
    failure: LoadgenError | None = None
    is_interrupted, task = False, asyncio.current_task()

    def interrupt() -> None:
        """While no search is under way that would end in good order."""
        nonlocal is_interrupted
        is_interrupted = True
        if task is not None:
            task.cancel()

    try:
        with interrupted_by(interrupt):
            for client, alone in _each_alone(campaign):
                say(f"{client.name}, start-up {alone.startup}")
                found = await search(alone)
                rows.append(row_of(client, found.capacity, str(found.folder)))
                is_interrupted = is_interrupted or found.is_interrupted
                if is_interrupted or found.capacity.exit_code in _ENDS_ALL:
                    break
    except asyncio.CancelledError:
        if not is_interrupted:
            raise
    except LoadgenError as error:
        if not rows:
            raise
        failure = error
    gap = gap_of(campaign.name, campaign.topology, campaign.limit_scale, rows, is_interrupted=is_interrupted)
    if failure is None:
        return gap
    return msgspec.structs.replace(gap, error=str(failure), exit_code=exit_code_of(failure))


def _each_alone(campaign: Campaign) -> Iterator[tuple[ClientType, Campaign]]:
    """What each search is for, and its campaign."""
    for startup in ("off", "on") if campaign.startup == "on" else ("off",):
        for group, kind in one_of_each(campaign):
            yield (
                kind.client,
                msgspec.structs.replace(
                    campaign,
                    name=f"{campaign.name}-{kind.client.name}-{'starting' if startup == 'on' else 'steady'}",
                    groups=(group,),
                    startup=startup,
                ),
            )


def one_of_each(campaign: Campaign) -> list[tuple[Group, UserGroup]]:
    """A group of each client type, LoadGen's first; only one of LoadGen's, and one in any case."""
    with_loadgens = (
        *campaign.groups,
        *(msgspec.structs.replace(group, client=LOADGENS_CLIENT) for group in campaign.groups[:1]),
    )
    groups = tuple(msgspec.structs.replace(group, users=FEWEST) for group in with_loadgens)
    pairs = zip(groups, groups_of(msgspec.structs.replace(campaign, groups=groups)), strict=True)
    loadgens: list[tuple[Group, UserGroup]] = []
    real: dict[str, tuple[Group, UserGroup]] = {}
    for group, kind in pairs:
        if is_loadgens(kind.client):
            loadgens.append((group, kind))
        else:
            real.setdefault(kind.client.name, (group, kind))
    return [*loadgens[:1], *real.values()]
