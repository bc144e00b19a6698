"""A comparison in Markdown, for a pull request or a page of notes."""

from collections.abc import Iterable, Iterator, Sequence

from loadgen.compare import wording
from loadgen.compare.comparison import Comparison, Finding
from loadgen.compare.source import MOMENTS
from loadgen.report.layout import NO_FIGURE, safe
from loadgen.report.text import COLUMN_TITLES


def markdown(comparison: Comparison) -> str:
    """The whole document."""
    return "\n".join(line.rstrip() for line in _lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    baseline = comparison.sides[0].label
    labels = [side.label for side in comparison.sides]
    yield f"# {' beside '.join(_escaped(side.name) for side in comparison.sides[::-1])}"
    yield ""
    yield from _table(
        ("", "name", "kind", "users", "verdict"),
        (
            (side.label, side.name, side.kind, wording.figure(side.users), side.verdict or NO_FIGURE)
            for side in comparison.sides
        ),
        texts=3,
    )
    for warning in comparison.warnings:
        yield f"> **Warning**: {_escaped(warning)}"
        yield ""
    yield "## What was asked"
    yield ""
    for finding in comparison.asked:
        yield f"- **{wording.OUTCOMES[finding.outcome]}** {_escaped(wording.sentence(finding, comparison))}"
    for result in comparison.conditions:
        yield f"- {_escaped(wording.condition(result, baseline))}"
    if conclusion := wording.conclusion(comparison):
        yield f"- {conclusion}"
    yield ""
    yield from _connections(comparison, labels)
    for label in labels[1:]:
        yield from _findings(comparison, baseline, label)
    if comparison.figures:
        yield from ("## Counts, traffic, and the generator itself", "")
        rows = (
            (each.path, *(wording.figure(each.values.get(label)) for label in labels))
            for each in comparison.figures
        )
        yield from _table(("", *labels), rows)
    if comparison.settings:
        yield from ("## Settings that differ", "")
        settings = (
            (each.key, *(each.values.get(label) or NO_FIGURE for label in labels))
            for each in comparison.settings
        )
        yield from _table(("key", *labels), settings, texts=1 + len(labels))


def _connections(comparison: Comparison, labels: Sequence[str]) -> Iterator[str]:
    for moment in MOMENTS:
        rows = [each for each in comparison.connections if each.moment == moment]
        if not rows:
            continue
        yield from (f"## TCP connections, {moment}", "")
        per_user = (f"{label} per user" for label in labels)
        yield from _table(
            ("", *labels, *per_user, "LoadGen"),
            (
                (
                    COLUMN_TITLES[row.column],
                    *(wording.figure(row.connections[label]) for label in labels),
                    *(wording.figure(row.per_user[label]) for label in labels),
                    wording.figure(row.as_loadgen),
                )
                for row in rows
            ),
        )


def _findings(comparison: Comparison, baseline: str, label: str) -> Iterator[str]:
    found = [each for each in (*comparison.asked, *comparison.beside) if each.label == label]
    if not found:
        return
    yield from (f"## Latency and rates, {label} beside {baseline}", "", wording.BESIDE, "")
    header = ("figure", "", baseline, label, "change", "from", "to")
    yield from _table(header, (_row(each) for each in found), texts=2)
    yield from (wording.LEGEND, "")


def _row(finding: Finding) -> tuple[str, ...]:
    edges = (NO_FIGURE if edge is None else wording.percent(edge) for edge in (finding.low, finding.high))
    return (
        finding.metric,
        wording.SIGNS[finding.outcome],
        wording.figure(finding.baseline),
        wording.figure(finding.value),
        wording.change(finding),
        *edges,
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' if place < texts else '---:' for place in range(len(header)))}|"
    for row in rows:
        yield f"| {' | '.join(_escaped(each) for each in row)} |"
    yield ""


def _escaped(text: str) -> str:
    """Text from outside, of which nothing is taken for markup."""
    text = safe(text)
    for mark in "\\`*_{}[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return text
