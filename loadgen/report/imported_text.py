"""What was imported, on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, ConsoleRenderable, Group
from rich.text import Text

from loadgen.imports.imported import Imported
from loadgen.measure.columns import COLUMNS
from loadgen.report.layout import NO_FIGURE, output_console, plain, table, three_digits, titled
from loadgen.report.limit_check import LimitResult
from loadgen.report.requirements_text import requirements
from loadgen.report.text import COLUMN_TITLES


def show(
    imported: Imported, folder: Path, limits: Sequence[LimitResult] = (), console: Console | None = None
) -> None:
    """Prints an import whose files are in ``folder``, by default to standard output."""
    parts: list[ConsoleRenderable] = []
    if imported.connections:
        parts.append(_connections(imported))
    if imported.tasks:
        parts.append(_tasks(imported))
    if imported.kind == "perfmon":
        parts.append(plain(_perfmon(imported)))
    parts += requirements((), imported.limit_set, limits)
    parts += [plain(f"Note: {note}", "yellow") for note in imported.notes]
    parts.append(plain(f"Import: {folder}/"))
    (console or output_console()).print(Group(*parts), crop=False)


def _connections(imported: Imported) -> ConsoleRenderable:
    found = table("counted")
    for column in COLUMNS:
        count = imported.connections.get(column)
        found.add_row(COLUMN_TITLES[column], NO_FIGURE if count is None else f"{count:,}")
    return titled("TCP connections (white paper's columns)", found)


def _tasks(imported: Imported) -> ConsoleRenderable:
    found = table("count", "avg ms", "p95 ms", "exceptions", texts=("task", "beside"))
    for task in imported.tasks:
        figures = (NO_FIGURE if each is None else three_digits(each) for each in (task.avg_ms, task.p95_ms))
        beside = Text(task.operation or NO_FIGURE)
        found.add_row(plain(task.task), beside, f"{task.count:,}", *figures, f"{task.exceptions:,}")
    return titled("Tasks", found)


def _perfmon(imported: Imported) -> str:
    samples = sum(each.samples for each in imported.counters)
    servers = sorted({each.server for each in imported.counters if each.server})
    return (
        f"{len(imported.counters):,} counters of {', '.join(servers) or 'one server'}, {samples:,} samples, "
        f"from {imported.started} to {imported.ended}"
    )
