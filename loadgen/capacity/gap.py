"""The gap between what LoadGen finds room for and what real clients do, as measured: values and text."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console, ConsoleRenderable, Group
from rich.text import Text

from loadgen.capacity.found import Capacity
from loadgen.client.client_type import ClientType
from loadgen.measure.threshold import EXIT_INTERRUPTED, EXIT_PASS
from loadgen.report.layout import NO_FIGURE, FirstThatFits, headed, output_console, plain, table
from loadgen.report.text import COLUMN_TITLES
from loadgen.workload.connection_model import virtual_connections

SCHEMA: Final = 1
SHOWN: Final = ("client_to_cas", "cas_total", "store", "dsproxy", "public_store", "directory")
"""Columns of the connection table that make the argument."""


class GapRow(Struct, frozen=True, kw_only=True):
    """One client type alone: how many fitted, what they had open then, and what stopped the next one."""

    client: str
    startup: bool
    """Whether users held what only starting needs."""
    is_loadgens: bool
    """Whether it opens the mail connection alone, as LoadGen's clients do."""
    users: int
    planned: int | None
    stopped_by: str
    limit: str | None
    server: str | None
    connections: dict[str, int | None]
    """TCP connections by column, as the kernel counted them; null where it can't see the column."""
    overstatement: float | None = None
    """How many times as many users LoadGen's clients found room for."""
    verdict: str
    exit_code: int
    folder: str


class Gap(Struct, frozen=True, kw_only=True):
    """All searches, LoadGen's view first."""

    schema: int = SCHEMA
    campaign: str
    topology: str
    limit_scale: float | None
    rows: tuple[GapRow, ...]
    error: str = ""
    """What ended it before all searches were done."""
    exit_code: int


def is_loadgens(client: ClientType) -> bool:
    """Whether a client type opens one mail connection and nothing else, not even at start-up."""
    opened = virtual_connections(client, starting=True)
    return opened["mail"] == 1 == sum(opened.values())


def row_of(client: ClientType, capacity: Capacity, folder: str) -> GapRow:
    """A search for one client type, without the overstatement, which needs LoadGen's."""
    return GapRow(
        client=client.name,
        startup=capacity.startup,
        is_loadgens=is_loadgens(client),
        users=capacity.users,
        planned=None if capacity.plan is None else capacity.plan.users,
        stopped_by=capacity.stopped_by,
        limit=capacity.limit,
        server=capacity.server,
        connections={column: cell.kernel for column, cell in capacity.connections.items()},
        verdict=capacity.verdict,
        exit_code=capacity.exit_code,
        folder=folder,
    )


def gap_of(
    campaign: str,
    topology: str,
    limit_scale: float | None,
    rows: Sequence[GapRow],
    *,
    is_interrupted: bool = False,
) -> Gap:
    """The searches side by side; the exit code is that of the first that found no answer.

    ``is_interrupted``: there were to be more.
    """
    seen = {row.startup: row.users for row in rows if row.is_loadgens and _is_answer(row)}
    code = next((row.exit_code for row in rows if row.exit_code != EXIT_PASS), EXIT_PASS)
    return Gap(
        campaign=campaign,
        topology=topology,
        limit_scale=limit_scale,
        rows=tuple(_with_overstatement(row, seen) for row in rows),
        exit_code=EXIT_INTERRUPTED if is_interrupted else code,
    )


def show(gap: Gap, console: Console | None = None) -> None:
    """Prints the gap, by default to standard output."""
    console = console or output_console()
    console.print(screen(gap), crop=False)


def screen(gap: Gap) -> ConsoleRenderable:
    """The measured table, and what it says."""
    scale = "" if gap.limit_scale is None else f", limits x {gap.limit_scale:g}"
    title = f"Users admitted on {gap.topology}{scale}, and their TCP connections as the kernel counted them"
    return Group(
        headed(title, FirstThatFits(_table(gap), _table(gap, gap=1))),
        Text(),
        *(plain(line, "bold") for line in sentences(gap)),
        *(plain(f"Results: {row.folder}/") for row in gap.rows),
    )


def sentences(gap: Gap) -> list[str]:
    """What each real client type makes of LoadGen's figure, and whether that is all."""
    seen = {row.startup: row.users for row in gap.rows if row.is_loadgens}
    return _why_cut(gap) + [
        f"{row.client}, {_when(row)}: {row.users:,} users fit where LoadGen finds room for "
        f"{seen[row.startup]:,}: it overstates {row.overstatement:.3g} times."
        for row in gap.rows
        if row.overstatement is not None and not row.is_loadgens
    ]


def _why_cut(gap: Gap) -> list[str]:
    if gap.error:
        return [f"Error: {gap.error}", "What is missing was not measured."]
    if gap.exit_code == EXIT_INTERRUPTED:
        return ["Interrupted: what is missing was not measured."]
    return []


def _with_overstatement(row: GapRow, seen: Mapping[bool, int]) -> GapRow:
    if row.startup not in seen or not row.users or not _is_answer(row):
        return row
    return replace(row, overstatement=seen[row.startup] / row.users)


def _is_answer(row: GapRow) -> bool:
    """Whether this is how many fit: not where the search was cut short, or allowed no more."""
    return row.exit_code == EXIT_PASS and row.stopped_by != "ceiling"


def _table(found: Gap, gap: int = 2) -> ConsoleRenderable:
    columns = [COLUMN_TITLES[column].replace(" ", "\n", 1) for column in SHOWN]
    rows = table("users", "plan", *columns, "factor", texts=("client type", "", "stopped by"), gap=gap)
    for row in found.rows:
        stopped = limit_of_row(row)
        counted = [_figure(row.connections.get(column)) for column in SHOWN]
        factor = NO_FIGURE if row.overstatement is None else f"{row.overstatement:.2f}"
        rows.add_row(
            plain(row.client),
            _when(row),
            plain(stopped),
            f"{row.users:,}",
            _figure(row.planned),
            *counted,
            factor,
        )
    return rows


def limit_of_row(row: GapRow) -> str:
    """What stopped a search, in a few words."""
    if row.stopped_by != "limit":
        return row.stopped_by
    return f"{row.limit} of {row.server}" if row.limit and row.server else row.limit or "unknown"


def _when(row: GapRow) -> str:
    return "starting" if row.startup else "steady"


def _figure(number: int | None) -> str:
    return NO_FIGURE if number is None else f"{number:,}"
