"""``loadgen capacity``: how many users a target holds, and what stops the next one."""

import asyncio
import sys
from typing import Final

import click
import msgspec

from loadgen.capacity import found_text
from loadgen.cli.campaign_options import (
    campaign_options,
    choose_campaign,
    own_groups,
    population_options,
)
from loadgen.cli.debug import debug_option
from loadgen.cli.output import reader_may_leave
from loadgen.cli.progress import progress_display
from loadgen.cli.repeat import repeat_command
from loadgen.engine.capacity_run import find_capacity
from loadgen.engine.climb import Aim
from loadgen.errors import ProfileError
from loadgen.workload.duration import Duration

_EPILOG: Final = """\b
Examples:
  loadgen capacity --topology white-paper --limit-scale 0.002 --startup off
  loadgen capacity my-campaign.toml --threshold 'operations.send_message.response_ms.p95 < 1000' --plateau 60s
  loadgen capacity my-campaign.toml --target https://mail.example.org --users-file users.csv --step 50
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--target",
    default="mock",
    show_default=True,
    help="mock, mock=URL of a running 'loadgen mock', or https://HOST[:PORT] of a real RPC proxy.",
)
@population_options
@click.option(
    "--ceiling",
    type=click.IntRange(min=1),
    help="Never more users than this; default: by the plan, or as many as there are accounts.",
)
@click.option(
    "--step", type=click.IntRange(min=1), help="So many users more each time; default: twice as many."
)
@click.option(
    "--plateau",
    default=str(Duration(Aim().plateau_s)),
    show_default=True,
    help="How long each number of users is held and judged.",
)
@click.option("--hold-only", is_flag=True, help="Users hold their connections and do no work.")
@campaign_options()
@click.option("--json", "as_json", is_flag=True, help="Print capacity.json instead of the answer as text.")
@debug_option
@click.pass_context
def capacity(
    ctx: click.Context,
    /,
    campaign: str | None,
    target: str,
    groups: tuple[str, ...],
    users: int | None,
    client: str | None,
    profile: str | None,
    ceiling: int | None,
    step: int | None,
    plateau: str,
    hold_only: bool,
    as_json: bool,
    **options: object,
) -> None:
    """Find how many users of CAMPAIGN's mix a target holds, and which limit or threshold stops the next one.

    Groups of users are shares: their number is what is looked for. The exit code is 0 when it was found.
    """
    chosen = choose_campaign(campaign, own_groups(groups, users, client, profile), options)
    aim = Aim(ceiling=ceiling, step=step or 0, plateau_s=_plateau_s(plateau), hold_only=hold_only)
    with progress_display(chosen.name) as display:
        found = asyncio.run(
            find_capacity(
                chosen,
                aim,
                target,
                say=display.say,
                on_progress=display.show,
                command=repeat_command(sys.argv[1:]),
            )
        )
    with reader_may_leave():
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(found.capacity), indent=2))
        else:
            found_text.show(found.capacity, found.folder)
    ctx.exit(found.capacity.exit_code)


def _plateau_s(text: str) -> float:
    try:
        seconds = float(Duration.parse(text))
    except ValueError as error:
        raise ProfileError(f"option: plateau: {error}") from None
    if not seconds:
        raise ProfileError("option: plateau: must be longer than 0s")
    return seconds
