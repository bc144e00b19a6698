"""``loadgen report``, and the HTML report at the end of a run: it costs a run neither files nor exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import html_report
from loadgen.cli.html_report import write_html_report
from loadgen.cli.main import main
from loadgen.cli.repeat import repeat_command
from loadgen.report.html.page import plotly_script
from tests.report.html.conftest import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("results"))


def invoke(*words):
    return CliRunner().invoke(main, ["report", *map(str, words)])


def test_the_end_screen_is_shown_again(folder):
    result = invoke(folder)
    assert result.exit_code == 0
    assert "FAIL  stalling: 100 of 100 users" in result.stdout


def test_the_summary_is_printed_again(folder):
    result = invoke(folder, "--json")
    assert json.loads(result.stdout) == json.loads((folder / "summary.json").read_text())


def test_the_html_report_is_written_again(folder):
    pytest.importorskip("plotly", reason="charts need the extra 'report'")
    result = invoke(folder, "--html")
    assert result.stdout == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").stat().st_size > 4_000_000


def test_what_is_no_run_and_two_reports_at_once_are_wrong_usage(folder, tmp_path):
    for words in ((tmp_path,), (tmp_path / "nowhere",), (folder, "--html", "--json")):
        assert invoke(*words).exit_code == 2


def test_without_the_extra_it_says_how_to_get_it(folder, monkeypatch):
    plotly_script.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    result = invoke(folder, "--html")
    plotly_script.cache_clear()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: report.html was left out: plotly is missing; pip install 'outlook-loadgen[report]'\n"
    )


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (
            subprocess.TimeoutExpired("x", 36.0),
            "report.html was left out: it took longer than 36 s; 'loadgen",
        ),
        (
            KeyboardInterrupt(),
            "report.html was left out: interrupted; 'loadgen report results/x --html' makes",
        ),
        (
            OSError(12, "Cannot allocate memory"),
            "report.html was left out: [Errno 12] Cannot allocate memory",
        ),
        ((2, "Error: report.html was left out: no plotly\n"), "report.html was left out: no plotly"),
        (
            (1, "warning\nError: a bug of \x1b ours\n"),
            "report.html was left out: a bug of \\x1b ours; 'loadgen",
        ),
        ((-9, ""), "report.html was left out: no reason given; 'loadgen report"),
    ],
)
def test_what_goes_wrong_with_the_report_is_one_line(monkeypatch, happens, said):
    def run(command, *, timeout, **_):
        assert (command[-2:], timeout) == (["results/x", "--html"], 36.0)
        if isinstance(happens, BaseException):
            raise happens
        return subprocess.CompletedProcess(command, happens[0], "", happens[1])

    monkeypatch.setattr(html_report.subprocess, "run", run)
    report = write_html_report(Path("results/x"), 3600.0)
    assert report.path is None
    assert report.problem.startswith(said)
    assert "\n" not in report.problem


def test_the_report_of_a_run_is_written_by_a_process_of_its_own(folder):
    pytest.importorskip("plotly", reason="charts need the extra 'report'")
    (folder / "report.html").unlink(missing_ok=True)
    assert write_html_report(folder, 60.0).path == folder / "report.html"
    assert (folder / "report.html").exists()


def test_a_command_is_quoted_and_holds_no_password():
    words = [
        "run",
        "my campaign.toml",
        "--threshold",
        "users.refused == 0",
        "--target",
        "https://u:p@host:1/x",
    ]
    assert repeat_command(words) == (
        "loadgen run 'my campaign.toml' --threshold 'users.refused == 0' --target https://host:1/x"
    )
