"""A comparison on the screen: what was asked first, then everything else. 80 columns do."""

import io
from collections.abc import Iterator

from rich.console import Console, ConsoleRenderable, Group
from rich.text import Text

from loadgen.compare import wording
from loadgen.compare.comparison import Comparison, Counts, Finding
from loadgen.compare.source import MOMENTS
from loadgen.report.layout import NO_FIGURE, headed, output_console, plain, table, titled
from loadgen.report.text import COLUMN_TITLES

_STYLES = {
    "differs": "bold red",
    "no_difference": "green",
    "too_little_data": "yellow",
    "not_measured": "dim",
}
_LONGEST_SETTING = 36


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Prints it, by default to standard output."""
    console = console or output_console()
    if isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="replace")  # a terminal without our marks is no reason to fail
    console.print(screen(comparison), crop=False)


def screen(comparison: Comparison) -> ConsoleRenderable:
    """The whole comparison."""
    parts: list[ConsoleRenderable] = [_sides(comparison), *_warnings(comparison), _asked(comparison)]
    parts += [_connections(comparison, moment) for moment in MOMENTS if _at(comparison, moment)]
    for side in comparison.sides[1:]:
        parts += _latencies(comparison, side.label)
    if wording.shown_figures(comparison):
        parts.append(_figures(comparison))
    if comparison.settings:
        parts.append(_settings(comparison))
    parts += [Text(), Text(wording.LEGEND, "dim"), *_conditions(comparison)]
    return Group(*parts)


def _sides(comparison: Comparison) -> ConsoleRenderable:
    found = table("users", "verdict", texts=("", "", "kind"))
    for side in comparison.sides:
        users = NO_FIGURE if side.users is None else f"{side.users:,}"
        found.add_row(Text(side.label, "bold"), plain(side.name), side.kind, users, side.verdict or NO_FIGURE)
    return headed(f"{comparison.sides[0].label} is the baseline", found)


def _warnings(comparison: Comparison) -> Iterator[Text]:
    for warning in comparison.warnings:
        yield Text()
        yield plain(f"WARNING: {warning}", "bold yellow")


def _asked(comparison: Comparison) -> ConsoleRenderable:
    lines = [
        Text.assemble(
            (wording.OUTCOMES[finding.outcome], _STYLES[finding.outcome]),
            f"  {wording.sentence(finding, comparison)}",
        )
        for finding in comparison.asked
    ]
    several = f", {len(lines)} answers corrected for together" if len(lines) > 1 else ""
    return titled(f"What was asked{several}", *lines)


def _at(comparison: Comparison, moment: str) -> list[Counts]:
    """The columns of a moment in which there is something."""
    return [
        each
        for each in comparison.connections
        if each.moment == moment and (any(each.connections.values()) or each.as_loadgen)
    ]


def _connections(comparison: Comparison, moment: str) -> ConsoleRenderable:
    rows = _at(comparison, moment)
    labels = [side.label for side in comparison.sides]
    with_loadgen = any(row.as_loadgen is not None for row in rows)
    headers = [*labels, *(f"{label}/user" for label in labels), *(["LoadGen"] if with_loadgen else [])]
    found = table(*headers)
    for row in rows:
        per_user = [NO_FIGURE if value is None else f"{value:.2f}" for value in row.per_user.values()]
        loadgens = [wording.figure(row.as_loadgen)] if with_loadgen else []
        found.add_row(COLUMN_TITLES[row.column], *_counts(row, labels), *per_user, *loadgens)
    return titled(f"TCP connections, {moment}", found)


def _counts(row: Counts, labels: list[str]) -> Iterator[Text]:
    """Marked where users have other connections than those of the baseline."""
    for label in labels:
        differs = wording.has_other_connections(row, label, labels[0])
        sign = f"{wording.SIGNS['differs']} " if differs else ""
        yield Text(f"{sign}{wording.figure(row.connections[label])}", "bold red" if differs else "")


def _latencies(comparison: Comparison, label: str) -> Iterator[ConsoleRenderable]:
    """Latencies and rates of one side beside the baseline's."""
    baseline = comparison.sides[0].label
    headers = (baseline, label, "change", "from", "to", "")
    rows = list(wording.shown_beside(comparison, label))
    if rows:
        found, above = table(*headers, texts=("operation", "ms"), gap=1), ""
        for operation, name, finding in rows:
            figure = name.replace("_ms.", " ")
            found.add_row("" if operation == above else operation, figure, *_finding(finding))
            above = operation
        yield titled(f"Latency in ms, {label} beside {baseline}", found)
    rates = wording.rates(comparison, label)
    if rates:
        found = table(*headers, texts=("operation",), gap=1)
        for operation, finding in rates:
            found.add_row(operation, *_finding(finding))
        yield titled(f"Done per second in the measured phase, {label} beside {baseline}", found)
    if rows or rates:
        yield Text(f"\n{wording.BESIDE}", "dim")


def _finding(finding: Finding) -> Iterator[Text]:
    yield Text(wording.figure(finding.baseline))
    yield Text(wording.figure(finding.value))
    yield Text(wording.change(finding), _STYLES[finding.outcome] if finding.outcome == "differs" else "")
    for edge in (finding.low, finding.high):
        yield Text(NO_FIGURE if edge is None else wording.percent(edge), "dim")
    yield Text(wording.SIGNS[finding.outcome], _STYLES[finding.outcome])


def _figures(comparison: Comparison) -> ConsoleRenderable:
    labels = [side.label for side in comparison.sides]
    found = table(*labels, texts=("what was counted",))
    for figure in wording.shown_figures(comparison):
        values = [wording.figure(figure.values.get(label)) for label in labels]
        found.add_row(plain(figure.path), *values)
    return titled("Counts, traffic, and the generator itself (as they are: no test)", found)


def _settings(comparison: Comparison) -> ConsoleRenderable:
    lines = []
    for setting in comparison.settings:
        values = (f"{label} {_shortened(value)}" for label, value in setting.values.items())
        lines.append(plain(f"{setting.key}: {', '.join(values)}"))
    return titled("Settings that differ", *lines)


def _shortened(value: str | None) -> str:
    if value is None:
        return "none"
    return value if len(value) <= _LONGEST_SETTING else f"{value[: _LONGEST_SETTING - 1]}…"


def _conditions(comparison: Comparison) -> Iterator[Text]:
    for result in comparison.conditions:
        line = wording.condition(result, comparison.sides[0].label)
        yield plain(line, "bold red" if result.met else "green")
    if conclusion := wording.conclusion(comparison):
        yield Text(conclusion, "bold yellow")
