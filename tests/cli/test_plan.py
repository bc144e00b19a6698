"""``loadgen plan``: what its words mean, and that it prints what docs/capacity.md says it prints."""

import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "capacity.md"
ROW = re.compile(r"^\| (?P<figures>[^|]+) \|.*\| `loadgen (?P<command>plan [^`]+)` \|$", re.MULTILINE)
ROWS = [(row["figures"], row["command"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
FIGURE = re.compile(r"\w+(?:[,.]\d+)*")


@cache
def output_of(command: str) -> str:
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("figures", "command"), ROWS)
def test_a_plan_prints_the_figures_of_the_literature(figures, command):
    printed = set(FIGURE.findall(output_of(command)))
    assert set(FIGURE.findall(figures)) <= printed


def test_the_page_holds_every_figure_of_the_table():
    assert len(ROWS) >= 35
    text = " ".join(figures for figures, _ in ROWS)
    for figure in ("10,922", "5,461", "64,510", "397", "331", "902.8", "15.03", "2.44", "20,000", "444"):
        assert figure in text


@pytest.mark.parametrize("words", ["", "quickstart", "--for-users 20000", "--topology hosting --users 7"])
def test_a_plan_has_80_columns_at_most(words):
    assert max(len(line.rstrip()) for line in output_of(f"plan {words}").splitlines()) <= 80


def planned(*words: str) -> dict:
    return json.loads(output_of(shlex.join(("plan", *words, "--json"))))


def test_a_campaign_brings_its_topology_and_groups():
    found = planned("quickstart")
    assert (found["topology"], found["users"], len(found["groups"])) == ("default", 100, 13)
    assert found["ceilings"] == []
    assert found["needed"] is None


def test_options_change_topology_day_and_start_up():
    found = planned(
        *("--group", "30:outlook2007-cached-anywhere:light", "--group", "10:loadgen-2007-online:heavy"),
        *("--topology", "hosting", "--set", "limits.ports=1000", "--limit-scale", "0.5", "--startup", "off"),
        *("--servers", "client_access=2", "--servers", "public_folders=2", "--day", "4h", "--spread", "10s"),
    )
    assert (found["topology"], found["limit_scale"], found["startup"]) == ("hosting", 0.5, False)
    assert [server["name"] for server in found["servers"]] == [
        *("CAS1", "CAS2", "MBX1", "MBX2", "MBX3", "PF1", "PF2", "GC1")
    ]
    assert found["ceilings"][0]["of"] == 500
    assert {each["spread_s"] for each in found["reconnect"]} == {10.0}
    assert found["connections"]["cas_total"] == {"steady": 30 * 8 + 10 * 2, "startup": 30 * 12 + 10 * 2}


def test_wanted_users_are_the_population_if_there_is_no_other():
    found = planned("--for-users", "20000", "--client", "outlook2007-cached-anywhere", "--startup", "off")
    assert found["users"] == found["needed"]["users"] == 20_000
    assert found["needed"]["servers"]["client_access"] == 3
    mixed = planned("quickstart", "--for-users", "20000", "--topology", "white-paper")
    assert (mixed["users"], mixed["needed"]["users"]) == (100, 20_000)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--servers mailbox", "option: servers: 'mailbox' is not ROLE=N; roles: reverse_proxy"),
        ("--servers mailbox=0", "is not ROLE=N"),
        ("--servers dsproxy=1", "is not ROLE=N"),
        ("--spread soon", "option: spread: 'soon' is not a duration"),
        ("--topology nowhere", "'nowhere' is no built-in topology profile"),
        ("--set limits.prots=1", "limits.prots: unknown key (did you mean ports?); allowed: scale"),
        (
            "--set limit.ports=server-2003",
            "limit.ports=server-2003: limit: unknown key (did you mean limits?); ",
        ),
        ("--set limits", "--set limits: not of the form key=value"),
        ("--client loadgen-2007-online", "give --users too"),
    ],
)
def test_what_is_wrong_is_one_line(words, problem):
    result = CliRunner().invoke(main, ("plan", *shlex.split(words)))
    assert result.exit_code == 2
    assert problem in result.stderr


def test_a_file_that_no_run_could_judge_by_is_not_planned(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("extends = 'quickstart'\nthreshold = ['users.refusd == 0']\n")
    result = CliRunner().invoke(main, ("plan", str(path)))
    assert result.exit_code == 2
    assert f"{path}: threshold: 'users.refusd == 0': users has no 'refusd'; allowed: " in result.stderr
