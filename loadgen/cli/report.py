"""``loadgen report``: the report of a run again, from the files that it left."""

from pathlib import Path
from typing import Final

import click

from loadgen.cli.junit import junit_option
from loadgen.cli.output import json_option, print_json
from loadgen.measure.store import ResultsError
from loadgen.report import recorded, text
from loadgen.report.html import document
from loadgen.report.junit import cases_of, write_junit

_EPILOG: Final = """\b
Examples:
  loadgen report results/20260726T120000Z-quickstart
  loadgen report results/20260726T120000Z-quickstart --html
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--html", "as_html", is_flag=True, help="Write report.html into the run's folder instead.")
@json_option("summary.json")
@junit_option
def report(run: Path, junit: Path | None, *, as_html: bool, as_json: bool) -> None:
    """Report on RUN, a folder of results, again; of a run that was killed, on whatever is there."""
    if as_html and as_json:
        raise click.UsageError("--html and --json are two reports: ask for one")
    try:
        found = recorded.read(run)
    except ResultsError as error:
        raise click.UsageError(str(error)) from None
    if junit is not None:
        write_junit(junit, found.summary.campaign, cases_of(found.summary))
    if as_html:
        click.echo(document.write(found))
    elif as_json:
        print_json(found.summary)
    else:
        text.show(found.summary, run)
