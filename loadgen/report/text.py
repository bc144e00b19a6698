"""The end screen of a run: connections, latency, traffic, verdict. Fits in 100 columns.

What came from outside (names, error texts) is shown as plain text: no markup, no control characters.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console, ConsoleRenderable, Group
from rich.table import Table
from rich.text import Text

from loadgen.measure.columns import COLUMNS
from loadgen.report.summary import Cell, Latency, Operation, Summary, Traffic

WIDTH: Final = 100
_EXAMPLES_SHOWN: Final = 8
_VERDICT_STYLES: Final = {"PASS": "bold green", "FAIL": "bold red", "INVALID": "bold yellow"}
_COLUMN_TITLES: Final = {
    "client_to_cas": "client to CAS",
    "cas_to_stores": "CAS to stores",
    "cas_to_dsproxy": "CAS to DSProxy",
    "cas_to_referral": "CAS to referral",
    "cas_total": "CAS total",
    "store": "store",
    "dsproxy": "DSProxy",
    "referral": "referral",
    "mailbox_total": "mailbox total",
    "public_store": "public folders",
    "directory": "DSProxy to GC",
}
_FILES: Final = "run.json summary.json latency.hlog timeseries.csv connections.csv events.jsonl"


def show(summary: Summary, folder: Path, console: Console | None = None) -> None:
    """Prints the end screen."""
    (console or Console()).print(screen(summary, folder), soft_wrap=False)


def screen(summary: Summary, folder: Path) -> ConsoleRenderable:
    """The end screen of a run whose files are in ``folder``."""
    parts: list[ConsoleRenderable] = [_connections(summary), _latency(summary), _traffic(summary)]
    if summary.failure_examples:
        parts.append(_failures(summary))
    parts += [
        Text(),
        _generator(summary),
        *_notes(summary),
        _verdict(summary),
        _plain(f"Results: {folder}/  {_FILES}"),
    ]
    return Group(*parts)


def safe(text: str) -> str:
    """Text from outside on one line, with whatever a terminal could act on made visible."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _plain(text: str, style: str = "") -> Text:
    return Text(safe(text), style)


def _table(title: str) -> Table:
    return Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        width=WIDTH,
        pad_edge=False,
        show_edge=False,
    )


def _connections(summary: Summary) -> ConsoleRenderable:
    table = _table("TCP connections (white paper's columns)")
    table.add_column("", no_wrap=True)
    for moment in ("peak", "steady"):
        for party in ("expected", "client", "kernel", "mock"):
            table.add_column(f"{moment}\n{party}", justify="right", no_wrap=True)
    table.add_column("as\nLoadGen", justify="right", no_wrap=True)
    connections = summary.connections
    for column in COLUMNS:
        cells = [*_cells(connections.peak.get(column)), *_cells(connections.steady.get(column))]
        as_loadgen = Text(f"{connections.as_loadgen.get(column, 0):,}", "dim")
        table.add_row(_COLUMN_TITLES[column], *cells, as_loadgen)
    return table


def _cells(cell: Cell | None) -> Iterator[Text]:
    """Expected and the three counts; a count that differs is marked, one that can't be had is a dot."""
    if cell is None:
        yield from (Text("·", "dim") for _ in range(4))
        return
    yield Text(f"{cell.expected:,}")
    for count in (cell.client, cell.kernel, cell.mock):
        if count is None:
            yield Text("·", "dim")
        elif count == cell.expected:
            yield Text(f"{count:,}", "green")
        else:
            yield Text(f"≠ {count:,}", "bold red")


def _latency(summary: Summary) -> ConsoleRenderable:
    table = _table("Latency in ms: response from the due time, service from the start")
    table.add_column("operation", ratio=1)
    table.add_column("time", no_wrap=True)
    for title in ("p50", "p90", "p95", "p99", "p99.9", "max"):
        table.add_column(title, justify="right", no_wrap=True, min_width=6)
    for name, operation in summary.operations.items():
        if operation.planned or operation.done or operation.failed or operation.skipped:
            table.add_row(name, "response", *_figures(operation.response_ms))
            table.add_row(_counts(operation), "service", *_figures(operation.service_ms), style="dim")
    return table


def _counts(operation: Operation) -> Text:
    """How many were done, of how many if that was planned, and what went wrong."""
    plan = f" of {operation.planned:,}" if operation.planned else ""
    text = Text(f"  {operation.done:,}{plan} done")
    for count, what in ((operation.failed, "failed"), (operation.skipped, "skipped")):
        if count:
            text.append(f", {count:,} {what}", "bold red")
    return text


def _figures(latency: Latency) -> Iterator[str]:
    for value in (latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max):
        yield "·" if value is None else three_digits(value)


def three_digits(value: float) -> str:
    """A figure with the three digits that were measured: 0.123, 1.23, 12.3, 1,230."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def _traffic(summary: Summary) -> ConsoleRenderable:
    table = _table(
        "Traffic: kB of TCP payload per user and day, both ways (white paper's figure in brackets)"
    )
    table.add_column("client type", ratio=1, no_wrap=True)
    table.add_column("profile", no_wrap=True)
    for title in ("users", "sending", "aggregate", "total", "idle/hour"):
        table.add_column(title, justify="right", no_wrap=True)
    for client, profiles in summary.traffic.items():
        for profile, line in profiles.items():
            table.add_row(_plain(client), _plain(profile), f"{line.users:,}", *_traffic_figures(line))
    return table


def _traffic_figures(line: Traffic) -> Iterator[str]:
    sending, aggregate = line.white_paper_sending, line.white_paper_aggregate
    total = None if sending is None or aggregate is None else sending + aggregate
    measured = (line.sending, line.aggregate, line.sending + line.aggregate)
    for value, paper in zip(measured, (sending, aggregate, total), strict=True):
        yield f"{value:,.0f}" + (f" ({paper:,})" if paper is not None else "")
    yield "·" if line.idle_per_hour is None else f"{line.idle_per_hour:,.1f}"


def _failures(summary: Summary) -> ConsoleRenderable:
    table = _table("Failures")
    for title in ("operation", "outcome"):
        table.add_column(title, no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("first", ratio=1, overflow="ellipsis", no_wrap=True)
    worst = sorted(summary.failure_examples, key=lambda failure: -failure.count)
    for failure in worst[:_EXAMPLES_SHOWN]:
        table.add_row(failure.operation, failure.outcome, f"{failure.count:,}", _plain(failure.example))
    return table


def _generator(summary: Summary) -> Text:
    generator = summary.generator
    lag = "not measured" if generator.lag_ms.p99 is None else f"p99 {three_digits(generator.lag_ms.p99)} ms"
    return _plain(
        f"Generator: lag {lag}, busiest loop {generator.busy_peak:.0%}, CPU {generator.cpu_s:,.1f} s, "
        f"descriptors {generator.descriptors_use_peak:.0%}, ports {generator.ports_use_peak:.0%}, "
        f"{generator.memory_per_user_kb:,.0f} kB a user"
    )


def _notes(summary: Summary) -> Iterator[Text]:
    for warning in summary.warnings:
        yield _plain(f"Note: {warning}", "yellow")


def _verdict(summary: Summary) -> Text:
    users = summary.users
    text = Text.assemble(
        (summary.verdict, _VERDICT_STYLES[summary.verdict]),
        f"  {safe(summary.campaign)}: {users.logged_on_peak:,} of {users.planned:,} users, "
        f"{users.refused:,} refused, {users.lost:,} lost, {summary.connections.lost:,} connections lost",
    )
    for reason in summary.reasons:
        text.append(f"\n  {safe(reason)}")
    return text
