"""A run that is killed at a random moment leaves files that can be read, and nobody behind.

PROVE_KILLS and PROVE_KILL_SEED choose how often and when.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from loadgen.measure.store import read_run
from tests.prove.conftest import Claims
from tests.prove.processes import tree

KILLS = int(os.environ.get("PROVE_KILLS", "20"))
SEED = int(os.environ.get("PROVE_KILL_SEED", "6"))
EARLIEST_S, LATEST_S = 0.5, 8.0
"""After the first interval was recorded: from the ramp into the measured phase."""
INTERVAL_S = 1.0
WRITING_S = 0.5
"""Collecting an interval and writing it down, on two cores."""
GONE_WITHIN_S = 20.0
PATIENCE_S = 120
COMMAND = (
    *(sys.executable, "-m", "loadgen", "run"),
    *("--group", "20:outlook2003-online-anywhere:light", "--group", "20:outlook2007-online-anywhere:light"),
    *("--ramp", "2s", "--startup-hold", "1s", "--speed", "720", "--duration", "30s", "--workers", "2"),
)
SHARED_MEMORY = Path("/dev/shm")

pytestmark = [pytest.mark.prove, pytest.mark.timeout(KILLS * PATIENCE_S)]


@dataclass(frozen=True)
class Wreck:
    """What one kill left."""

    phase: str
    missing_s: float
    """Between the end of the last interval recorded and the kill."""
    longest_s: float
    """Of the intervals recorded: what one is, on this machine."""
    problems: tuple[str, ...]

    @property
    def misses_one_at_most(self) -> bool:
        return self.missing_s <= max(INTERVAL_S, self.longest_s) + WRITING_S


def test_killed_at_any_moment(tmp_path: Path, claims: Claims) -> None:
    random = Random(SEED)
    wrecks = [
        wreck(tmp_path / f"{number:02}", random.uniform(EARLIEST_S, LATEST_S)) for number in range(KILLS)
    ]
    phases = sorted({each.phase for each in wrecks})
    claims.note("killed", f"{len(wrecks)} times, seed {SEED}, in {', '.join(phases)}")
    problems = [problem for each in wrecks for problem in each.problems]
    claims.claim(
        "folders are read, reports are made, nobody is left",
        f"{len(problems)} problems" + "".join(f"; {each}" for each in problems[:3]),
        holds=not problems,
    )
    worst = max(wrecks, key=lambda each: each.missing_s - each.longest_s)
    fit = sum(each.misses_one_at_most for each in wrecks)
    claims.claim(
        "one interval is missing at most",
        f"{fit} of {len(wrecks)}; worst: {worst.missing_s:.2f} s, where intervals take up to "
        f"{worst.longest_s:.2f} s",
        holds=fit == len(wrecks),
    )
    assert claims.broken == []


def wreck(out: Path, after_s: float) -> Wreck:
    """Runs, kills ``after_s`` seconds after something was recorded, and looks at what is left."""
    run = subprocess.Popen(
        [*COMMAND, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_an_interval(run, out)
        time.sleep(after_s)
        pids = list(tree(run.pid))
        shared = {path for pid in pids for path in shared_by(pid)}
        run.kill()
        killed_s = time.monotonic()
    finally:
        run.kill()
        run.communicate()
    problems = [f"process {pid} is left" for pid in those_that_stay(pids)]
    problems += [f"{path} is left" for path in shared if path.exists()]
    (folder,) = out.iterdir()
    return looked_at(folder, killed_s, problems)


def wait_for_an_interval(run: "subprocess.Popen[str]", out: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not any(path.read_bytes().count(b"\n") > 1 for path in out.glob("*/timeseries.csv")):
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < until_s, "no interval"
        time.sleep(0.02)


def shared_by(pid: int) -> set[Path]:
    """Named shared memory that a process uses."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    paths = {Path(line.split(maxsplit=5)[5]) for line in lines if str(SHARED_MEMORY) in line}
    return {path for path in paths if path.exists()}


def those_that_stay(pids: list[int]) -> list[int]:
    until_s = time.monotonic() + GONE_WITHIN_S
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > until_s:
            break
        time.sleep(0.05)
    return left


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody has asked after yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def looked_at(folder: Path, killed_s: float, problems: list[str]) -> Wreck:
    found = read_run(folder)
    if found.summary is None or found.summary["exit_code"] != 130:
        problems.append(f"{folder.name}: summary.json says {found.summary and found.summary['reasons']}")
    for words, wanted in (((), "interrupted before the end"), (("--html",), "report.html")):
        command = [sys.executable, "-m", "loadgen", "report", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode or wanted not in done.stdout:
            problems.append(f"{folder.name}: report {' '.join(words)}: {done.stderr or done.stdout}")
    page = folder / "report.html"
    if page.exists() and not page.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        problems.append(f"{folder.name}: report.html has no end")
    intervals = [(float(row["time_s"]), float(row["length_s"])) for row in found.timeseries]
    last_s = max(start_s + length_s for start_s, length_s in intervals)
    return Wreck(
        phase=found.timeseries[-1]["phase"],
        missing_s=killed_s - found.run["started_ns"] / 1e9 - last_s,
        longest_s=max(length_s for _, length_s in intervals),
        problems=tuple(problems),
    )
