"""``--junit``, for all commands that come to a verdict."""

from pathlib import Path
from typing import Final

import click

from loadgen.report.junit import require_junit


def _checked(_ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Before anything runs: whether there will be a file at the end."""
    if path is not None:
        require_junit()
        if not path.absolute().parent.is_dir():
            raise click.BadParameter(f"{path.parent}: there is no such folder")
    return path


junit_option: Final = click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_checked,
    help="Write JUnit XML to this file: a test case per threshold, limit, barrier and operation.",
)
