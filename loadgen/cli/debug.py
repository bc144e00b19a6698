"""``--debug``, which may stand before a command and after it."""

from typing import Final

import click

_KEY: Final = "loadgen.debug"


def _remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_KEY] = True


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember, help="Show tracebacks."
)


def is_debugging(ctx: click.Context) -> bool:
    """Whether ``--debug`` was given anywhere on the command line."""
    return bool(ctx.meta.get(_KEY))
