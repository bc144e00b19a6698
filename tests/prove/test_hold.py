"""Many users of one client type are held for long, by the command that everybody uses.

PROVE_HOLD_USERS, PROVE_HOLD_CLIENT and PROVE_HOLD_MINUTES make it smaller, longer, or of another kind.
"""

import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

import pytest

from loadgen.client.client_type import ClientType
from loadgen.workload import library
from loadgen.workload.connection_model import CONNECTIONS_PER_VC, expected, virtual_connections
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.conftest import Claims
from tests.prove.processes import ProcessFigures, established_ends, figures, tree

USERS = int(os.environ.get("PROVE_HOLD_USERS", "1000"))
MINUTES = float(os.environ.get("PROVE_HOLD_MINUTES", "10"))
CLIENT = os.environ.get("PROVE_HOLD_CLIENT", "outlook2007-cached-anywhere")

SIDES = ("workers", "coordinator", "mock")
"""Whose processes there are: the generator's that hold the users, its one that leads them, the mock's."""
MOST_DESCRIPTORS = 20_000
MOST_GROWTH = 0.01
"""Of all memory, in ten minutes."""
ENDS_PER_PROCESS = 8_000
"""How many connections a client access process is given at most, so that all stay below their limit."""
RAMP_USERS_PER_S = 10
SETTLING_S = 20
"""Garbage of logging on is collected for so long after the hold began."""
SAMPLE_EVERY_S = 5.0
PATIENCE_S = 600

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(int(MINUTES * 60 + USERS / RAMP_USERS_PER_S) + PATIENCE_S),
]


@dataclass
class Sample:
    """All processes at one moment, by side and id."""

    at_s: float
    sides: dict[str, dict[int, ProcessFigures]]

    def processes(self, *sides: str) -> list[ProcessFigures]:
        return [process for side in sides for process in self.sides[side].values()]

    def cpu_s(self, side: str) -> float:
        return sum(process.cpu_s for process in self.processes(side))

    def resident_kib(self, *sides: str) -> int:
        return sum(process.resident_kib for process in self.processes(*sides))


@dataclass
class Watch:
    """What was seen from outside while the run went on."""

    listeners: set[tuple[str, int]]
    most_descriptors: int = 0
    ends: int = 0
    """Socket ends, counted once in the hold."""
    held: list[Sample] = field(default_factory=list)

    def look(self, run: int, mock: int, results: Path) -> None:
        of_run = seen(run)
        coordinator = {run: of_run[run]} if run in of_run else {}
        workers = {pid: process for pid, process in of_run.items() if pid != run}
        sides = {"workers": workers, "coordinator": coordinator, "mock": seen(mock)}
        sample = Sample(time.monotonic(), sides)
        of_all = [process.descriptors for process in sample.processes(*SIDES)]
        self.most_descriptors = max(self.most_descriptors, *of_all)
        if phase_of(results) == "hold":
            self.held.append(sample)
            self.ends = self.ends or established_ends(self.listeners)

    @property
    def settled(self) -> list[Sample]:
        return [sample for sample in self.held if sample.at_s - self.held[0].at_s >= SETTLING_S]

    def growth_kib_per_min(self, *sides: str) -> float:
        """The line through the memory of all processes of these sides together."""
        at_min = [sample.at_s / 60 for sample in self.settled]
        kib = [sample.resident_kib(*sides) for sample in self.settled]
        return float(linear_regression(at_min, kib).slope)

    def processor_share(self, side: str) -> float:
        first, last = self.settled[0], self.settled[-1]
        return (last.cpu_s(side) - first.cpu_s(side)) / (last.at_s - first.at_s)

    def resident_kib(self, *sides: str) -> int:
        return self.held[-1].resident_kib(*sides)


@dataclass(frozen=True)
class Held:
    """A run that has ended: what it was, what it wrote, and what was seen of it."""

    client: ClientType
    folder: Path
    summary: dict[str, Any]
    watch: Watch

    @property
    def model(self) -> dict[str, int]:
        return expected([(self.client, False, USERS)])

    def counts(self) -> dict[str, list[dict[str, int]]]:
        """Every count by kernel and mock while users were held: by party, the columns that it counted."""
        record = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        (hold,) = (phase for phase in record["phases"] if phase["name"] == "hold")
        by_time: dict[str, dict[str, dict[str, int]]] = {
            "kernel": defaultdict(dict),
            "mock": defaultdict(dict),
        }
        with (self.folder / "connections.csv").open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if hold["started_s"] < float(row["time_s"]) < hold["ended_s"]:
                    for party, counted in by_time.items():
                        if row[party]:
                            counted[row["time_s"]][row["column"]] = int(row[party])
        return {party: list(counted.values()) for party, counted in by_time.items()}


def seen(pid: int) -> dict[int, ProcessFigures]:
    return {pid: process for pid in tree(pid) if (process := figures(pid)) is not None}


def phase_of(results: Path) -> str:
    """The phase that the run has come to, by its own events."""
    phase = ""
    for path in results.glob("*/events.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["kind"] == "phase":
                phase = event["text"]
    return phase


def command(client: ClientType, mock: MockOrganisation, results: Path) -> list[str]:
    """As users would type it: one working day at its own pace, of which a second is measured."""
    ramp_s = -(-USERS // RAMP_USERS_PER_S)
    return [
        *(sys.executable, "-m", "loadgen", "run", "--group", f"{USERS}:{client.name}:light"),
        *("--target", f"mock={mock.organisation.counters_url}", "--out", str(results), "--json"),
        *("--ramp", f"{ramp_s}s", "--startup-hold", f"{ramp_s + 15}s"),
        *("--duration", "1s", "--hold", f"{round(MINUTES * 60)}s"),
    ]


def client_access_processes(client: ClientType) -> int:
    at_peak = virtual_connections(client, starting=True)
    ends = USERS * sum(at_peak.values()) * CONNECTIONS_PER_VC * 2
    return -(-ends // ENDS_PER_PROCESS)


def hold(folder: Path) -> Held:
    """Run it, and look at everything every few seconds."""
    client = library.read("client", CLIENT, ClientType)
    processes = f"client_access.0.processes={client_access_processes(client)}"
    with running_mock(folder, "--set", processes, users=USERS) as mock:
        organisation = mock.organisation
        watch = Watch(
            {(cas.address, cas.port) for cas in organisation.cas}
            | {(each.address, port) for each in organisation.servers.values() for port in each.ports.values()}
        )
        results = folder / "results"
        said = folder / "said"
        with (
            said.open("wb") as errors,
            subprocess.Popen(command(client, mock, results), stdout=subprocess.PIPE, stderr=errors) as run,
        ):
            while run.poll() is None:
                watch.look(run.pid, mock.process.pid, results)
                time.sleep(SAMPLE_EVERY_S)
            assert run.stdout is not None
            output = run.stdout.read()
        assert output, said.read_text(encoding="utf-8")
        (run_folder,) = results.iterdir()
        return Held(client, run_folder, json.loads(output), watch)


def test_users_are_held(tmp_path: Path, claims: Claims) -> None:
    held = hold(tmp_path)
    note_what_was_run(held, claims)
    claim_connections(held, claims)
    claim_economy(held, claims)
    assert claims.broken == []


def note_what_was_run(held: Held, claims: Claims) -> None:
    claims.note("users", f"{USERS:,} x {held.client.name}, {MINUTES:g} min")
    lag = held.summary["generator"]["lag_ms"]
    no_lag = "nothing was due while it was measured"
    claims.note(
        "generator's lag", no_lag if lag["max"] is None else f"p99 {lag['p99']} ms, longest {lag['max']} ms"
    )
    reasons = "; ".join(held.summary["reasons"])
    busy = " (do other programs keep this machine busy?)" if held.summary["verdict"] == "INVALID" else ""
    claims.claim(
        "the run passes",
        f"{held.summary['verdict']} {reasons}{busy}",
        holds=held.summary["verdict"] == "PASS",
    )


def claim_connections(held: Held, claims: Claims) -> None:
    summary, model = held.summary, held.model
    lost = summary["connections"]["lost"]
    of_all = USERS * sum(virtual_connections(held.client, starting=False).values())
    claims.claim("no virtual connection is lost", f"{lost:,} of {of_all:,}", holds=lost == 0)
    on = summary["users"]["logged_on_peak"]
    claims.claim("everybody is logged on", f"{on:,} of {USERS:,}", holds=on == USERS)
    for party, counts in held.counts().items():
        wrong = [
            f"{column} {value:,}, not {model[column]:,}"
            for count in counts
            for column, value in count.items()
            if value != model[column]
        ]
        claims.claim(
            f"{party}'s counts in the hold are the model's",
            f"{len(counts):,} counts of {model['client_to_cas']:,} client connections and all others"
            + "".join(f"; {each}" for each in wrong[:3]),
            holds=bool(counts) and not wrong,
        )
    ends = 2 * (model["client_to_cas"] + model["cas_total"] + model["directory"])
    found = held.watch.ends
    claims.claim("socket ends are the model's", f"{found:,} of {ends:,}", holds=found == ends)


def claim_economy(held: Held, claims: Claims) -> None:
    watch = held.watch
    most = watch.most_descriptors
    claims.claim(
        "no process has too many descriptors",
        f"{most:,} at most, of {MOST_DESCRIPTORS:,}",
        holds=most <= MOST_DESCRIPTORS,
    )
    total_kib, growth = watch.resident_kib(*SIDES), watch.growth_kib_per_min(*SIDES)
    share = growth * 10 / total_kib
    claims.claim(
        "memory is flat",
        f"{growth:+,.1f} KiB/min of {total_kib / 1024:,.0f} MiB: {share:+.2%} in ten minutes, "
        f"less than {MOST_GROWTH:.0%}",
        holds=share < MOST_GROWTH,
    )
    for side in SIDES:
        resident_kib = watch.resident_kib(side)
        claims.note(
            f"{side} while held",
            f"{watch.processor_share(side):.2%} of one processor, {resident_kib / 1024:,.0f} MiB "
            f"({resident_kib / USERS:,.0f} KiB per user), {watch.growth_kib_per_min(side):+,.1f} KiB/min",
        )
