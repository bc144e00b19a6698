"""``--debug``, which may stand before a command and after it."""

from typing import Final

import click

_KEY: Final = "loadgen.debug"


def _remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_KEY] = True


def accept_debug(command: click.Command) -> None:
    """Gives the option to a command and to all that are below it."""
    click.option("--debug", is_flag=True, expose_value=False, callback=_remember, help="Show tracebacks.")(
        command
    )
    if isinstance(command, click.Group):
        for below in command.commands.values():
            accept_debug(below)


def is_debugging(ctx: click.Context) -> bool:
    """Whether ``--debug`` was given anywhere on the command line."""
    return bool(ctx.meta.get(_KEY))
