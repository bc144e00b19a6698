"""``loadgen import``: what others have measured, as a folder that compare and limit sets read."""

import shutil
from pathlib import Path
from typing import Final

import click
import msgspec

from loadgen.cli.output import json_option, print_json
from loadgen.errors import ProfileError
from loadgen.imports import connections as by_role
from loadgen.imports.imported import Imported, make_folder, read_import, write_import
from loadgen.imports.perfmon import import_perfmon
from loadgen.imports.task_table import import_table, template
from loadgen.measure.counters import CounterSample
from loadgen.measure.threshold import EXIT_FAIL
from loadgen.report.imported_text import show
from loadgen.report.limit_check import LimitCheck, LimitResult
from loadgen.workload.limit_set import read_limit_set

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_OUT: Final = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder in which the import's own folder is made.",
)


@click.group("import", epilog="\b\nExample:\n  loadgen import perfmon mbx1.csv --limit-set exchange2010")
def imports() -> None:
    """Import perfmon logs, lists of connections, or a table filled from a LoadGen report (docs/import.md)."""


@imports.command(
    epilog="\b\nExample:\n  relog mbx1.blg -f csv -o mbx1.csv\n  loadgen import perfmon mbx1.csv"
)
@click.argument("file", type=_FILE)
@click.option(
    "--limit-set",
    "--limit_set",
    metavar="NAME",
    help="What its counters have to keep to; FAIL is exit code 99.",
)
@_OUT
@json_option("import.json")
@click.pass_context
def perfmon(ctx: click.Context, /, file: Path, limit_set: str | None, out: Path, *, as_json: bool) -> None:
    """Import FILE, a perfmon log in PDH-CSV 4.0, as relog, logman and typeperf write it."""
    check = LimitCheck(read_limit_set(limit_set)) if limit_set else None
    if check is not None and not check.limit_set.limits:
        raise ProfileError(f"option: limit_set: {limit_set} has thresholds over runs alone, and no counters")
    folder = make_folder(out, "perfmon")

    def each(sample: CounterSample) -> None:
        if check is not None:
            check.add_imported(sample)

    try:
        imported = import_perfmon(file, folder, each)
    except ProfileError:
        shutil.rmtree(folder)
        raise
    results = check.results() if check is not None else ()
    imported = msgspec.structs.replace(
        imported,
        limit_set=check.limit_set.name if check else "",
        limit_results=tuple(msgspec.to_builtins(result) for result in results),
    )
    _finish(imported, folder, as_json=as_json, limits=results)
    if any(result.held is False for result in results):
        ctx.exit(EXIT_FAIL)


@imports.command(
    epilog="\b\nExamples:\n"
    "  loadgen import connections cas1.txt --role cas --address 10.0.0.1\n"
    "  loadgen import connections mbx1.txt mbx2.txt --role mailbox --into results/EARLIER"
)
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--role", required=True, type=click.Choice(by_role.ROLES), help="What the listing servers are.")
@click.option("--address", multiple=True, help="Own address of the servers; only its connections count.")
@click.option("--gc-address", multiple=True, help="Address of a global catalog, to tell it from a DSProxy.")
@click.option("--proxy-port", multiple=True, type=int, help="Port of the RPC proxy; default: 80 and 443.")
@click.option("--store-port", multiple=True, type=int, help="Port of the stores; default: 6001.")
@click.option("--referral-port", multiple=True, type=int, help="Port of referral; default: 6002.")
@click.option("--directory-port", multiple=True, type=int, help="Port of DSProxy; default: 6004.")
@click.option("--gc-port", multiple=True, type=int, help="Port of the catalogs' address book; default: 6004.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Earlier import to add these servers to.",
)
@_OUT
@json_option("import.json")
def connections(
    files: tuple[Path, ...],
    role: by_role.Role,
    address: tuple[str, ...],
    gc_address: tuple[str, ...],
    into: Path | None,
    out: Path,
    *,
    as_json: bool,
    **ports: tuple[int, ...],
) -> None:
    """Import lists of connections (netstat, ss, Get-NetTCPConnection, TCPView), a FILE from each server.

    Established connections are counted into the columns of the connection table. Options may be repeated.
    """
    given = {name.removesuffix("_port"): numbers for name, numbers in ports.items() if numbers}
    server = by_role.Server(
        role=role,
        addresses=by_role.addresses(address, "address"),
        catalogs=by_role.addresses(gc_address, "gc_address"),
        ports=msgspec.structs.replace(by_role.Ports(), **given),
    )
    imported = by_role.import_connections(files, server, read_import(into) if into else None)
    _finish(imported, into or make_folder(out, "connections"), as_json=as_json)


@imports.command(
    epilog="\b\nExamples:\n  loadgen import table --template > lg.csv\n  loadgen import table lg.csv"
)
@click.argument("file", type=_FILE, required=False)
@click.option("--template", "wants_template", is_flag=True, help="Print an empty table with explanations.")
@_OUT
@json_option("import.json")
def table(file: Path | None, out: Path, *, wants_template: bool, as_json: bool) -> None:
    """Import FILE, a table of LoadGen's tasks that was filled by hand."""
    if wants_template:
        click.echo(template(), nl=False)
        return
    if file is None:
        raise click.UsageError("give a FILE, or --template to get an empty one")
    imported = import_table(file)
    _finish(imported, make_folder(out, "table"), as_json=as_json)


def _finish(imported: Imported, folder: Path, *, as_json: bool, limits: tuple[LimitResult, ...] = ()) -> None:
    write_import(folder, imported)
    if as_json:
        print_json(imported)
    else:
        show(imported, folder, limits)
