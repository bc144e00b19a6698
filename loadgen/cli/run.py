"""``loadgen run``: a campaign against a target, with progress, an end screen and an exit code."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import click

from loadgen.cli.campaign_options import (
    campaign_options,
    choose_campaign,
    export_options,
    own_groups,
    population_options,
    target_option,
)
from loadgen.cli.html_report import write_html_report
from loadgen.cli.junit import junit_option
from loadgen.cli.keyboard import by_keys
from loadgen.cli.output import also_in, json_option, print_json
from loadgen.cli.progress import Manner, manner_options, progress_display
from loadgen.cli.repeat import repeat_command
from loadgen.engine.endpoint import ask_beforehand
from loadgen.engine.run import run as run_campaign
from loadgen.report import text
from loadgen.report.junit import cases_of, write_junit
from loadgen.telemetry.export import Exports, exporting
from loadgen.workload.campaign import populate

_EPILOG: Final = """\b
Examples:
  loadgen run
  loadgen run my-campaign.toml --speed 60 --threshold 'operations.send_message.response_ms.p95 < 1000'
  loadgen run --group 50:outlook2007-online-anywhere:heavy --group 50:outlook2003-online-anywhere:light
  loadgen run --users 500 --client outlook2007-online-anywhere --profile medium --speed 60 --duration 2m
"""


@click.command(epilog=_EPILOG)
@target_option
@population_options
@campaign_options()
@json_option("summary.json")
@export_options
@manner_options
@junit_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    campaign: str | None,
    target: str,
    groups: tuple[str, ...],
    users: int | None,
    client: str | None,
    profile: str | None,
    junit: Path | None,
    as_json: bool,
    metrics: str | None,
    otlp: str | None,
    manner: Manner | None,
    **options: object,
) -> None:
    """Run CAMPAIGN's users against a target, and judge it.

    CAMPAIGN is a built-in name ('loadgen profiles list campaign') or a TOML file; without one, and without
    users of your own, it is 'quickstart'.

    Keys of the campaign file are options under the same name, and win over the file.
    """
    chosen = choose_campaign(campaign, own_groups(groups, users, client, profile), options)
    population = populate(chosen)
    started_s = time.monotonic()
    exports = Exports.parse(metrics, otlp)
    ask_beforehand(target, chosen)
    with progress_display(chosen.name, manner=manner) as display, exporting(exports, display.say) as meter:
        finished = asyncio.run(
            run_campaign(
                chosen,
                population,
                target,
                say=display.say,
                on_progress=display.show,
                command=repeat_command(sys.argv[1:]),
                by_hand=by_keys(display),
                meter=meter,
            )
        )
    summary = finished.summary
    if junit is not None:
        write_junit(junit, summary.campaign, cases_of(summary))
    with also_in(finished.folder):
        if as_json:
            print_json(summary)
        else:
            text.show(summary, finished.folder)
    report = write_html_report(finished.folder, time.monotonic() - started_s)
    if report.path is None:
        click.echo(report.problem, err=True)
    elif not as_json:
        with also_in(finished.folder):
            click.echo(f"Report: {report.path}")
    ctx.exit(summary.exit_code)
