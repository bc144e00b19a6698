"""What the command line makes of the words of ``loadgen capacity``, with the search itself replaced."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from loadgen.capacity.found import Capacity
from loadgen.capacity.gap import Gap, GapRow, gap_of
from loadgen.cli import capacity as capacity_module
from loadgen.cli.main import main
from loadgen.engine.capacity_run import Found
from loadgen.engine.climb import Aim
from loadgen.errors import TransportError
from loadgen.report.summary import Generator, Latency
from loadgen.telemetry.meter import Meter

FOUND = Capacity(
    campaign="quickstart",
    target="mock",
    verdict="PASS",
    reasons=(),
    exit_code=0,
    users=40,
    stopped_by="limit",
    limit="ports",
    server="CAS1",
    ceiling=50,
    startup=True,
    hold_only=False,
    plateau_s=5.0,
    generator=Generator(
        lag_ms=Latency(),
        cpu_s=1.0,
        busy_peak=0.0,
        descriptors_use_peak=0.0,
        ports_use_peak=0.0,
        memory_per_user_kb=1.0,
        clamped=0,
    ),
)


def row(client, users, *, startup=False, is_loadgens=False, **changes):
    made = GapRow(
        client=client,
        startup=startup,
        is_loadgens=is_loadgens,
        users=users,
        planned=users,
        stopped_by="limit",
        limit="ports",
        server="CAS1",
        connections={"client_to_cas": 8 * users, "store": None},
        verdict="PASS",
        exit_code=0,
        folder=f"results/{client}",
    )
    return msgspec.structs.replace(made, **changes)


ROWS = (
    row("loadgen-2007-online", 163, is_loadgens=True),
    row("outlook2007-cached-anywhere", 40),
    row("outlook2007-cached-anywhere", 27, startup=True),
    row("outlook2003-online-anywhere", 0, stopped_by="ceiling", limit=None, server=None),
)


@pytest.fixture
def searches(monkeypatch):
    """Replaces both searches; the list gets (campaign, aim, target)."""

    class Searches(list):
        found = Found(FOUND, Path("results/x"))
        gap = gap_of("gap", "white-paper", 0.005, ROWS)
        error = None

    searches = Searches()
    searches.meters = []

    def replaced(result):
        async def search(campaign, aim, target, *, say, on_progress, command, meter):
            searches.append((campaign, aim, target))
            searches.meters.append(meter)
            say("looking")
            say("Warning: look out")
            if searches.error is not None:
                raise searches.error
            return result()

        return search

    monkeypatch.setattr(capacity_module, "find_capacity", replaced(lambda: searches.found))
    monkeypatch.setattr(capacity_module, "measure_gap", replaced(lambda: searches.gap))
    return searches


def invoke(*words):
    return CliRunner().invoke(main, ("capacity", *words))


def test_without_words_it_is_the_quickstart_against_the_mock(searches):
    result = invoke()
    [(campaign, aim, target)] = searches
    assert (campaign.name, aim, target) == ("quickstart", Aim(), "mock")
    assert result.exit_code == 0
    assert "looking" in result.stderr
    assert "40 users pass, number 41 is refused: ports of CAS1." in result.stdout


def test_options_aim_the_search_and_change_the_campaign(searches):
    invoke(
        *(
            "smoke",
            "--ceiling",
            "70",
            "--step",
            "5",
            "--plateau",
            "1m",
            "--hold-only",
            "--target",
            "mock=http://x",
        ),
        *("--limit_scale", "0.5", "--threshold", "users.lost == 0"),
    )
    [(campaign, aim, target)] = searches
    assert (campaign.name, campaign.limit_scale, campaign.threshold) == ("smoke", 0.5, ("users.lost == 0",))
    assert (aim, target) == (Aim(ceiling=70, step=5, plateau_s=60.0, hold_only=True), "mock=http://x")


@pytest.mark.parametrize("words", [(), ("--gap",)])
def test_it_is_shown_and_exported_as_runs_are(searches, words):
    result = invoke(*words, "--plain", "--metrics", "127.63.0.1:0")
    assert "looking" in result.stderr
    assert "metrics: http://127.63.0.1:" in result.stderr
    quiet = invoke(*words, "--quiet")
    assert quiet.stderr == "Warning: look out\n"
    exported, not_exported = searches.meters
    assert isinstance(exported, Meter)
    assert not_exported is None


def test_the_exit_code_is_the_searchs_and_json_is_its_file(searches):
    searches.found = Found(msgspec.structs.replace(FOUND, verdict="INVALID", exit_code=98), Path("results/x"))
    result = invoke("--json")
    assert result.exit_code == 98
    assert json.loads(result.stdout) == json.loads(msgspec.json.encode(searches.found.capacity))


def test_the_gap_has_a_campaign_of_its_own_unless_one_is_given(searches):
    assert invoke("--gap").exit_code == 0
    invoke("port-exhaustion", "--gap", "--plateau", "3s")
    assert [(campaign.name, aim.plateau_s) for campaign, aim, _ in searches] == [
        ("gap", 0.5),
        ("port-exhaustion", 3.0),
    ]


def test_the_gap_is_a_table_and_what_it_says(searches):
    text = invoke("--gap").stdout
    assert "outlook2007-cached-anywhere, steady: 40 users fit where LoadGen finds room for 163" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["outlook2007-cached-anywhere", "steady", "ports", "of", "CAS1", "40", "40", "320"] in (
        line[:8] for line in lines if line[-1:] == ["4.08"]
    )
    assert ["outlook2003-online-anywhere", "steady", "ceiling", "0", "0", "0"] in (line[:6] for line in lines)
    assert "Results: results/outlook2007-cached-anywhere/" in text


def test_the_gap_is_json_too_and_its_exit_code_that_of_the_first_without_an_answer(searches):
    rows = (*ROWS, row("x", 1, exit_code=98), row("y", 1, exit_code=99))
    searches.gap = gap_of("gap", "white-paper", None, rows)
    result = invoke("--gap", "--json")
    assert result.exit_code == 98
    found = msgspec.json.decode(result.stdout, type=Gap)
    assert [each.overstatement for each in found.rows[:4]] == [1.0, 163 / 40, None, None]


def test_a_number_that_a_ceiling_or_an_end_has_cut_is_no_room(searches):
    """Neither LoadGen's nor a client's: it would say nothing of the other."""
    at_ceiling = {"stopped_by": "ceiling", "limit": None, "server": None}
    cut = {"stopped_by": "nothing", "exit_code": 130}
    rows = (
        row("loadgen-2007-online", 163, is_loadgens=True),
        row("outlook2007-cached-anywhere", 9, **at_ceiling),
        row("outlook2003-online-anywhere", 9, **cut),
        row("loadgen-2007-online", 9, startup=True, is_loadgens=True, **at_ceiling),
        row("outlook2007-cached-anywhere", 4, startup=True),
    )
    searches.gap = gap_of("gap", "white-paper", None, rows, is_interrupted=True)
    assert [each.overstatement for each in searches.gap.rows] == [1.0, None, None, None, None]
    result = invoke("--gap")
    assert result.exit_code == 130
    assert "Interrupted: what is missing was not measured." in result.stdout
    assert "overstates" not in result.stdout


def test_what_ended_a_gap_is_said_with_what_it_has_found(searches, tmp_path):
    searches.gap = msgspec.structs.replace(searches.gap, error="the mock did not start", exit_code=3)
    result = invoke("--gap", "--junit", str(tmp_path / "junit.xml"))
    assert result.exit_code == 3
    assert "Error: the mock did not start\nWhat is missing was not measured." in result.stdout
    assert "outlook2007-cached-anywhere, steady: 40 users fit" in result.stdout
    assert "the mock did not start" in (tmp_path / "junit.xml").read_text()


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, ()), (99, ("failure",)), (3, ("failure",)), (98, ("error",)), (130, ("error",))]
)
def test_the_verdict_of_a_gap_goes_to_the_pipeline(searches, tmp_path, code, verdict):
    searches.gap = gap_of("gap", "white-paper", None, (row("x", 1, exit_code=code),))
    assert invoke("--gap", "--junit", str(tmp_path / "junit.xml")).exit_code == code
    [case] = ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert tuple(each.tag for each in case) == verdict


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--plateau", "soon"), "option: plateau: "),
        (("--plateau", "0s"), "option: plateau: must be longer than 0s"),
        (("--ceiling", "0"), "--ceiling"),
        (("no-such-campaign",), "'no-such-campaign' is no"),
        (("--metrics", "here"), "option: metrics: 'here' is not ADDRESS:PORT"),
        (("--otlp", "here"), "option: otlp: 'here' is no address"),
        (("--ramp", "1s"), "No such option '--ramp'"),
        (("--duration", "1m"), "No such option '--duration'"),
    ],
)
def test_wrong_usage_is_one_line(searches, words, problem):
    result = invoke(*words)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not searches


def test_a_target_out_of_reach_is_3(searches):
    searches.error = TransportError("nobody there")
    assert invoke().exit_code == 3
