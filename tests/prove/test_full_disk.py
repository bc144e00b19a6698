"""A disk that is full while the run goes on: the run says so in a line and ends in good order."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prove.conftest import Claims

ROOM_KB = 100
"""For headers and a few intervals; the campaign would need three times as much."""
COMMAND = (sys.executable, "-m", "loadgen", "run", "smoke", "--duration", "15s")
PATIENCE_S = 120

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(2 * PATIENCE_S),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with hardly any room."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_KB}k", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no mount: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_fills_up(small_disk: Path, claims: Claims) -> None:
    done = subprocess.run(
        [*COMMAND, "--out", str(small_disk)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    (folder,) = small_disk.iterdir()
    _, _, said = done.stdout.partition("\nINVALID")
    reason = " ".join(" ".join(said.splitlines()[1:3]).split())
    claims.claim(
        "the run is INVALID, and says why first",
        f"exit code {done.returncode}: {reason}",
        holds=done.returncode == 98 and "No space left on device; make room" in reason,
    )
    claims.claim(
        "in a line, without a traceback",
        done.stderr.splitlines()[-1],
        holds="Traceback" not in done.stderr and "bug" not in done.stderr,
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    claims.claim(
        "summary.json is whole, and of the last interval that had room",
        f"{summary['verdict']}: {summary['reasons'][0]}",
        holds=summary["verdict"] == "INVALID",
    )
    drafts = [path.name for path in folder.glob("*.draft")]
    claims.claim("no draft is left", ", ".join(drafts) or "none", holds=not drafts)
    command = [sys.executable, "-m", "loadgen", "report", str(folder)]
    again = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    claims.claim("loadgen report reads it", f"exit code {again.returncode}", holds=again.returncode == 0)
    assert claims.broken == []
