"""``loadgen control``: commands for a run under way."""

from pathlib import Path
from typing import Final, get_args

import click

from loadgen.cli.output import json_option, print_json
from loadgen.cli.progress import line
from loadgen.engine.control import Command, CommandName
from loadgen.engine.control_socket import ask
from loadgen.measure.threshold import EXIT_USAGE
from loadgen.report.layout import safe

_EPILOG: Final = """\b
Examples:
  loadgen control results/20260726T120000Z-quickstart status
  loadgen control results/20260726T120000Z-quickstart pause
  loadgen control results/20260726T120000Z-quickstart scale 50
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("command", type=click.Choice(get_args(CommandName)))
@click.argument("users", required=False, type=int)
@json_option()
@click.pass_context
def control(
    ctx: click.Context, /, run: Path, command: CommandName, users: int | None, *, as_json: bool
) -> None:
    """Tell RUN, the results folder of a run under way, to pause, resume, scale USERS, stop, or how it stands.

    The run writes down who told it what. The exit code is 0 if it obeyed.
    """
    if (command == "scale") != (users is not None):
        raise click.UsageError("scale, and nothing else, takes a number of users")
    answer = ask(run, Command(command, users))
    if as_json:
        print_json(answer)
    elif command == "status" and answer.status is not None:
        click.echo(safe(line(answer.status)))
    else:
        click.echo(safe(answer.text), err=not answer.ok)
    ctx.exit(0 if answer.ok else EXIT_USAGE)
