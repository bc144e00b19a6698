"""``loadgen compare``: results side by side, and what differs beyond noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from loadgen.cli.output import json_help, print_json
from loadgen.errors import ProfileError

if TYPE_CHECKING:
    from loadgen.compare.comparison import Comparison

_EPILOG: Final = """\b
Examples:
  loadgen compare results/before results/after
  loadgen compare results/before results/after --fail-on 'operations.send_message.response_ms.p95 > +10%'
  loadgen plan quickstart --json > plan.json && loadgen compare results/run plan.json
"""


@click.command(epilog=_EPILOG)
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="The figure that is asked for; several are corrected for together. "
    "[default: operations.send_message.response_ms.p95]",
)
@click.option(
    "--at-least",
    default="5%",
    show_default=True,
    help="The smallest difference that counts, as a share of the baseline.",
)
@click.option(
    "--fail-on",
    multiple=True,
    help="What ends with exit code 99: 'path op number', or a change, '+10%' or '-5'; may be repeated.",
)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the random drawings that tell what is noise."
)
@click.option("--json", "form", flag_value="json", help=json_help())
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown instead of text.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page to FILE.")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    results: tuple[Path, ...],
    metrics: tuple[str, ...],
    at_least: str,
    fail_on: tuple[str, ...],
    seed: int,
    form: str | None,
    html: Path | None,
) -> None:
    """Lay RESULTS side by side: folders of runs, imports and searches, and plans. The first is the baseline.

    A difference counts if it is large enough and beyond noise; what can't be told is said.
    """
    try:
        from loadgen.compare import comparing, condition  # noqa: PLC0415 - an extra, needed by this alone
        from loadgen.compare.comparison import Rules  # noqa: PLC0415
    except ImportError as error:
        raise ProfileError(f"comparing needs {error.name}; pip install 'outlook-loadgen[compare]'") from None

    conditions = condition.parse_conditions(fail_on)
    rules = Rules(metrics=comparing.asked_metrics(metrics, conditions), at_least=_share(at_least), seed=seed)
    comparison = comparing.compare(comparing.read_sources(results), rules, conditions)
    _print(comparison, form)
    if html is not None:
        _write_page(comparison, html)
    ctx.exit(comparison.exit_code)


def _print(comparison: "Comparison", form: str | None) -> None:
    from loadgen.compare import markdown, text  # noqa: PLC0415 - as above

    if form == "json":
        print_json(comparison)
    elif form == "markdown":
        click.echo(markdown.markdown(comparison), nl=False)
    else:
        text.show(comparison)


def _share(text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ProfileError(f"option: at-least: {text!r} is not a share such as 5% or 0.05")
    return share


def _write_page(comparison: "Comparison", path: Path) -> None:
    from loadgen.compare import page  # noqa: PLC0415 - as above

    try:
        path.write_text(page.page(comparison), encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
