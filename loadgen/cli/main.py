"""The command ``loadgen``: its commands, and how an error becomes one line and an exit code."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from loadgen.cli.capacity import capacity
from loadgen.cli.check import check
from loadgen.cli.compare import compare
from loadgen.cli.control import control
from loadgen.cli.debug import accept_debug, is_debugging
from loadgen.cli.imports import imports
from loadgen.cli.mock import mock
from loadgen.cli.output import guard_standard_output
from loadgen.cli.plan import plan
from loadgen.cli.profiles import profiles
from loadgen.cli.report import report
from loadgen.cli.run import run
from loadgen.cli.users import users
from loadgen.engine.exit_codes import exit_code_of
from loadgen.errors import LoadgenError
from loadgen.measure.threshold import EXIT_BUG, EXIT_INTERRUPTED

EPILOG: Final = """\b
Examples:
  loadgen run                          100 users, a day in 45 seconds, against a mock organisation
  loadgen run --group 200:outlook2007-online-anywhere:medium --speed 60
  loadgen capacity --limit-scale 0.002 --topology white-paper      how many fit
  loadgen control results/RUN pause    tell a run under way what to do
  loadgen report results/RUN --html    the report of a run again
  loadgen check https://mail.example.org --user alice@example.org
  loadgen compare results/a results/b  what differs between them, and what is noise
  loadgen plan --users 10000           what they cost, and which limit comes first
  loadgen mock --users 500             serve a mock organisation until interrupted
  loadgen profiles list                what there is to choose from

\b
Shell completion (bash; for zsh and fish put their names instead):
  eval "$(_LOADGEN_COMPLETE=bash_source loadgen)"
"""


class OneLineErrors(click.Group):
    """Says what went wrong in one line; the traceback comes with ``--debug``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes what stands before the command, of which ``--help`` and ``--version`` print at once."""
        guard_standard_output()
        with _one_line_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; the peer's errors, ours and the user's get their exit codes."""
        with _one_line_errors(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line_errors(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    except LoadgenError as error:
        raise _exit_saying(ctx, str(error), exit_code_of(error)) from None
    except Exception as error:  # noqa: BLE001 - the last resort of a command line
        text = f"a bug of ours: {type(error).__name__}: {error}; --debug shows where"
        raise _exit_saying(ctx, text, EXIT_BUG) from None


@click.group(cls=OneLineErrors, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="outlook-loadgen", prog_name="loadgen")
def main() -> None:
    """Load Outlook Anywhere (RPC over HTTP) with synthetic users who open every connection Outlook opens.

    Exit codes: 0 pass; 1 a bug; 2 wrong usage or profile; 3 target not reachable; 98 invalid, because the
    generator was the bottleneck; 99 fail; 130 interrupted.
    """


for command in (run, control, check, capacity, compare, report, plan, mock, profiles, users, imports):
    main.add_command(command)
accept_debug(main)


def _exit_saying(ctx: click.Context, text: str, code: int) -> click.exceptions.Exit:
    if is_debugging(ctx):
        traceback.print_exc()
    click.echo(f"Error: {text}", err=True)
    return click.exceptions.Exit(code)
