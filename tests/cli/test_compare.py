"""``loadgen compare`` as its users see it: forms of output, options, exit codes."""

import json
import re
import sys

import msgspec
import pytest
from click.testing import CliRunner

from loadgen.cli.main import main
from loadgen.compare.comparison import Comparison
from loadgen.measure import threshold
from tests.compare.conftest import write_run

P95 = "operations.send_message.response_ms.p95"
EVIL = "</script>[bold]|`x`"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    slow = write_run(out, "slow", seed=2, slowdown=1.1, seconds=30)
    return [str(write_run(out, "before", seed=1, seconds=30)), str(slow)]


def invoke(*words, code=0):
    result = CliRunner().invoke(main, ["compare", *words])
    assert result.exit_code == code, result.output
    return result


def test_the_answer_stands_first(pair):
    printed = invoke(*pair).stdout
    assert printed.startswith("A is the baseline\n")
    answer = " ".join(printed[printed.index("What was asked") :].split())
    assert re.match(
        rf"What was asked DIFFERS {re.escape(P95)}: B beside A: it differs\. [\d,.]+ instead", answer
    )
    assert "TCP connections, steady" in printed
    assert "Latency in ms, B beside A" in printed


def test_80_columns_are_enough(pair, monkeypatch):
    monkeypatch.setattr("loadgen.report.layout.PIPED_WIDTH", 80)
    assert max(len(line.rstrip()) for line in invoke(*pair, pair[0]).stdout.splitlines()) <= 80


def test_json_holds_everything(pair):
    printed = invoke(*pair, "--json", "--at-least", "0.03", "--metric", P95, "--seed", "7").stdout
    found = msgspec.json.decode(printed, type=Comparison)
    assert (found.schema, found.rules.seed, found.rules.at_least) == (1, 7, 0.03)
    assert [side.label for side in found.sides] == ["A", "B"]
    assert found.asked[0].outcome == "differs"
    assert invoke(*pair, "--json", "--at-least", "3%", "--metric", P95, "--seed", "7").stdout == printed


def test_markdown_takes_nothing_for_markup(pair, tmp_path):
    plan = tmp_path / f"{EVIL.replace('/', '')}.json"
    plan.write_bytes(CliRunner().invoke(main, ["plan", "quickstart", "--json"]).stdout_bytes)
    printed = invoke(pair[0], str(plan), "--markdown").stdout
    assert "\\<script\\>\\[bold\\]\\|\\`x\\`" in printed
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert all(re.fullmatch(r"\|( ([^|\\]|\\.)*\|| ?-+:?\|)+", row) for row in rows)


def test_the_page_is_one_file_that_says_the_same(pair, tmp_path):
    pytest.importorskip("plotly", reason="charts need the extra 'report'")
    path = tmp_path / "page.html"
    invoke(*pair, "--html", str(path))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert '<span class="verdict fail">DIFFERS</span>' in text
    for title in ("Latency and rates", "Connections", "What was compared"):
        assert f">{title}</h2>" in text
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])
    (trace,) = figures["changes"][""]["data"]
    assert trace["y"] == ["send_message service", "send_message response"]
    assert invoke(*pair, "--html", str(tmp_path), code=threshold.EXIT_USAGE)


@pytest.mark.parametrize(
    ("condition", "code"),
    [(f"{P95} > +3%", threshold.EXIT_FAIL), (f"{P95} > +50%", 0), ("users.lost > 0", 0)],
)
def test_conditions_end_with_an_exit_code(pair, condition, code):
    printed = invoke(*pair, "--fail-on", condition, code=code).stdout
    assert ("FAIL" if code else "ok") in printed.splitlines()[-1]


@pytest.mark.parametrize("form", [(), ("--markdown",)])
def test_conditions_on_a_run_that_says_nothing_end_with_why(pair, tmp_path, form):
    broken = str(write_run(tmp_path, "broken", seed=3, seconds=2, interrupted=True))
    words = (*pair, broken, "--fail-on", "users.lost >= 0", *form)
    lines = invoke(*words, code=threshold.EXIT_INVALID).stdout.splitlines()
    [conclusion] = [line for line in lines if "exit code 98" in line]
    assert "INVALID  nothing can be concluded from C" in conclusion
    assert form or lines[-1] == conclusion
    assert "exit code" not in invoke(*words[:3], *form).stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "give two to 26 results"),
        (("--at-least", "much"), "at-least: 'much' is not a share"),
        (("--fail-on", f"{P95} > 10%"), "write +10% or -10%"),
        (("--metric", "operations.send_message.response_ms.max"), "has no intervals"),
    ],
)
def test_mistakes_are_told_in_one_line(words, problem):
    result = invoke(*words, code=threshold.EXIT_USAGE)
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_the_extra_it_says_how_to_get_it(pair, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("loadgen.compare")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    result = invoke(*pair, code=threshold.EXIT_USAGE)
    assert "pip install 'outlook-loadgen[compare]'" in result.stderr
