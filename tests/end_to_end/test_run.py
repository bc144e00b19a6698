"""``loadgen run`` as its users see it: exit codes, one-line errors, and results that other tools can read."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tests.end_to_end.mock_organisation import running_mock

STRICT = (sys.executable, "-W", "error", "-m", "loadgen")
PATIENCE_S = 100
UNHURRIED = ("--invalid-lag", "10s", "--invalid-busy", "1", "--unfinished-per-user", "100")
"""Whether this machine has time for a run, with other tests beside it, is not what is tested here."""
TINY = ("--group", "5:loadgen-2007-online:light", "--ramp", "0s", "--speed", "1440", "--duration", "1s")
LONGER = ("--group", "5:outlook2003-online-anywhere:light", "--ramp", "0s", "--startup-hold", "0s")
PHASES = ["ramp", "start-up", "warm-up", "measure", "hold", "drain", "log off"]
OPERATIONS = {
    "log_on",
    "send_message",
    "resolve_names",
    "deliver_message",
    "receive_message",
    "read_message",
    "delete_message",
    "poll_mailbox",
    "browse_address_book",
    "browse_public_folder",
    "post_public_folder",
    "publish_free_busy",
    "log_off",
}
PERCENTILES = {"p50", "p90", "p95", "p99", "p999", "max"}
COLUMNS = (
    "client_to_cas",
    "client_to_servers",
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_to_referral",
    "cas_to_gc",
    "cas_total",
    "store",
    "dsproxy",
    "referral",
    "mailbox_total",
    "public_store",
    "directory",
)
SMOKE_PEAK = dict(zip(COLUMNS, (66, 0, 36, 16, 14, 0, 66, 22, 16, 14, 52, 14, 16), strict=True))
SMOKE_STEADY = dict(zip(COLUMNS, (50, 0, 36, 14, 0, 0, 50, 22, 14, 0, 36, 14, 14), strict=True))
"""Seven Outlooks, one of them 2007 in cached mode, and three of LoadGen's, by the white paper's tables."""


def loadgen(*words: str, **streams) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STRICT, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False, **streams
    )


def only_folder(results: Path) -> Path:
    (folder,) = results.iterdir()
    return folder


def summary_in(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A finished smoke run and its folder."""
    results = tmp_path_factory.mktemp("results")
    done = loadgen("run", "smoke", *UNHURRIED, "--out", str(results))
    return done, only_folder(results)


def test_smoke_passes(smoke):
    done, folder = smoke
    assert done.returncode == 0, done.stderr
    assert (
        "\nPASS  smoke: 10 of 10 users, 0 refused, 0 lost at the end, 0 virtual connections lost\n"
        in done.stdout
    )
    for trouble in ("Traceback", "Warning", "Exception ignored"):
        assert trouble not in done.stderr
    assert {path.name for path in folder.iterdir()} >= {
        "run.json",
        "summary.json",
        "latency.hlog",
        "timeseries.csv",
        "connections.csv",
        "counters.csv",
        "events.jsonl",
    }


def test_the_summary_has_what_scripts_hold_on_to(smoke):
    summary = summary_in(smoke[1])
    assert isinstance(summary["schema"], int)
    assert (summary["verdict"], summary["reasons"]) == ("PASS", [])
    users = {
        "planned": 10,
        "wanted": 10,
        "logged_on_peak": 10,
        "admitted_peak": 10,
        "refused": 0,
        "lost": 0,
        "reconnects": 0,
    }
    assert summary["users"].items() >= users.items()
    assert summary["operations"].keys() == OPERATIONS
    for name, operation in summary["operations"].items():
        assert operation["planned"] == operation["done"] > 0, name
        assert operation["failed"] == operation["skipped"] == 0, name
        assert operation["response_ms"].keys() >= PERCENTILES
        assert operation["service_ms"].keys() >= PERCENTILES
    deliveries = {summary["operations"][name]["done"] for name in ("deliver_message", "receive_message")}
    assert deliveries == {4 * summary["operations"]["send_message"]["done"]}
    assert summary["connections"]["lost"] == 0
    assert set(summary["failures"].values()) == {0}
    for profiles in summary["traffic"].values():
        for figures in profiles.values():
            assert figures.keys() >= {"sending", "aggregate", "idle_per_hour"}
    assert summary["generator"].keys() >= {"lag_ms", "cpu_s", "memory_per_user_kb"}


@pytest.mark.parametrize(("moment", "expected"), [("peak", SMOKE_PEAK), ("steady", SMOKE_STEADY)])
def test_all_parties_count_the_same_at_both_barriers(smoke, moment, expected):
    counted = summary_in(smoke[1])["connections"][moment]
    for party in ("expected", "kernel", "mock"):
        assert {column: cell[party] for column, cell in counted.items()} == expected
    assert counted["client_to_cas"]["client"] == expected["client_to_cas"]
    with (smoke[1] / "connections.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["moment"] == moment]
    for party in ("expected", "kernel", "mock"):
        assert {row["column"]: int(row[party]) for row in rows} == expected


def test_latencies_are_read_by_other_tools(smoke):
    """HdrHistogram's own reader finds the tags, and the maxima of the summary."""
    summary = summary_in(smoke[1])
    histograms: dict[str, HdrHistogram] = defaultdict(lambda: HdrHistogram(1, 600_000_000, 3))
    reader = HistogramLogReader(str(smoke[1] / "latency.hlog"), HdrHistogram(1, 600_000_000, 3))
    with closing(reader):
        while (interval := reader.get_next_interval_histogram()) is not None:
            histograms[interval.get_tag()].add(interval)
    for name, operation in summary["operations"].items():
        for kind in ("response", "service"):
            histogram = histograms[f"{name}.{kind}"]
            assert 0 < histogram.get_total_count() <= operation["done"]
            assert histogram.get_max_value() / 1000 == operation[f"{kind}_ms"]["max"]
            assert histogram.get_value_at_percentile(50) / 1000 <= operation[f"{kind}_ms"]["p90"]
    assert {tag.partition(".")[0] for tag in histograms} > OPERATIONS
    assert {tag.partition(".")[2] for tag in histograms} == {"response", "service", "lag"}


def test_the_time_series_adds_up(smoke):
    with (smoke[1] / "timeseries.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    done: Counter[str] = Counter()
    for row in rows:
        for name in OPERATIONS:
            done[name] += int(row[f"{name}.done"])
    operations = summary_in(smoke[1])["operations"]
    assert done == {name: operation["done"] for name, operation in operations.items()}
    times = [float(row["time_s"]) for row in rows]
    assert times == sorted(times)
    assert list(dict.fromkeys(row["phase"] for row in rows)) == PHASES


def test_events_tell_the_phases(smoke):
    events = [json.loads(line) for line in (smoke[1] / "events.jsonl").read_text().splitlines()]
    assert all(isinstance(event["schema"], int) for event in events)
    assert [event["text"] for event in events if event["kind"] == "phase"] == PHASES


def test_the_run_record_says_what_was_run(smoke):
    record = json.loads((smoke[1] / "run.json").read_text())
    assert record["campaign"]["name"] == "smoke"
    assert record["seed"] == record["campaign"]["seed"] == 1
    assert record["target"] == "mock"
    assert record["started"] < record["ended"]
    assert record["machine"]
    assert record["versions"].keys() >= {"outlook-loadgen", "uvloop"}


def test_a_running_organisation_and_a_threshold_it_misses(mock, tmp_path):
    threshold = "operations.send_message.response_ms.p95 < 0.001"
    url = mock.organisation.counters_url
    done = loadgen(
        *("run", *TINY, *UNHURRIED, "--target", f"mock={url}"),
        *("--threshold", threshold, "--out", str(tmp_path), "--json"),
    )
    assert done.returncode == 99, done.stderr
    summary = json.loads(done.stdout)
    assert summary == summary_in(only_folder(tmp_path))
    assert summary["verdict"] == "FAIL"
    (reason,) = summary["reasons"]
    assert threshold in reason
    mock.wait_until_idle()


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("run", "nosuch"), 2, "'nosuch' is no built-in campaign"),
        (("run", "--group", "5:nosuch:light"), 2, "'nosuch' is no built-in client"),
        (("run", "--group", "5:loadgen-2007-online:nosuch"), 2, "'nosuch' is no built-in message"),
        (("run", "--group", "4:loadgen-2007-online:light"), 2, "4 users are too few"),
        (("run", "smoke", "--threshold", "operations.send_mesage.done > 0"), 2, "send_mesage"),
        (("run", "smoke", "--speed", "fast"), 2, "speed"),
        (("run", "smoke", "--target", "https://mail.contoso.test"), 3, "mail.contoso.test"),
        (("run", "smoke", "--target", "mock=http://127.254.254.254:9"), 3, "127.254.254.254:9"),
    ],
)
def test_errors_are_one_line(words, code, named, tmp_path):
    done = loadgen(*words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert named in line
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


def test_a_misspelt_key_is_named_with_its_file(tmp_path):
    campaign = tmp_path / "own.toml"
    campaign.write_text('extends = "smoke"\ntitle = "own"\nrampp = "1s"\n', encoding="utf-8")
    done = loadgen("run", str(campaign), "--out", str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(campaign) in line
    assert "rampp" in line


def test_a_port_that_is_taken_is_named(mock):
    """The address of a role that listens already, given to another organisation."""
    done = loadgen("mock", "--base-address", mock.base_address, stdin=subprocess.DEVNULL)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert "already in use" in line
    assert mock.connections()["client_to_cas"] == 0


def test_ctrl_c_reaches_everybody_and_leaves_results(tmp_path):
    """As a terminal sends it: to the whole foreground process group, workers included."""
    words = ("run", *LONGER, "--duration", "1m", "--speed", "60", "--out", str(tmp_path))
    with subprocess.Popen(
        [*STRICT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        wait_for_phase(tmp_path, "measure")
        os.killpg(run.pid, signal.SIGINT)
        said, complaints = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130, complaints
    assert "Traceback" not in complaints
    summary = summary_in(only_folder(tmp_path))
    assert summary["verdict"] == "INVALID"
    assert summary["users"]["planned"] == summary["users"]["logged_on_peak"] == 5
    assert "Results: " in said


@pytest.mark.prove
def test_an_organisation_that_dies_fails_the_run(tmp_path):
    """One that the run did not start: its users lose their connections, and the verdict says so."""
    (tmp_path / "mock").mkdir()
    with running_mock(tmp_path / "mock", fatal=True) as mock:
        url = mock.organisation.counters_url
        words = ("run", *LONGER, "--duration", "5s", "--speed", "60", "--target", f"mock={url}")
        results = tmp_path / "results"
        with subprocess.Popen(
            [*STRICT, *words, "--out", str(results)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            wait_for_phase(results, "measure")
            os.kill(mock.role_process("CAS1"), signal.SIGKILL)
            _, complaints = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 99, complaints
    assert "Traceback" not in complaints
    summary = summary_in(only_folder(results))
    assert summary["verdict"] == "FAIL"
    assert summary["connections"]["lost"] > 0


def wait_for_phase(results: Path, phase: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any(f'"text":"{phase}"' in path.read_text() for path in results.glob("*/events.jsonl")):
        assert time.monotonic() < deadline, f"the run does not come to {phase}"
        time.sleep(0.05)
