"""What the command line makes of its words, with the run itself replaced."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.cli import run as run_module
from loadgen.cli.html_report import HtmlReport
from loadgen.cli.main import main
from loadgen.cli.progress import PlainLines, line, progress_display
from loadgen.engine.progress import Progress
from loadgen.engine.run import Finished
from loadgen.errors import ProfileError, TransportError, WrongAnswer
from loadgen.measure.store import ResultsError, RunStore
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.summary import summarise
from loadgen.workload.campaign import load_campaign, populate


@pytest.fixture
def runs(monkeypatch):
    """Replaces the run; the list gets (campaign, target), ``ending`` or ``error`` decides how it ends."""

    class Runs(list):
        ending = Ending()
        error = None

    runs = Runs()

    async def run_campaign(campaign, population, target, *, say, on_progress, command, by_hand, meter):
        runs.append((campaign, target))
        say("starting")
        if runs.error is not None:
            raise runs.error
        return Finished(
            summarise(campaign, population, Totals(), measured_s=1.0, ending=runs.ending), Path("results/x")
        )

    monkeypatch.setattr(run_module, "run_campaign", run_campaign)
    monkeypatch.setattr(run_module, "write_html_report", lambda folder, _: HtmlReport(folder / "report.html"))
    return runs


def invoke(*words):
    return CliRunner().invoke(main, words)


def test_without_words_it_is_the_quickstart_against_the_mock(runs):
    result = invoke("run")
    [(campaign, target)] = runs
    assert (campaign.name, campaign.users, target) == ("quickstart", 100, "mock")
    assert "starting" in result.stderr
    assert "Results: results/x/" in result.stdout


def test_every_key_of_a_campaign_is_an_option(runs):
    invoke(
        *(
            "run",
            "smoke",
            "--duration",
            "7s",
            "--warmup",
            "2s",
            "--day",
            "4h",
            "--speed",
            "9",
            "--ramp",
            "3s",
        ),
        *("--startup_hold", "1m", "--hold", "10m", "--seed", "5", "--workers", "3", "--out", "elsewhere"),
        *("--shape", "peak", "--startup", "off", "--unfinished-per-user", "2", "--invalid-lag", "50ms"),
        *(
            "--invalid-busy",
            "0.5",
            "--invalid-use",
            "0.9",
            "--source-ip",
            "127.0.0.1",
            "--source-ip",
            "127.0.0.2",
        ),
        *(
            "--threshold",
            "users.refused == 0",
            "--abort-on",
            "users.lost == 0",
            "--target",
            "mock=http://x:1",
        ),
    )
    [(campaign, target)] = runs
    assert target == "mock=http://x:1"
    assert (campaign.duration, campaign.warmup, campaign.day, campaign.speed) == (7, 2, 14_400, 9)
    assert (campaign.ramp, campaign.startup_hold, campaign.hold) == (3, 60, 600)
    assert (campaign.seed, campaign.workers, campaign.out) == (5, 3, "elsewhere")
    assert (campaign.shape, campaign.startup, campaign.unfinished_per_user) == ("peak", "off", 2)
    assert (campaign.invalid_lag, campaign.invalid_busy, campaign.invalid_use) == (0.05, 0.5, 0.9)
    assert campaign.source_ip == ("127.0.0.1", "127.0.0.2")
    assert (campaign.threshold, campaign.abort_on) == (("users.refused == 0",), ("users.lost == 0",))


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (
            ("--group", "6:loadgen-2007-online:light", "--group", "4:outlook2003-online-anywhere:heavy"),
            [(6, "loadgen-2007-online", "light"), (4, "outlook2003-online-anywhere", "heavy")],
        ),
        (("--users", "9"), [(9, "outlook2007-online-anywhere", "medium")]),
        (
            ("--users", "9", "--client", "loadgen-2003-online", "--profile", "light"),
            [(9, "loadgen-2003-online", "light")],
        ),
    ],
)
def test_users_of_ones_own_replace_those_of_the_campaign(runs, words, groups):
    invoke("run", *words)
    invoke("run", "smoke", *words)
    for campaign, name in zip((each for each, _ in runs), ("command-line", "smoke"), strict=True):
        assert campaign.name == name
        assert [(group.users, group.client, group.profile) for group in campaign.groups] == groups


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("run", "no-such-campaign"),
            "'no-such-campaign' is no",
        ),
        (("run", "--speed", "fast"), "option: speed: "),
        (("run", "--group", "10:outlook2007-online-anywhere"), "is not N:TYPE:PROFILE"),
        (("run", "--group", "0:a:b"), "option: group: users: "),
        (("run", "--group", "9:outlook98:light"), "'outlook98' is no"),
        (("run", "--users", "3"), "users are too few"),
        (("run", "--client", "loadgen-2007-online"), "give --users too"),
        (("run", "--threshold", "users.refusd == 0"), "users has no 'refusd'"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_key(runs, words, problem):
    result = invoke(*words)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert "Traceback" not in result.stderr
    assert not runs


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProfileError("source_ip: too few"), 2),
        (TransportError("the mock organisation did not start"), 3),
        (WrongAnswer("not a mock"), 3),
        (ResultsError("results/x: No space left on device"), 98),
        (KeyError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_has_its_exit_code(runs, error, code):
    runs.error = error
    result = invoke("run")
    assert result.exit_code == code
    if str(error):
        assert str(error) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("--debug", "run"), ("run", "--debug")])
def test_debug_shows_where(runs, words):
    runs.error = KeyError("x")
    result = invoke(*words)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Ending(bug="KeyError: 'x'"), 1),
        (Ending(interrupted=True), 130),
        (Ending(unreachable="refused"), 3),
        (Ending(broken=("worker 1 died",)), 98),
        (Ending(aborted="the mock died"), 99),
    ],
)
def test_how_a_run_ends_is_the_exit_code(runs, ending, code):
    runs.ending = ending
    assert invoke("run").exit_code == code


def test_json_prints_summary_json_and_nothing_else(runs, tmp_path):
    result = invoke("run", "--json")
    [(campaign, _)] = runs
    with RunStore.create(tmp_path, "x", datetime.now(UTC), 0) as store:
        store.write_summary(
            summarise(campaign, populate(campaign), Totals(), measured_s=1.0, ending=Ending())
        )
    assert result.stdout_bytes == (store.folder / "summary.json").read_bytes()
    summary = json.loads(result.stdout)
    assert (summary["schema"], summary["campaign"], summary["users"]["planned"]) == (1, "quickstart", 100)


def commands(command, path=()):
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(commands(main)))
def test_every_command_has_help_with_an_example(path, command):
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout


def test_the_version_is_the_distributions(runs):
    assert invoke("--version").stdout.startswith("loadgen, version ")


def test_the_built_in_campaigns_can_be_run():
    for name in ("quickstart", "day-in-ten-minutes", "smoke"):
        assert populate(load_campaign(name)).users >= 5


PROGRESS = Progress(
    phase="measure",
    phase_s=12.4,
    phase_length_s=45.0,
    users=1_000,
    users_planned=1_001,
    connections=6_006,
    operations_per_s=1_234.5,
    p50_ms=1.25,
    p99_ms=None,
    done=15_000,
    failed=2,
    skipped=3,
)


def test_progress_is_a_line():
    assert line(PROGRESS) == (
        "measure      12 s  users 1,000/1,001  connections 6,006  1,234 ops/s"
        "  p50 1.2 ms  p99 -  failed 2  skipped 3"
    )


def test_plain_lines_come_with_a_new_phase_then_seldom_and_then_seldomer():
    console = Console(width=200, record=True, file=io.StringIO())
    lines = PlainLines(console)
    at_s = {"ramp": (0, 1), "measure": (0, 4.9, 5, 9, 10), "hold": (0, *range(56, 200))}
    for phase, moments in at_s.items():
        for moment in moments:
            lines.show(msgspec.structs.replace(PROGRESS, phase=phase, phase_s=moment))
    shown = [tuple(text.split()[:2]) for text in console.export_text().splitlines()]
    assert shown == [
        *(("ramp", "0"), ("measure", "0"), ("measure", "5"), ("measure", "10")),
        *(("hold", "0"), ("hold", "56"), ("hold", "116"), ("hold", "176")),
    ]


EVIL = "x \x1b[2J [bold]y[/]\x07"


def test_what_is_said_does_nothing_to_the_terminal():
    for terminal in (False, True):
        file = io.StringIO()
        console = Console(width=60, force_terminal=terminal, file=file, highlight=False)
        with progress_display(EVIL, console) as display:
            display.say(EVIL)
            display.show(PROGRESS)
        written = file.getvalue()
        assert "x \\x1b[2J [bold]y[/]\\x07" in written
        assert "\x1b[2J" not in written
        assert "\x07" not in written


def test_a_terminal_is_left_as_it_was_found_whatever_happens():
    file = io.StringIO()
    console = Console(width=60, force_terminal=True, file=file)

    def interrupted():
        with progress_display("quickstart", console) as display:
            display.show(PROGRESS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    written = file.getvalue()
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


def test_the_first_seconds_show_that_something_happens():
    file = io.StringIO()
    with progress_display("quickstart", Console(width=60, force_terminal=True, file=file)):
        pass
    assert "quickstart: starting" in file.getvalue()


def test_standard_output_has_the_result_alone(runs):
    result = invoke("run")
    assert result.stderr == "starting\n"
    assert result.stdout.startswith("TCP connections")
    assert "starting" not in result.stdout
