"""A comparison as one self-contained page, in the manner of a run's report."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from loadgen.compare import wording
from loadgen.compare.comparison import Comparison, Counts, Finding
from loadgen.compare.source import MOMENTS
from loadgen.measure.columns import PARTS
from loadgen.report.html.markup import Cell, Markup, Table, cell, element, joined
from loadgen.report.html.page import Page
from loadgen.report.layout import NO_FIGURE, safe
from loadgen.report.text import COLUMN_TITLES

_COLOURS: Final = ("@response", "@service", "@users", "@good", "@bad", "@muted")
_CLASSES: Final = {
    "differs": "fail",
    "no_difference": "pass",
    "too_little_data": "invalid",
    "not_measured": "none",
}
_ROW_PX: Final = 26


def page(comparison: Comparison) -> str:
    """The whole file; raises :class:`~loadgen.report.html.page.NoCharts`."""
    made = Page(f"{comparison.sides[-1].name} beside {comparison.sides[0].name}")
    made.header = _header(comparison)
    made.section("latency", "Latency and rates", *_latency(made, comparison))
    made.section("connections", "Connections", *_connections(comparison))
    made.section("counts", "Counts, traffic, and the generator itself", *_figures(comparison))
    if comparison.settings:
        made.section("settings", "Settings that differ", _settings(comparison))
    made.section("sides", "What was compared", *_sides(comparison))
    return made.render()


def _header(comparison: Comparison) -> Markup:
    names = (f"{side.label}: {safe(side.name)}" for side in comparison.sides)
    parts = [
        element("p", " · ".join(names), class_="about"),
        element("h1", f"Beside the baseline, {comparison.sides[0].label}"),
    ]
    for finding in comparison.asked:
        badge = element(
            "span", wording.OUTCOMES[finding.outcome], class_=f"verdict {_CLASSES[finding.outcome]}"
        )
        parts.append(element("p", badge, " ", wording.sentence(finding, comparison), class_="sentence"))
    for result in comparison.conditions:
        text = wording.condition(result, comparison.sides[0].label)
        parts.append(element("p", text, class_="bad" if result.met else "good"))
    if conclusion := wording.conclusion(comparison):
        parts.append(element("p", conclusion, class_="bad"))
    if comparison.warnings:
        lines = (element("li", element("strong", "Warning "), safe(each)) for each in comparison.warnings)
        parts.append(element("ul", *lines, class_="warnings"))
    return joined(parts)


def _latency(made: Page, comparison: Comparison) -> Iterator[Markup]:
    figure = _forest(comparison)
    if figure is not None:
        baseline = comparison.sides[0].label
        yield made.chart(
            "changes",
            f"Changes of the 95th percentiles beside {baseline}",
            "The line is where the change lies with 95 % confidence; one that crosses nought may be noise.",
            {"": figure},
        )
    for side in comparison.sides[1:]:
        yield _findings(comparison, side.label)
    yield element("p", wording.BESIDE, class_="note")
    yield element("p", wording.LEGEND, class_="note")


def _forest(comparison: Comparison) -> dict[str, Any] | None:
    """A point with its interval for each 95th percentile, a colour for each side; None if there is none."""
    traces = []
    rows = 0
    for place, side in enumerate(comparison.sides[1:]):
        shown = [
            (f"{operation} {name.partition('_')[0]}", finding)
            for operation, name, finding in wording.shown_beside(comparison, side.label)
            if name.endswith(".p95") and finding.low is not None
        ][::-1]
        if shown:
            traces.append(_points(side.label, shown, _COLOURS[place % len(_COLOURS)]))
            rows = max(rows, len(shown))
    if not traces:
        return None
    layout = {
        "height": 110 + _ROW_PX * rows * len(traces),
        "hovermode": "closest",
        "xaxis": {"ticksuffix": " %", "title": {"text": "change"}, "zeroline": False},
        "yaxis": {"type": "category"},
        "shapes": [
            {
                "type": "line",
                "x0": 0,
                "x1": 0,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": "@muted", "width": 1},
            }
        ],
        "margin": {"b": 56},
    }
    return {"data": traces, "layout": layout}


def _points(label: str, shown: Sequence[tuple[str, Finding]], colour: str) -> dict[str, Any]:
    def percent(ratio: float | None) -> float:
        return round(100 * ((ratio or 1.0) - 1), 2)

    middles = [percent(finding.ratio) for _, finding in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label,
        "x": middles,
        "y": [name for name, _ in shown],
        "marker": {"color": colour, "size": 8},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [percent(each.high) - at for at, (_, each) in zip(middles, shown, strict=True)],
            "arrayminus": [at - percent(each.low) for at, (_, each) in zip(middles, shown, strict=True)],
            "color": colour,
        },
        "hovertemplate": "%{y}: %{x:+.1f} %",
    }


def _findings(comparison: Comparison, label: str) -> Markup:
    baseline = comparison.sides[0].label
    found = Table(
        f"{label} beside {baseline}", ["figure", "", baseline, label, "change", "from", "to"], texts=2
    )
    for finding in (*comparison.asked, *comparison.beside):
        if finding.label != label:
            continue
        sign = cell(
            wording.SIGNS[finding.outcome],
            _CLASSES[finding.outcome],
            title=wording.sentence(finding, comparison),
        )
        edges = (NO_FIGURE if each is None else wording.percent(each) for each in (finding.low, finding.high))
        values = (wording.figure(finding.baseline), wording.figure(finding.value), wording.change(finding))
        found.row(finding.metric, sign, *values, *edges)
    return found.render()


def _connections(comparison: Comparison) -> Iterator[Markup]:
    labels = [side.label for side in comparison.sides]
    for moment in MOMENTS:
        rows = [each for each in comparison.connections if each.moment == moment]
        if not rows:
            continue
        found = Table(f"TCP connections, {moment}", ["connections", *labels, *labels, "same users"])
        found.group(("", 1), ("in all", len(labels)), ("per user", len(labels)), ("LoadGen", 1))
        for row in rows:
            per_user = [wording.figure(row.per_user[label]) for label in labels]
            found.row(
                COLUMN_TITLES[row.column],
                *(_count(row, label, labels[0]) for label in labels),
                *per_user,
                wording.figure(row.as_loadgen),
                class_="total" if row.column in PARTS else None,
            )
        yield found.render()
    if not comparison.connections:
        yield element("p", "Nobody counted any.", class_="note")


def _count(row: Counts, label: str, baseline: str) -> Cell:
    text = wording.figure(row.connections[label])
    if wording.has_other_connections(row, label, baseline):
        return cell(f"{wording.SIGNS['differs']} {text}", "figure bad")
    return cell(text, "figure")


def _figures(comparison: Comparison) -> Iterator[Markup]:
    yield element("p", "As they are: nothing tells what of a difference is noise.", class_="note")
    labels = [side.label for side in comparison.sides]
    found = Table("Counts", ["figure", *labels])
    for each in comparison.figures:
        found.row(safe(each.path), *(wording.figure(each.values.get(label)) for label in labels))
    yield found.render()


def _settings(comparison: Comparison) -> Markup:
    labels = [side.label for side in comparison.sides]
    found = Table("Settings of runs", ["key", *labels], texts=1 + len(labels))
    for each in comparison.settings:
        values = (each.values.get(label) for label in labels)
        found.row(safe(each.key), *(NO_FIGURE if value is None else safe(value) for value in values))
    return found.render()


def _sides(comparison: Comparison) -> Iterator[Markup]:
    found = Table("Sides", ["", "name", "kind", "path", "users", "verdict"], texts=4)
    for side in comparison.sides:
        users = wording.figure(side.users)
        found.row(side.label, safe(side.name), side.kind, safe(side.path), users, side.verdict or NO_FIGURE)
    yield found.render()
    for side in comparison.sides:
        for note in side.notes:
            yield element("p", f"{side.label}: {safe(note)}", class_="note")
