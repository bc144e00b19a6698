"""``loadgen capacity``: how many users a target holds, and what stops the next one."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import click

from loadgen.capacity import found_text
from loadgen.capacity import gap as gap_table
from loadgen.capacity.found import Capacity
from loadgen.capacity.gap import Gap
from loadgen.cli.campaign_options import (
    DEFAULT_CAMPAIGN,
    campaign_options,
    choose_campaign,
    export_options,
    own_groups,
    population_options,
    target_option,
)
from loadgen.cli.junit import junit_option
from loadgen.cli.output import also_in, json_option, print_json
from loadgen.cli.progress import Manner, manner_options, progress_display
from loadgen.cli.repeat import repeat_command
from loadgen.engine.capacity_run import Found, find_capacity
from loadgen.engine.climb import Aim
from loadgen.engine.endpoint import ask_beforehand
from loadgen.engine.gap_run import measure_gap
from loadgen.errors import ProfileError
from loadgen.measure.threshold import EXIT_FAIL, EXIT_PASS, EXIT_UNREACHABLE
from loadgen.report.junit import verdict_case, write_junit
from loadgen.telemetry.export import Exports, exporting
from loadgen.workload.duration import Duration

GAP_CAMPAIGN: Final = "gap"
GAP_PLATEAU_S: Final = 0.5
DECIDED_BY_SEARCH: Final = (
    "duration",
    "warmup",
    "ramp",
    "startup-hold",
    "hold",
    "retry-refused",
    "retry-refused-after",
    "session-length",
)
"""Keys of a campaign that mean nothing here: a search decides by itself who comes and goes, and when."""

_EPILOG: Final = """\b
Examples:
  loadgen capacity --topology white-paper --limit-scale 0.002 --startup off
  loadgen capacity my-campaign.toml --threshold 'operations.send_message.response_ms.p95 < 1000' --plateau 60s
  loadgen capacity my-campaign.toml --target https://mail.example.org --users-file users.csv --step 50
  loadgen capacity --gap
"""


@click.command(epilog=_EPILOG)
@target_option
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
    help=f"How long each number of users is held and judged; default: {Duration(Aim().plateau_s)}, of --gap "
    f"{Duration(GAP_PLATEAU_S)}.",
)
@click.option("--hold-only", is_flag=True, help="Users hold their connections and do no work.")
@click.option(
    "--gap",
    is_flag=True,
    help="Measure each client type alone beside LoadGen's, connections only; default CAMPAIGN: "
    f"'{GAP_CAMPAIGN}'.",
)
@campaign_options(but=DECIDED_BY_SEARCH)
@json_option("capacity.json")
@export_options
@manner_options
@junit_option
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
    plateau: str | None,
    hold_only: bool,
    gap: bool,
    junit: Path | None,
    as_json: bool,
    metrics: str | None,
    otlp: str | None,
    manner: Manner | None,
    **options: object,
) -> None:
    """Find how many users of CAMPAIGN's mix a target holds, and which limit or threshold stops the next one.

    Groups of users are shares: their number is what is looked for. The exit code is 0 when it was found.
    """
    own = own_groups(groups, users, client, profile)
    chosen = choose_campaign(campaign, own, options, GAP_CAMPAIGN if gap else DEFAULT_CAMPAIGN)
    aim = Aim(
        ceiling=ceiling,
        step=step or 0,
        plateau_s=_plateau_s(plateau) if plateau else GAP_PLATEAU_S if gap else Aim().plateau_s,
        hold_only=hold_only,
    )
    search: Callable[..., Coroutine[Any, Any, Gap | Found]] = measure_gap if gap else find_capacity
    command = repeat_command(sys.argv[1:])
    exports = Exports.parse(metrics, otlp)
    ask_beforehand(target, chosen)
    with progress_display(chosen.name, manner=manner) as display, exporting(exports, display.say) as meter:
        result = asyncio.run(
            search(
                chosen,
                aim,
                target,
                say=display.say,
                on_progress=display.show,
                command=command,
                meter=meter,
            )
        )
    found = result.capacity if isinstance(result, Found) else result
    if junit is not None:
        told = (found.verdict, found.reasons) if isinstance(found, Capacity) else _gap_verdict(found)
        write_junit(junit, chosen.name, [verdict_case(*told)])
    _print(result, as_json=as_json)
    ctx.exit(found.exit_code)


def _print(result: Gap | Found, *, as_json: bool) -> None:
    with also_in(result.folder) if isinstance(result, Found) else nullcontext():
        if as_json:
            print_json(result.capacity if isinstance(result, Found) else result)
        elif isinstance(result, Found):
            found_text.show(result.capacity, result.folder)
        else:
            gap_table.show(result)


def _gap_verdict(found: Gap) -> tuple[str, tuple[str, ...]]:
    code = found.exit_code
    verdict = "PASS" if code == EXIT_PASS else "FAIL" if code in (EXIT_FAIL, EXIT_UNREACHABLE) else "INVALID"
    return verdict, ((found.error or f"exit code {code}",) if code else ())


def _plateau_s(text: str) -> float:
    try:
        seconds = float(Duration.parse(text))
    except ValueError as error:
        raise ProfileError(f"option: plateau: {error}") from None
    if not seconds:
        raise ProfileError("option: plateau: must be longer than 0s")
    return seconds
