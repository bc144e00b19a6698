"""A worker is recycled and everybody comes back: the queue of 1,000 refuses them, that of 10,000 does not.

Both times the scale of the scenario, which is played as it is; the table sets them side by side.
"""

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadgen.workload.campaign import load_campaign
from loadgen.workload.topology import read_topology
from tests.prove.conftest import Claims

QUEUES = (1_000, 10_000)
PATIENCE_S = 600
EVERY_S = 5.0

pytestmark = [pytest.mark.prove, pytest.mark.timeout(2 * PATIENCE_S)]


@dataclass(frozen=True)
class Storm:
    """One run that has ended."""

    summary: dict[str, Any]
    folder: Path

    @property
    def outage(self) -> dict[str, Any]:
        """The only one: the next recycling would come after the end."""
        only: dict[str, Any]
        (only,) = self.summary["outages"]
        return only

    @property
    def refused(self) -> int:
        """Attempts to log on that the queue refused in the outage."""
        return int(self.outage["refused_by_limit"].get("request_queue", 0))

    @property
    def hits(self) -> dict[str, int]:
        return {limit["name"]: limit["hits"] for limit in self.summary["limits"]}

    def connections(self) -> list[int]:
        """Of clients to the CAS, as the mock counted them, from the outage on, every few seconds."""
        found: list[int] = []
        due_s = self.outage["from_s"]
        with (self.folder / "connections.csv").open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if row["column"] == "client_to_cas" and row["mock"] and float(row["time_s"]) >= due_s:
                    found.append(int(row["mock"]))
                    due_s = float(row["time_s"]) + EVERY_S
        return found


def storm(folder: Path, queue: int) -> Storm:
    folder.mkdir()
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "loadgen", "run", "recycle-storm", "--json", "--out", str(folder)),
            *("--set", f"limits.request_queue={queue}"),
        ],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.stdout, ended.stderr.decode()
    [results] = folder.iterdir()
    return Storm(json.loads(ended.stdout), results)


def test_the_queue_decides_who_waits_and_who_is_refused(tmp_path: Path, claims: Claims) -> None:
    campaign = load_campaign("recycle-storm")
    users = sum(group.users for group in campaign.groups)
    limits = read_topology(campaign.topology).with_scale(campaign.limit_scale or 1.0).limits
    claims.note("drain rate of the workers", f"{limits.requests_per_s:g} requests a second")
    small, large = (storm(tmp_path / str(queue), queue) for queue in QUEUES)
    for queue, each in zip(QUEUES, (small, large), strict=True):
        name, outage = f"queue of {queue:,} x {limits.scale:g}", each.outage
        claims.claim(
            f"{name}: everybody is cut",
            f"{outage['lost']:,} of {users:,}; {each.hits.get('worker_recycling', 0):,} channels",
            holds=outage["lost"] >= users == outage["admitted_before"],
        )
        claims.note(f"{name}: client connections", " ".join(f"{count:,}" for count in each.connections()))
        claims.claim(
            f"{name}: the verdict is FAIL",
            f"{each.summary['verdict']} {each.summary['exit_code']}",
            holds=each.summary["exit_code"] == 99,
        )
    claims.claim(
        "the small queue refuses",
        f"{small.refused:,} attempts, {small.hits.get('request_queue', 0):,} requests",
        holds=small.refused > 0,
    )
    claims.claim(
        "the large one does not",
        f"{large.refused:,} attempts, {large.hits.get('request_queue', 0):,} requests",
        holds=large.refused == 0 and "request_queue" not in large.hits,
    )
    for name, each in (("small", small), ("large", large)):
        claims.claim(
            f"with the {name} queue everybody is back before the end",
            f"after {each.outage['recovered_after_s']} s",
            holds=each.outage["recovered_after_s"] is not None,
        )
    assert claims.broken == []
