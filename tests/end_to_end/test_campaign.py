"""The whole chain by its command: a campaign against a mock organisation of its own, and what may kill it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "loadgen", "run")
SMALL = ("--group", "10:loadgen-2007-online:light", "--group", "10:outlook2003-online-anywhere:light")
LONG = (
    *SMALL,
    "--ramp",
    "1s",
    "--startup-hold",
    "1s",
    "--speed",
    "720",
    "--duration",
    "20s",
    "--workers",
    "2",
)


class Campaign:
    """A run that is under way."""

    def __init__(self, out: Path, *words: str) -> None:
        self.out = out
        self.process = subprocess.Popen(
            [*COMMAND, *words, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def folder(self) -> Path:
        [folder] = self.out.iterdir()
        return folder

    def wait_for_phase(self, phase: str) -> None:
        self.wait_until(lambda: any(f'"text":"{phase}"' in text for text in self.events()), phase)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """A phase is waited for, never a time; the limit is there for a run that hangs."""
        limit = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.process.communicate()}"
            assert time.monotonic() < limit, what
            time.sleep(0.05)

    def events(self) -> list[str]:
        return [line for path in self.out.glob("*/events.jsonl") for line in path.read_text().splitlines()]

    def children(self, words: str) -> list[int]:
        """Processes that this run has started and whose command line has these words."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and words in line:
                found.append(int(path.name))
        return found

    def finish(self) -> tuple[int, dict]:
        """Exit code and summary."""
        self.process.communicate(timeout=100)
        return self.process.returncode, json.loads((self.folder / "summary.json").read_text())


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Callable[..., Campaign]]:
    """Starts a campaign; whatever is left of it afterwards is killed."""
    started = []

    def start(*words: str) -> Campaign:
        started.append(Campaign(tmp_path / "results", *words))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.mark.prove
def test_an_interrupt_leaves_results_and_nobody_behind(campaign):
    run = campaign(*LONG)
    run.wait_for_phase("measure")
    run.process.send_signal(signal.SIGINT)
    code, summary = run.finish()
    assert (code, summary["verdict"]) == (130, "INVALID")
    assert summary["users"]["lost"] == 0
    assert summary["operations"]["log_off"]["done"] == 20


@pytest.mark.prove
def test_two_interrupts_end_at_once_with_results(campaign):
    run = campaign(*LONG)
    run.wait_for_phase("measure")
    run.process.send_signal(signal.SIGINT)
    run.wait_for_phase("drain")
    run.process.send_signal(signal.SIGINT)
    code, summary = run.finish()
    assert (code, summary["verdict"]) == (130, "INVALID")


@pytest.mark.prove
def test_a_dead_worker_is_said_and_the_others_go_on(campaign):
    run = campaign(*LONG)
    run.wait_for_phase("measure")
    os.kill(run.children("spawn_main")[0], signal.SIGKILL)
    code, summary = run.finish()
    assert (code, summary["verdict"], summary["users"]["lost"]) == (98, "INVALID", 10)
    assert "died, and its 10 users with it" in summary["reasons"][0]
    assert summary["operations"]["log_off"]["done"] == 10


@pytest.mark.prove
def test_a_dead_mock_fails_the_run_at_once(campaign):
    run = campaign(*LONG)
    run.wait_for_phase("measure")
    os.kill(run.children("mock_server --json")[0], signal.SIGKILL)
    code, summary = run.finish()
    assert (code, summary["verdict"]) == (99, "FAIL")
    assert summary["reasons"][0] == "aborted: the mock organisation ended by itself (killed by signal 9)"
    assert summary["users"]["lost"] == 20


@pytest.mark.prove
def test_a_killed_run_leaves_readable_files_and_takes_its_load_with_it(campaign):
    run = campaign(*LONG)
    run.wait_for_phase("measure")
    workers, mocks = run.children("spawn_main"), run.children("mock_server --json")
    assert (len(workers), len(mocks)) == (2, 1)
    run.process.kill()
    run.process.communicate()
    limit = time.monotonic() + 20
    while any(Path(f"/proc/{each}").exists() for each in (*workers, *mocks)):
        assert time.monotonic() < limit
        time.sleep(0.05)
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["reasons"][0] == "interrupted before the end"
    with (run.folder / "timeseries.csv").open() as lines:
        assert len(list(csv.DictReader(lines))) >= 3
