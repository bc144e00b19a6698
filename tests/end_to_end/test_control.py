"""A real run, paused, scaled and stopped from elsewhere."""

import csv
import json
import os
import pwd
import stat
import subprocess
import time
from itertools import pairwise

import pytest

from tests.end_to_end.test_run import STRICT, UNHURRIED, loadgen, only_folder, summary_in

PATIENCE_S = 90


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def obeyed(folder, *words):
    done = loadgen("control", str(folder), *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def status(folder):
    return obeyed(folder, "status")["status"]


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """The folder of a run of 12 users that was paused, scaled to 6 and to 12, resumed and stopped."""
    results = tmp_path_factory.mktemp("results")
    command = (
        *("run", "--group", "12:outlook2003-online-anywhere:heavy", "--ramp", "0s", "--startup-hold", "0s"),
        *("--speed", "120", "--duration", "240s", "--out", str(results), *UNHURRIED),
    )
    run = subprocess.Popen([*STRICT, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: list(results.glob("*/control.sock")), "no control socket")
        folder = only_folder(results)
        until(lambda: (folder / "summary.json").exists() and status(folder)["phase"] == "measure", "no load")
        until(lambda: status(folder)["done"] > 60, "nothing was done")
        mode = (folder / "control.sock").stat().st_mode
        obeyed(folder, "pause")
        done_s = until(lambda: settled(folder), "operations go on in a pause")
        obeyed(folder, "scale", "6")
        until(lambda: status(folder)["users"] == 6, "nobody left")
        obeyed(folder, "scale", "12")
        until(lambda: status(folder)["users_admitted"] == 12, "nobody came back")
        obeyed(folder, "resume")
        until(lambda: status(folder)["done"] > done_s + 60, "the schedule did not go on")
        obeyed(folder, "stop")
        output, _ = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
        run.wait()
    return folder, run.returncode, output, stat.S_IMODE(mode)


def settled(folder):
    """How many operations were done when two seconds passed without another, not counting log on and off."""
    before = status(folder)
    time.sleep(2)
    after = status(folder)
    return after["done"] if before["phase"] == "pause" and before["done"] == after["done"] else 0


def rows(folder):
    with (folder / "timeseries.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_was_stopped_is_judged_by_what_it_measured(controlled):
    folder, code, output, _ = controlled
    summary = summary_in(folder)
    assert (code, summary["verdict"], summary["reasons"]) == (0, "PASS", []), output
    assert summary["stopped_by"].startswith(f"{pwd.getpwuid(os.getuid()).pw_name} (process ")
    assert summary["paused_s"] > 2
    assert 0 < summary["measured_s"] < 240
    for name, operation in summary["operations"].items():
        assert operation["planned"] == operation["done"], name
    assert any(warning.startswith("Stopped early by ") for warning in summary["warnings"])
    assert any(warning.startswith("Paused for ") for warning in summary["warnings"])


def test_pause_and_scale_show_in_phases_time_series_and_events(controlled):
    folder, *_ = controlled
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert [phase["name"] for phase in run["phases"]] == [
        *("ramp", "start-up", "warm-up", "measure", "pause", "measure", "drain", "log off")
    ]
    pause = run["phases"][4]
    assert pause["ended_s"] - pause["started_s"] == pytest.approx(summary_in(folder)["paused_s"], abs=0.5)
    assert run["control"] == str(folder.absolute() / "control.sock")
    paused = [row for row in rows(folder) if row["phase"] == "pause"]
    assert sum(int(row["send_message.done"]) for row in paused[2:]) == 0
    assert {"6", "12"} <= {row["users_wanted"] for row in paused}
    assert {"6", "12"} <= {row["users_logged_on"] for row in paused}
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [event for event in events if event["kind"] == "control"]
    assert [event["text"].split(":")[0] for event in asked] == [
        *("pause", "scale 6", "scale 12", "resume", "stop")
    ]
    assert all("(process " in event["by"] for event in asked)
    assert all(earlier["time_s"] <= later["time_s"] for earlier, later in pairwise(asked))


def test_the_socket_is_the_owners_alone_and_gone_afterwards(controlled):
    folder, _, output, mode = controlled
    assert mode == 0o600
    assert not (folder / "control.sock").exists()
    assert f"control: loadgen control {folder} status" in output
    late = loadgen("control", str(folder), "pause")
    assert late.returncode == 3
    assert "the run is over" in late.stderr
