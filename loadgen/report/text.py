"""The end screen of a run: connections, latency, traffic, verdict. No figure is cut, however narrow it is.

What came from outside (names, error texts) is shown as plain text: no markup, no control characters.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console, ConsoleRenderable, Group
from rich.table import Table
from rich.text import Text

from loadgen.measure.columns import COLUMNS
from loadgen.report.layout import (
    DIFFERS,
    LEGEND,
    NO_FIGURE,
    FirstThatFits,
    headed,
    output_console,
    plain,
    safe,
    table,
    three_digits,
    titled,
)
from loadgen.report.requirements_text import requirements
from loadgen.report.summary import (
    IDLE_AT_LEAST_S,
    Cell,
    Connections,
    Latency,
    Operation,
    Summary,
    Traffic,
    Users,
)

_EXAMPLES_SHOWN: Final = 8
_VERDICT_STYLES: Final = {"PASS": "bold green", "FAIL": "bold red", "INVALID": "bold yellow"}
COLUMN_TITLES: Final = {
    "client_to_cas": "client to CAS",
    "client_to_servers": "client to servers",
    "cas_to_stores": "CAS to stores",
    "cas_to_dsproxy": "CAS to DSProxy",
    "cas_to_referral": "CAS to referral",
    "cas_to_gc": "CAS to GC",
    "cas_total": "CAS total",
    "store": "store",
    "dsproxy": "DSProxy",
    "referral": "referral",
    "mailbox_total": "mailbox total",
    "public_store": "public folders",
    "directory": "directory (GC)",
}
"""What reports call the columns of the connection table."""
SELDOM: Final = ("client_to_servers", "cas_to_gc")
"""The columns that are shown only where there is something in them."""
_PARTIES: Final = ("expected", "client", "kernel", "mock")
_PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p99.9", "max")
_COUNTED_BY_LOADGEN: Final = {
    "cas_total": "at the CAS",
    "client_to_servers": "straight to servers",
}
_UNSEEN_BY_LOADGEN: Final = {
    "public_store": "to public folders",
    "directory": "to global catalogs",
}
_TRAFFIC_FIGURES: Final = ("users", "sending", "aggregate", "total", "idle/hour")
_WHITE_PAPER: Final = "white paper, "
_TRAFFIC_NOTE: Final = (
    "The white paper's figures are of Outlook 2007 in cached mode: beside other types they show the order of "
    "magnitude, and are no target; inside the firewall it has online mode, too. idle/hour: per user and real "
    f"hour, from a hold of at least {IDLE_AT_LEAST_S:g} s."
)
_FILES: Final = "run.json summary.json latency.hlog timeseries.csv connections.csv counters.csv events.jsonl"


def show(summary: Summary, folder: Path, console: Console | None = None) -> None:
    """Prints the end screen, by default to standard output."""
    console = console or output_console()
    if isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="replace")  # a terminal without our marks is no reason to fail
    console.print(screen(summary, folder), crop=False)


def screen(summary: Summary, folder: Path) -> ConsoleRenderable:
    """The end screen of a run whose files are in ``folder``."""
    parts: list[ConsoleRenderable] = [_connections(summary)]
    if any(_is_shown(operation) for operation in summary.operations.values()):
        parts.append(_latency(summary.operations))
    if summary.measured_s:
        parts.append(_traffic(summary.traffic))
    parts.append(Text(f"\n{LEGEND}", "dim"))
    if summary.outages:
        parts.append(_outages(summary))
    if summary.failure_examples:
        parts.append(_failures(summary))
    parts += requirements(summary.thresholds, summary.limit_set, summary.limit_results)
    files = plain(f"Results: {folder}/")
    files.no_wrap, files.overflow = True, "ignore"
    parts += [
        Text(),
        _generator(summary),
        *_notes(summary),
        _verdict(summary),
        files,
        Text(f"  {_FILES}", "dim"),
    ]
    return Group(*parts)


def _connections(summary: Summary) -> ConsoleRenderable:
    """Both barriers side by side, or one under the other."""
    connections = summary.connections
    title = "TCP connections (white paper's columns) as counted by client, kernel and mock"
    if not (connections.peak or connections.steady):
        return headed(title, Text("Not counted: the run did not get as far as a barrier."))
    moments = {"peak": connections.peak, "steady": connections.steady}
    peak, steady = (_connection_table({moment: cells}) for moment, cells in moments.items())
    forms = FirstThatFits(
        _connection_table(moments), _connection_table(moments, gap=1), Group(peak, Text(), steady)
    )
    return headed(title, forms, Text(), Text(loadgens_view(connections, summary.users)))


def _connection_table(moments: Mapping[str, Mapping[str, Cell]], gap: int = 2) -> Table:
    headers = [header for moment in moments for header in ("", *_under(moment, _PARTIES))]
    found = table(*headers[1:], gap=gap)
    for column in COLUMNS:
        if column in SELDOM and not any(_is_used(each.get(column)) for each in moments.values()):
            continue
        cells = [cell for each in moments.values() for cell in (Text(), *_cells(each.get(column)))]
        found.add_row(COLUMN_TITLES[column], *cells[1:])
    return found


def _is_used(cell: Cell | None) -> bool:
    return cell is not None and any((cell.expected, cell.client, cell.kernel, cell.mock))


def _under(title: str, headers: tuple[str, ...]) -> Iterator[str]:
    """Headers of columns that belong together, with what they have in common over the first ones."""
    yield from (f"{title}\n{header}" if place == 0 else f"\n{header}" for place, header in enumerate(headers))


def _cells(cell: Cell | None) -> Iterator[Text]:
    """Expected and the three counts; a count that differs is marked, one that can't be had is a dot."""
    if cell is None:
        yield from (Text(NO_FIGURE, "dim") for _ in _PARTIES)
        return
    yield Text(f"{cell.expected:,}")
    for count in (cell.client, cell.kernel, cell.mock):
        if count is None:
            yield Text(NO_FIGURE, "dim")
        elif count == cell.expected:
            yield Text(f"{count:,}", "green")
        else:
            yield Text(f"{DIFFERS} {count:,}", "bold red")


def loadgens_view(connections: Connections, users: Users) -> str:
    """What LoadGen would have opened for the same users, in a sentence; compared only if all of them came."""
    seen = sum(connections.as_loadgen.get(column, 0) for column in _COUNTED_BY_LOADGEN)
    where = " and ".join(
        place for column, place in _COUNTED_BY_LOADGEN.items() if connections.as_loadgen.get(column)
    )
    start = f"LoadGen's view of these {users.planned:,} users: {seen:,} connections {where}"
    steady, peak = connections.steady or connections.peak, connections.peak or connections.steady
    if not steady:
        return f"{start}."
    real, most = (
        sum(cells[column].expected for column in _COUNTED_BY_LOADGEN if column in cells)
        for cells in (steady, peak)
    )
    if real == most == seen:
        return f"{start}, which is all that they have."
    if users.refused or real < seen:
        return f"{start}."
    text = f"{start} instead of {real:,}, a factor of {_factor(real, seen)}"
    if most != real:
        text += f" ({most:,} at start-up, {_factor(most, seen)})"
    for column, where in _UNSEEN_BY_LOADGEN.items():
        if steady[column].expected:
            text += f"; none of {steady[column].expected:,} {where}"
    return f"{text}."


def _factor(count: int, of: int) -> str:
    return f"{count / of:.1f}".removesuffix(".0")


def _latency(operations: Mapping[str, Operation]) -> ConsoleRenderable:
    """Response and service side by side, or service under response."""
    shown = {name: operation for name, operation in operations.items() if _is_shown(operation)}
    return titled(
        "Latency in ms: response from the due time, service from the actual start",
        FirstThatFits(
            _latency_in_one_line(shown), _latency_in_two_lines(shown), _latency_in_two_lines(shown, gap=1)
        ),
    )


def _is_shown(operation: Operation) -> bool:
    return bool(operation.planned or operation.done or operation.failed or operation.skipped)


def _latency_in_one_line(operations: Mapping[str, Operation]) -> Table:
    figures = (*_under("response", _PERCENTILES), "", *_under("service", _PERCENTILES))
    found = table(*figures, texts=("operation", "done"))
    for name, operation in operations.items():
        times = (*_figures(operation.response_ms), "", *_figures(operation.service_ms))
        found.add_row(name, _done(operation) + _trouble(operation), *times)
    return found


def _latency_in_two_lines(operations: Mapping[str, Operation], gap: int = 2) -> Table:
    found = table(*_PERCENTILES, texts=("operation, done", "time"), gap=gap)
    for name, operation in operations.items():
        found.add_row(name, "response", *_figures(operation.response_ms))
        found.add_row(f"  {_done(operation)}", "service", *_figures(operation.service_ms), style="dim")
        if trouble := _trouble(operation):
            found.add_row(Text("  ") + trouble[len(", ") :])
    return found


def _done(operation: Operation) -> Text:
    """How many were done, of how many if that was planned."""
    plan = f" of {operation.planned:,}" if operation.planned else ""
    return Text(f"{operation.done:,}{plan}")


def _trouble(operation: Operation) -> Text:
    counts = ((operation.failed, "failed"), (operation.skipped, "skipped"))
    return Text("".join(f", {count:,} {what}" for count, what in counts if count), "bold red")


def _figures(latency: Latency) -> Iterator[str]:
    for value in (latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max):
        yield NO_FIGURE if value is None else three_digits(value)


def _traffic(traffic: Mapping[str, Mapping[str, Traffic]]) -> ConsoleRenderable:
    """Client type and profile side by side, or the profiles under their client type."""
    wide, tight = (table(*_TRAFFIC_FIGURES, texts=("client type", "profile"), gap=gap) for gap in (2, 1))
    nested = table(*_TRAFFIC_FIGURES, texts=("client type, profile",))
    above = ""
    for client, profile, figures in _traffic_lines(traffic):
        style = "dim" if client.startswith(_WHITE_PAPER) else ""
        for flat in (wide, tight):
            flat.add_row(plain(client), plain(profile), *figures, style=style)
        if client != above:
            nested.add_row(plain(client), style=style)
        nested.add_row(plain(f"  {profile}"), *figures, style=style)
        above = client
    return titled(
        "Traffic in kB per user and day: TCP payload of clients, both ways",
        FirstThatFits(wide, tight, nested),
        Text(),
        Text(_TRAFFIC_NOTE, "dim"),
    )


def _traffic_lines(
    traffic: Mapping[str, Mapping[str, Traffic]],
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Client type, profile and figures; the white paper's for the same profiles come last."""
    paper: dict[tuple[str, str], tuple[int, int]] = {}
    for client, profiles in traffic.items():
        for profile, line in profiles.items():
            kb = (line.sending, line.aggregate, line.sending + line.aggregate)
            idle = NO_FIGURE if line.idle_per_hour is None else f"{line.idle_per_hour:,.1f}"
            yield client, profile, (f"{line.users:,}", *(f"{each:,.0f}" for each in kb), idle)
            if line.white_paper_sending is not None and line.white_paper_aggregate is not None:
                paper[line.white_paper_row, profile] = (line.white_paper_sending, line.white_paper_aggregate)
    for (row, profile), (sending, aggregate) in paper.items():
        yield (
            f"{_WHITE_PAPER}{row}",
            profile,
            ("", f"{sending:,}", f"{aggregate:,}", f"{sending + aggregate:,}", ""),
        )


def _outages(summary: Summary) -> ConsoleRenderable:
    headers = ("from s", "users cut off", "virtual connections lost", "recovered after s")
    found = table(*headers, texts=("refused meanwhile",))
    for outage in summary.outages:
        refused = ", ".join(f"{count:,} by {limit}" for limit, count in outage.refused_by_limit.items())
        after_s = outage.recovered_after_s
        found.add_row(
            refused or "nobody",
            f"{outage.from_s:,.0f}",
            f"{outage.lost:,} of {outage.admitted_before:,}",
            f"{outage.connections_lost:,}",
            Text("never", "bold red") if after_s is None else f"{after_s:,.0f}",
        )
    return titled("Outages: from the first loss until as many users are admitted again as before", found)


def _failures(summary: Summary) -> ConsoleRenderable:
    found = Table.grid(padding=(0, 2, 0, 0))
    worst = sorted(summary.failure_examples, key=lambda failure: -failure.count)
    for failure in worst[:_EXAMPLES_SHOWN]:
        found.add_row(
            Text(f"{failure.count:,}", justify="right"),
            failure.operation,
            failure.outcome,
            plain(failure.example),
        )
    return titled("Failures: how many, and the first of each kind", found)


def _generator(summary: Summary) -> Text:
    generator = summary.generator
    lag = "not measured" if generator.lag_ms.p99 is None else f"p99 {three_digits(generator.lag_ms.p99)} ms"
    return Text(
        f"Generator: lag {lag}, busiest worker {generator.busy_peak:.0%}, CPU {generator.cpu_s:,.1f} s, "
        f"descriptors {generator.descriptors_use_peak:.0%}, ports {generator.ports_use_peak:.0%}, "
        f"{generator.memory_per_user_kb:,.0f} kB a user"
    )


def _notes(summary: Summary) -> Iterator[Text]:
    for warning in summary.warnings:
        yield plain(f"Note: {warning}", "yellow")


def _verdict(summary: Summary) -> Text:
    users = summary.users
    text = Text.assemble(
        (summary.verdict, _VERDICT_STYLES[summary.verdict]),
        f"  {safe(summary.campaign)}: {users.logged_on_peak:,} of {users.planned:,} users, "
        f"{users.refused:,} refused, {users.lost:,} lost at the end, "
        f"{summary.connections.lost:,} virtual connections lost",
    )
    for reason in summary.reasons:
        text.append(f"\n  {safe(reason)}")
    return text
