"""docs/metrics.md and the dashboard name what there is, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS
from tests.telemetry.conftest import scraped

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana" / "loadgen.json").read_text(encoding="utf-8"))
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
EXPOSED = {each.prometheus_name + suffix: each for each in INSTRUMENTS for suffix in SUFFIXES[each.kind]}
SCRAPED_WITH = {"job", "instance", "le"}
METRIC = re.compile(r"\bloadgen_\w+")
SELECTOR = re.compile(r"\b(loadgen_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')
SHOWN_AS = {"s": {"s"}, "By": {"bytes", "Bps"}, "1": {"percentunit"}, "": {"short", "ops", "percentunit"}}
"""Units of Grafana by those of instruments."""


def expressions(node):
    """Every expression of the dashboard, queries of variables and annotations included."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str) and "loadgen_" in value:
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for each in node:
            yield from expressions(each)


EXPRESSIONS = sorted(set(expressions(DASHBOARD)))


def test_every_metric_is_described_in_its_row():
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `loadgen_")
    ]
    assert rows == [
        [
            f"`{each.prometheus_name}{'_total' if each.kind == 'counter' else ''}`",
            f"`{each.name}`",
            each.kind,
            " ".join(f"`{label}`" for label in each.labels),
            each.text,
        ]
        for each in INSTRUMENTS
    ]
    assert f"{', '.join(f'{bound:g}' for bound in BOUNDS_S)} s" in text


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_names_metrics_that_exist_with_labels_that_they_have(expression):
    named = METRIC.findall(expression)
    assert named
    assert set(named) <= EXPOSED.keys()
    labels = {label for name in named for label in EXPOSED[name].labels} | SCRAPED_WITH
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression)
    grouped = [label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")]
    asked = re.findall(r"label_values\([^)]*, (\w+)\)", expression)
    assert {*selected, *grouped, *asked} <= labels
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_every_selector_finds_something_in_what_a_run_serves(meter):
    samples = [sample for family in scraped(lambda: meter.readings).values() for sample in family.samples]
    selectors = {selector for expression in EXPRESSIONS for selector in SELECTOR.findall(expression)}
    assert len(selectors) > len(INSTRUMENTS) // 2
    for name, matchers in selectors:
        asked = MATCHER.findall(re.sub(r"\$\w+", ".+", matchers))
        assert len(asked) == matchers.count("=")
        assert any(sample.name == name and agrees(sample.labels, asked) for sample in samples), (name, asked)


def agrees(labels, matchers):
    values = {"job": "loadgen", "instance": "here"} | labels
    return all(
        bool(re.fullmatch(value if operator == "=~" else re.escape(value), values.get(label, "")))
        != (operator == "!=")
        for label, operator, value in matchers
    )


def test_panels_have_a_unit_and_the_data_source_that_is_chosen():
    for panel in DASHBOARD["panels"]:
        first, *_ = METRIC.findall(panel["targets"][0]["expr"])
        assert panel["fieldConfig"]["defaults"]["unit"] in SHOWN_AS[EXPOSED[first].unit], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))


def test_the_dashboard_leaves_no_metric_out_but_who_the_run_is():
    shown = {EXPOSED[name] for expression in EXPRESSIONS for name in METRIC.findall(expression)}
    assert {each.name for each in INSTRUMENTS} - {each.name for each in shown} == {
        "loadgen.run.info",
        "loadgen.operations.planned",
        "loadgen.virtual_connections",
    }


def test_legends_name_labels_that_the_expression_leaves():
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            labels = {
                label
                for name in METRIC.findall(target["expr"])
                for label in (*EXPOSED[name].labels, *SCRAPED_WITH)
            }
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_panels_do_not_overlap_and_fit_the_grid():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_variable_that_is_used_is_there():
    known = {each["name"] for each in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__all"}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD)))
    assert used <= known
